// The embedded checkpoint on scenes of its test split, in every runtime: its answers are those of the PyTorch
// reference, a second sentence is cheap, and creates nothing on the device.

import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { decodeImage } from '../../src/io/image/image.ts'
import { FlowSeg, type Scene, type Segmentation } from '../../src/model/flowseg.ts'
import { placeOf, readBytes, readText, runtime, sample, some, thorough } from '../runtime.ts'
import { adapters, anyGpu, creations } from '../support.ts'
import { type Answer, pixelsOf, reference } from './reference.ts'

declare module 'vitest' {
  interface TaskMeta {
    /** The answers in this runtime, to be compared with those of others (tools/test.mjs). */
    answers?: Answer[]
  }
}

const NANO = placeOf('weights/flowseg-nano')
const sceneImage = (scene: number) => readBytes(`test/fixtures/nano/${scene}.png`)
const sentences = reference.filter(({ scene }) => scene === 0).map(({ sentence }) => sentence)

const gpu = await anyGpu()
const NOTHING = 'a sentence whose plans are ready creates nothing'

describe(`flowseg-nano on ${gpu.name}`, () => {
  let model: FlowSeg
  beforeAll(async () => {
    model = await FlowSeg.load(NANO, { gpu })
  })
  afterAll(() => model.close())

  const look = async (scene: number): Promise<Scene> => model.look(await sceneImage(scene))

  test('answers as PyTorch does: the same query, and the same pixels', async ({ task }) => {
    const answers: Answer[] = []
    for (const index of new Set(reference.map(({ scene }) => scene))) {
      const scene = await look(index)
      for (const { sentence } of reference.filter((answer) => answer.scene === index)) {
        const { mask, query } = await scene.segment(sentence)
        answers.push({ scene: index, sentence, query, runs: runsOf(mask.data) })
      }
      scene.close()
    }
    task.meta.answers = answers

    // Both compute in f32; only where the two sides of an edge are level may they differ
    expect(answers.map(({ query }) => query)).toEqual(reference.map(({ query }) => query))
    let [pixels, same] = [0, 0]
    for (const [i, answer] of answers.entries()) {
      const [ours, theirs] = [pixelsOf(answer), pixelsOf(reference[i]!)]
      expect(ours.length).toBe(theirs.length)
      pixels += ours.length
      same += ours.reduce((sum, bit, k) => sum + (bit === theirs[k] ? 1 : 0), 0)
    }
    expect(same / pixels).toBeGreaterThanOrEqual(0.999)
  })

  // In every runtime a JPEG's pixels are Pillow's, and bytes, Blobs and Files reach the encoders as the same bits:
  // test/model/images.test.ts. All of the sentences are asked of bytes in Node, and with FLOWSEG_SLOW=1 everywhere; a
  // look costs the most, so of each other form of an image one sentence is asked
  test('answers about JPEGs are the same in every runtime, and for bytes, Blob, File and pixels', async () => {
    const expected = JSON.parse(readText('test/fixtures/nano-jpeg.json')) as number[][]
    const isWhole = thorough || runtime === 'node'
    for (const [index, queries] of isWhole ? expected.entries() : sample([...expected.entries()])) {
      const asked = reference
        .filter(({ scene }) => scene === index)
        .map(({ sentence }, i) => ({ sentence, query: queries[i] }))
      const name = `${index}.jpg`
      const bytes = await readBytes(`test/fixtures/nano/${name}`)
      const answers: Segmentation[] = []
      const scene = await model.look(bytes)
      for (const { sentence, query } of isWhole ? asked : some(asked)) {
        const answer = await scene.segment(sentence)
        expect(answer.query, sentence).toBe(query)
        answers.push(answer)
      }
      scene.close()

      // One sentence of each image: another one from image to image
      const right = answers[index % answers.length]!
      const forms = {
        Blob: new Blob([bytes]),
        File: new File([bytes], name, { type: 'image/jpeg' }),
        pixels: await decodeImage(bytes), // Pillow's, by their hash: test/model/images.test.ts
      }
      for (const [form, image] of Object.entries(forms)) {
        const other = await model.look(image)
        const { query, score, mask, sentence } = await other.segment(right.sentence)
        const what = `${name} as ${form}: ${sentence}`
        expect({ query, score }, what).toEqual({ query: right.query, score: right.score })
        expect(mask, what).toEqual(right.mask)
        other.close()
      }
    }
  })

  test('a second sentence is less than a quarter of the work of the first', async () => {
    const scene = await look(0)
    await scene.segment(sentences[0]!)
    scene.close()
    const flops = (name: string): number => {
      return Math.max(...model.plans().flatMap((plan) => (plan.name === name ? [plan.flops] : [])))
    }
    const again = flops('read') + flops('segment') + flops('finish')
    expect(again).toBeLessThan(0.25 * (flops('look') + again))
  })

  test(NOTHING, () => expectNothingCreated(model))
})

for (const each of (await adapters()).filter((other) => other !== gpu)) {
  test(`${NOTHING} on ${each.name}`, async () => {
    const model = await FlowSeg.load(NANO, { gpu: each })
    await expectNothingCreated(model)
    model.close()
  })
}

async function expectNothingCreated(model: FlowSeg): Promise<void> {
  const scene = await model.look(await sceneImage(0))
  const answers = [await scene.segment(sentences[0]!), await scene.segment(sentences[1]!)]
  const created = creations(model.gpu)
  for (const { sentence, query, mask } of answers) {
    expect(await scene.segment(sentence)).toMatchObject({ query, mask })
  }
  expect([...created]).toEqual([])
  vi.restoreAllMocks()
  scene.close()
}

/** Lengths of runs of equal bits, zeros first. */
function runsOf(bits: ArrayLike<number>): number[] {
  const runs: number[] = []
  let [value, length] = [0, 0]
  for (let i = 0; i < bits.length; i++) {
    if (bits[i] !== value) {
      runs.push(length)
      value = bits[i]!
      length = 0
    }
    length++
  }
  return [...runs, length]
}
