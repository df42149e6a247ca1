// Many callers on one model: fifty at once are answered as early, and take as little memory, as one after another;
// scenes that are kept hang nobody; and a model takes no more calls than it was told to.

import { afterEach, describe, expect, test, vi } from 'vitest'
import { DISPOSE } from '../../../src/dispose.ts'
import { BusyError, UsageError } from '../../../src/errors.ts'
import type { Gpu } from '../../../src/gpu/gpu.ts'
import type { Image } from '../../../src/io/image/image.ts'
import { FlowSeg, type LoadOptions, type Scene, type Segmentation } from '../../../src/model/flowseg.ts'
import type { Progress } from '../../../src/progress.ts'
import { runtime, thorough } from '../../runtime.ts'
import { anyGpu } from '../../support.ts'
import { picture, smallCheckpoint } from '../checkpoint/small-checkpoint.ts'

vi.setConfig({ testTimeout: 400_000 })

const files = smallCheckpoint()
const models: FlowSeg[] = []

async function load(options: LoadOptions = {}): Promise<FlowSeg> {
  const model = await FlowSeg.load(files, { gpu: await anyGpu(), ...options })
  models.push(model)
  return model
}

afterEach(async () => {
  for (const model of models.splice(0)) model.close()
  ;(await anyGpu()).buffers.releaseAll()
})

const isLookDone = ({ phase, what, loaded, total }: Progress): boolean =>
  phase === 'run' && what.startsWith('look') && loaded === total

/**
 * Watches the device's memory at each allocation.
 *
 * @returns the most bytes that were there since the last time that it was asked
 */
function peakBytes(gpu: Gpu): () => number {
  const { buffers } = gpu
  let most = 0
  const [allocate, allocateTexture] = [buffers.allocate.bind(buffers), buffers.allocateTexture.bind(buffers)]
  // What is asked for is on the ledger before the call returns its promise
  const noted = <T>(allocated: T): T => {
    most = Math.max(most, gpu.memory().bytes)
    return allocated
  }
  vi.spyOn(buffers, 'allocate').mockImplementation((...args) => noted(allocate(...args)))
  vi.spyOn(buffers, 'allocateTexture').mockImplementation((...args) => noted(allocateTexture(...args)))
  return () => {
    const bytes = most
    most = gpu.memory().bytes
    return bytes
  }
}

/** One request to a server: look, ask, close. */
async function answer(
  model: FlowSeg,
  image: Image,
  sentence: string,
  onProgress?: (progress: Progress) => void,
): Promise<Segmentation> {
  const scene = await model.look(image, { onProgress })
  try {
    return await scene.segment(sentence)
  } finally {
    scene.close()
  }
}

const images = [picture(40, 30), picture(31, 77), picture(64, 64)]
const sentences = ['a dog', 'the red mug', 'the mug left of the dog', 'cat']
/** Node has the most patience; what another runtime may do differently shows with fewer. */
const CALLERS = runtime === 'node' ? 50 : thorough ? 16 : 6
const requests = Array.from({ length: CALLERS }, (_, i) => ({
  image: images[i % 3]!,
  sentence: sentences[i % 4]!,
}))

describe(`${CALLERS} callers at once`, () => {
  test('are answered as early, and take as little memory, as one by one', async () => {
    const model = await load()
    const peak = peakBytes(model.gpu)

    // One by one: what is right, and how much memory it takes
    const right: Segmentation[] = []
    for (const { image, sentence } of requests.slice(0, 12)) {
      const scene = await model.look(image)
      right.push(await scene.segment(sentence))
      scene.close()
    }
    const alone = peak()

    // All at once
    let looks = 0
    let looksBeforeFirst = Infinity
    const onProgress = (progress: Progress): void => {
      if (isLookDone(progress)) looks++
    }
    const answers = await Promise.all(
      requests.map(async ({ image, sentence }) => {
        const result = await answer(model, image, sentence, onProgress)
        looksBeforeFirst = Math.min(looksBeforeFirst, looks)
        return result
      }),
    )
    expect(looks).toBe(CALLERS)
    expect(looksBeforeFirst).toBeLessThanOrEqual(3)
    const most = peak()
    expect(most).toBeGreaterThan(0.9 * alone)
    expect(most).toBeLessThanOrEqual(1.5 * alone)
    answers.forEach(({ mask, score, query }, i) => {
      const { mask: expected, ...rest } = right[i % 12]!
      expect([score, query], `request ${i}`).toEqual([rest.score, rest.query])
      expect(mask).toEqual(expected)
    })
    expect(model.pending).toBe(0)
    expect(model.memory().byOwner).not.toHaveProperty('scene')
  })

  test('who take their time between a look and its sentence, too', async () => {
    const model = await load({ maxScenes: 3 })
    let open = 0
    let most = 0
    const waits: Progress[] = []
    await Promise.all(
      requests.slice(0, 12).map(async ({ image, sentence }) => {
        const onProgress = (progress: Progress): void => {
          if (progress.waiting?.reason === 'scenes') waits.push(progress)
        }
        const scene = await model.look(image, { onProgress })
        most = Math.max(most, ++open)
        await new Promise((done) => setTimeout(done, 4 * scene.lookMs))
        await scene.segment(sentence)
        open--
        scene.close()
      }),
    )
    expect(most).toBe(3)
    // Each caller that waits for others to close their scenes is told so, once
    expect(waits.length).toBeGreaterThan(0)
    expect(waits.length).toBeLessThanOrEqual(9)
  })
})

describe('scenes that are kept', () => {
  test('are no reason to wait, one after another or all at once', async () => {
    const model = await load()
    const scenes: Scene[] = []
    for (let i = 0; i < 8; i++) scenes.push(await model.look(images[0]!))
    scenes.push(...(await Promise.all(Array.from({ length: 8 }, () => model.look(images[1]!)))))
    expect(new Set(scenes).size).toBe(16)
    const [first, last] = [await scenes[0]!.segment('a dog'), await scenes[15]!.segment('a dog')]
    expect([first.mask.width, last.mask.width]).toEqual([40, 31])
  })

  test('with maxScenes, a look waits until one is closed; it can be given up, and closing the model ends it', async () => {
    const model = await load({ maxScenes: 1 })
    const scene = await model.look(images[0]!)
    const reason = new Error('enough')
    const controller = new AbortController()
    const givenUp = model.look(images[0]!, { signal: controller.signal })
    const waiting = model.look(images[1]!)
    expect(model.pending).toBe(2)
    controller.abort(reason)
    await expect(givenUp).rejects.toBe(reason)
    await scene.segment('a dog') // goes past the look that waits
    expect(model.pending).toBe(1)
    scene.close()
    expect((await waiting).width).toBe(31)

    const last = model.look(images[2]!)
    model.close()
    await expect(last).rejects.toMatchObject({ code: 'ERR_CLOSED' })
    expect(model.pending).toBe(0)
  })
})

describe('maxPending', () => {
  test('refuses what is one too many, and no call on a scene because of looks', async () => {
    const model = await load({ maxPending: 2 })
    const scene = await model.look(images[0]!)
    const looks = [model.look(images[1]!), model.look(images[2]!)]
    await expect(model.look(images[0]!)).rejects.toThrow(BusyError)
    await expect(model.look(images[0]!)).rejects.toMatchObject({ code: 'ERR_BUSY' })
    await expect(model.tune({ seconds: 1 })).rejects.toThrow(BusyError)
    const asked = [scene.segment('a dog'), scene.segment('a cat')]
    await expect(scene.segment('a cow')).rejects.toThrow('2 calls on scenes that wait or run')
    expect(model.pending).toBe(4)
    await Promise.all([...looks, ...asked])
    expect(model.pending).toBe(0)
    expect((await model.look(images[0]!)).width).toBe(40)
  })

  test.each([0, -1, 1.5, Number.NaN, '3', null])('and maxScenes are whole numbers, not %j', async (wrong) => {
    for (const name of ['maxPending', 'maxScenes']) {
      const options = { [name]: wrong } as LoadOptions
      await expect(FlowSeg.load(files, options)).rejects.toThrow(UsageError)
      await expect(FlowSeg.load(files, options)).rejects.toThrow(name)
    }
  })
})

test('what is used is closed by itself', async () => {
  const gpu = await anyGpu()
  const model = await load()
  const scene = await model.look(images[0]!)
  scene[DISPOSE]()
  expect(scene.closed).toBe(true)
  model[DISPOSE]()
  expect(gpu.memory().bytes).toBe(0)
  await expect(model.look(images[0]!)).rejects.toMatchObject({ code: 'ERR_CLOSED' })
})
