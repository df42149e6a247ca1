// FlowSeg's API on a small checkpoint of random weights: the answer fits the image, sentences don't influence each
// other, and what is refused leaves the scene as it was.

import { describe, expect, test } from 'vitest'
import { vec2 } from 'wgpu-matrix'
import { ImageError, PromptError, UsageError, WeightsError } from '../../src/errors.ts'
import { FlowSeg, type Mask, type Segmentation } from '../../src/model/flowseg.ts'
import { Preprocessor, placeImage } from '../../src/model/input/preprocess.ts'
import { buildPrompt, type Span } from '../../src/model/input/prompt.ts'
import { rank } from '../../src/model/matching.ts'
import { lookPlan, readPlan, segmentPlan } from '../../src/model/plans.ts'
import { adapters, anyGpu, creations, expectClose, expectSameBits } from '../support.ts'
import { assemble, freeAll, runOnce } from './checkpoint/parts.ts'
import { picture, smallCheckpoint } from './checkpoint/small-checkpoint.ts'
import { bytesOn, cleanUp, expectSame, files, load, relative } from './small-model.ts'

cleanUp()

for (const gpu of await adapters()) {
  describe(`FlowSeg on ${gpu.name}`, () => {
    test('load, look, segment: the answer fits the image', async () => {
      const model = await load(files, { gpu })
      expect(model.baseline).toBe(false)
      expect(model.notes).toEqual([])
      for (const [width, height] of [
        [83, 47], //   wide
        [50, 171], //  tall
        [3, 2], //     tiny
        [129, 129], // one more than the canvas
        [1, 300], //   a sliver
      ] as const) {
        const image = picture(width, height)
        const scene = await model.look(image)
        expect(scene).toMatchObject({ width, height, closed: false })
        const corner = vec2.transformMat3([width, height], scene.toModel)
        expect(Math.max(...corner)).toBeCloseTo(128, 3) // the longer side fills the canvas
        expect(vec2.transformMat3(corner, scene.toImage)[1]).toBeCloseTo(height, 3)
        const answer = await scene.segment('The Red Mug')

        const { mask, candidates, logits, times } = answer
        expect(mask).toMatchObject({ width, height })
        expect(mask.data).toHaveLength(width * height)
        expect(mask.data.every((bit) => bit === 0 || bit === 1)).toBe(true)
        expect(mask.area).toBe(mask.data.reduce((sum, bit) => sum + bit, 0))

        expect(answer.sentence).toBe('The Red Mug')
        expect(answer.text).toContain('<p>the red mug</p>')
        expect(candidates).toHaveLength(12)
        expect(new Set(candidates.map(({ query }) => query)).size).toBe(12)
        candidates.forEach(({ score }, i) => {
          expect(score).toBeGreaterThanOrEqual(0)
          expect(score).toBeLessThanOrEqual(i > 0 ? candidates[i - 1]!.score : 1)
        })
        expect(answer).toMatchObject({ query: candidates[0]!.query, score: candidates[0]!.score })
        expect(await candidates[0]!.mask()).toEqual(mask)
        expect(await candidates[0]!.refined()).toEqual({ mask, logits })
        expect(await candidates[11]!.mask()).toMatchObject({ width, height })

        expect(logits).toMatchObject({ height: 16, width: 16 })
        logits.refined.forEach((v, i) => {
          if (logits.band[i] === 0) expect(v).toBe(logits.raw[i])
        })
        expect(Math.max(...answer.canvas)).toBe(128)
        expect(answer.flow).toBeUndefined()
        expect(times.look).toBe(scene.lookMs)
        for (const ms of Object.values(times)) expect(ms).toBeGreaterThan(0)
        scene.close()
      }
    })

    test('the answer is that of plans made to measure: nothing depends on padding', async () => {
      const model = await load(files, { gpu })
      const image = picture(40, 30)
      const { config, tokenizer } = model
      const scene = await model.look(image)
      for (const sentence of ['a dog', 'the red mug left of the laptop']) {
        const answer = await scene.segment(sentence)

        // 1. The prompt's own lengths
        const { before, after, spans, seg } = buildPrompt(tokenizer, sentence, config)
        const [span] = spans as [Span]
        const K = span[1] - span[0]
        expect([tokenizer.decode(after.slice(...span)), after.at(seg)]).toEqual([`<p>${sentence}</p>`, 258])
        const { parts, cache, free } = await assemble(gpu, config, before.length, after.length)

        // 2. Look, read, segment
        const preprocessor = new Preprocessor(gpu, config)
        const pixels = await preprocessor.run(image)
        const looked = await runOnce(gpu, (inputs) => lookPlan(inputs, parts), {
          inputs: { before: await parts.embed(before) },
          bound: { ...cache, ...pixels },
        })
        preprocessor.release()
        const rows = Uint32Array.from({ length: K + 1 }, (_, k) => (k < K ? span[0] + k : seg))
        const language = await runOnce(gpu, (inputs) => readPlan(inputs, after.length, K, parts), {
          inputs: { after: await parts.embed(after), rows },
          bound: cache,
          params: { span: K },
        })
        const { compressed: _, ...side } = looked.kept
        const { read } = await runOnce(gpu, (inputs) => segmentPlan(inputs, K, false, parts), {
          bound: { ...side, ...language.kept },
          params: { length: K },
        })

        const best = rank(read.logits)[0]!
        expect(answer.query).toBe(best.query)
        expect(answer.score).toBeCloseTo(best.score, 6)
        expect(answer.canvas).toEqual(placeImage(image, config.sam.image).scaled)
        expectClose(answer.logits.raw, read.masks.slice(best.query * 256, (best.query + 1) * 256), 1e-5)
        freeAll(gpu, { ...looked.kept, ...language.kept })
        free()
      }
    })

    test('flow tells what happened in every layer, and changes nothing', async () => {
      const model = await load(files, { gpu })
      const scene = await model.look(picture(40, 30))
      const plain = await scene.segment('a dog')
      const withFlow = await scene.segment('a dog', { flow: true })
      expectSame(withFlow, plain)

      const flow = withFlow.flow!
      expect(flow.map(({ layer }) => layer)).toEqual([0, 1, 2, 3])
      expect(flow[0]).toMatchObject({ moved: 0 })
      expect(flow[0]).not.toHaveProperty('gate')
      for (const { gate, moved } of flow.slice(1)) {
        expect(gate).toBeGreaterThan(0)
        expect(gate).toBeLessThan(1)
        expect(moved).toBeGreaterThan(0)
      }
      for (const { ranking, logits, masks } of flow) {
        expect([ranking.length, logits.length, masks.length]).toEqual([12, 24, 12 * 16 * 16])
      }
      const last = flow[3]!
      expect(last.ranking).toEqual(plain.candidates.map(({ query, score }) => ({ query, score })))
      expectSameBits(last.masks.slice(plain.query * 256, (plain.query + 1) * 256), plain.logits.raw)
    })

    test('sentences leave nothing behind', async () => {
      const model = await load(files, { gpu })
      const [mug, dog] = ['the red mug left of the laptop', 'a dog']
      const scene = await model.look(picture(40, 30))
      const first = await scene.segment(mug)
      const second = await scene.segment(dog)
      expect(relative(second.logits.raw, first.logits.raw)).toBeGreaterThan(1e-3)
      expectSame(await scene.segment(mug), first)

      // Asked first of a new scene, while the other one is still there, and after a look at something else
      const again = await model.look(picture(40, 30))
      await model.look(picture(31, 77))
      expectSame(await again.segment(dog), second)
      expectSame(await scene.segment(dog), second)
    })

    test('tasks asked for at once are done one by one', async () => {
      const model = await load(files, { gpu })
      const scene = await model.look(picture(40, 30))
      const alone = [
        await scene.segment('a dog'),
        await scene.segment('the mug'),
        await scene.segment('a dog'),
      ]
      const [a, other, b, c] = await Promise.all([
        scene.segment('a dog'),
        model.look(picture(20, 21)),
        scene.segment('the mug'),
        scene.segment('a dog'),
      ])
      ;[a, b, c].forEach((answer, i) => expectSame(answer, alone[i]!))
      const masks = await Promise.all(a.candidates.slice(0, 3).map((candidate) => candidate.mask()))
      expect(masks[0]).toEqual(a.mask)
      expect(await other.segment('a dog')).toMatchObject({ mask: { width: 20, height: 21 } })

      // One that fails doesn't hold up the next
      const failing = scene.segment('a dog', { signal: AbortSignal.abort('no more') })
      const fine = scene.segment('a dog')
      await expect(failing).rejects.toBe('no more')
      expectSame(await fine, alone[0]!)
    })

    test('a second sentence as long as the first creates nothing on the device', async () => {
      const model = await load(files, { gpu })
      const scene = await model.look(picture(40, 30))
      const first = await scene.segment('the red mug')
      const created = creations(gpu)
      await scene.segment('the big cup') // no longer, no shorter
      await scene.segment('a red cup') //   in the same bucket
      expectSame(await scene.segment('the red mug'), first)
      expect([...created]).toEqual([])
      await model.look(picture(40, 30)) // a scene has memory of its own
      expect(created.get('createBuffer')).toBeGreaterThan(0)
    })
  })
}

describe('progress', () => {
  test('is told for loading, looking and segmenting, and reaches its end', async () => {
    const gpu = await anyGpu()
    const last = new Map<string, { loaded: number; total: number }>()
    const onProgress = ({
      phase,
      what,
      loaded,
      total,
    }: {
      phase: string
      what: string
      loaded: number
      total: number
    }) => {
      expect(loaded).toBeLessThanOrEqual(total)
      last.set(phase === 'run' ? `run ${what}` : phase, { loaded, total })
    }
    const model = await load(files, { gpu, onProgress })
    const scene = await model.look(picture(9, 9), { onProgress })
    const { candidates } = await scene.segment('a dog', { onProgress })
    await candidates[2]!.mask({ onProgress })
    for (const what of ['upload', 'run look', 'run read', 'run segment', 'run finish']) {
      const { loaded, total } = last.get(what)!
      expect(loaded, what).toBe(total)
    }
  })
})

describe('what is refused', () => {
  test('an image or a sentence, and the scene is as good as before', async () => {
    const gpu = await anyGpu()
    const model = await load(files, { gpu })
    const loaded = bytesOn(gpu)
    await expect(model.look({ width: 3, height: 3, rgb: new Uint8Array(26) })).rejects.toBeInstanceOf(
      ImageError,
    )
    await expect(model.look(Uint8Array.of(1, 2, 3))).rejects.toBeInstanceOf(ImageError)
    expect(bytesOn(gpu)).toBe(loaded)

    const scene = await model.look(picture(9, 9))
    const expected = await scene.segment('a dog')
    for (const sentence of ['', '  ', 'x'.repeat(200), 'a </p> dog']) {
      await expect(scene.segment(sentence)).rejects.toBeInstanceOf(PromptError)
    }
    await expect(scene.segment('a dog', { template: 'nothing' })).rejects.toBeInstanceOf(PromptError)
    expectSame(await scene.segment('a dog'), expected)
  })

  test('a checkpoint that lacks a file, a tensor or sense', async () => {
    const gpu = await anyGpu()
    for (const { name } of files) {
      const rest = files.filter((file) => file.name !== name)
      await expect(FlowSeg.load(rest, { gpu })).rejects.toThrow(
        name === 'model.safetensors' ? /neither/ : name,
      )
      const broken = [...rest, new File(['{"half": '], name)]
      await expect(FlowSeg.load(broken, { gpu })).rejects.toBeInstanceOf(WeightsError)
    }
    expect(bytesOn(gpu)).toBe(0)
  })
})

describe('a look and a sentence', () => {
  test('template, answer and task are the caller’s to choose', async () => {
    const model = await load(files, { gpu: await anyGpu() })
    const scene = await model.look(picture(9, 9))
    const plain = await scene.segment('A dog')
    const options = { template: 'Where is {phrase}?', answer: 'There: <SEG>!', task: 'reasoning' } as const
    const other = await scene.segment('A dog', options)
    expect(other.text).toContain('Where is <p>A dog</p>?')
    expect(other.text).toMatch(/There: <SEG>$/)
    expect(relative(other.logits.raw, plain.logits.raw)).toBeGreaterThan(1e-4)
  })

  test('a task that the checkpoint was not trained on is refused, also by default', async () => {
    for (const [known, other] of [
      ['referring', 'reasoning'],
      ['reasoning', 'referring'],
    ] as const) {
      const model = await load(smallCheckpoint({ tasks: [known] }), { gpu: await anyGpu() })
      const scene = await model.look(picture(9, 9))
      await expect(scene.segment('a dog', { task: other })).rejects.toThrow(`knows '${other}'`)
      await expect(scene.segmentEach(['a dog'], { task: other })).rejects.toThrow(UsageError)
      expect((await scene.segment('a dog', { task: known })).mask.width).toBe(9)
      if (other === 'referring') await expect(scene.segment('a dog')).rejects.toThrow("knows 'referring'")
    }
  })

  test('grey padding is another look', async () => {
    const model = await load(files, { gpu: await anyGpu() })
    const [plain, padded] = [
      await model.look(picture(40, 10)),
      await model.look(picture(40, 10), { padding: 'grey' }),
    ]
    const [a, b] = [await plain.segment('a dog'), await padded.segment('a dog')]
    expect(relative(b.logits.raw, a.logits.raw)).toBeGreaterThan(1e-4)
  })

  test('the longest sentence fits, whatever the room for padding', async () => {
    // 167 tokens leave no room for a last bucket of 16, 182 do; the numbers must not depend on it
    const gpu = await anyGpu()
    const answers: Segmentation[] = []
    for (const maxTokens of [167, 182]) {
      const model = await load(smallCheckpoint({ maxTokens }), { gpu })
      const scene = await model.look(picture(9, 9))
      const fits = async (length: number) =>
        scene.segment('x'.repeat(length)).then(
          () => true,
          () => false,
        )
      let length = maxTokens
      while (!(await fits(length))) length--
      expect(length).toBeGreaterThan(60)
      answers.push(await scene.segment('x'.repeat(answers[0]?.sentence.length ?? length)))
      model.close()
    }
    const [tight, roomy] = answers
    expect(tight!.sentence).toBe(roomy!.sentence)
    expectClose(tight!.logits.raw, roomy!.logits.raw, 1e-5)
  })
})

describe('a checkpoint without the flow', () => {
  test('is the baseline, and says so', async () => {
    const gpu = await anyGpu()
    const model = await load(smallCheckpoint({ flow: false, unknown: ['some.thing'] }), { gpu })
    expect(model.baseline).toBe(true)
    expect(model.notes).toEqual([expect.stringMatching(/baseline/), expect.stringMatching(/some\.thing\.$/)])

    const scene = await model.look(picture(40, 30))
    const { flow, logits, mask } = await scene.segment('a dog', { flow: true })
    expect(flow).toHaveLength(4)
    for (const layer of flow!) {
      expect(layer).not.toHaveProperty('gate')
      expect(layer.moved).toBe(0)
    }
    expectSameBits(logits.refined, logits.raw)
    expectSameBits(logits.band, new Float32Array(256))
    expect(mask).toMatchObject({ width: 40, height: 30 } satisfies Partial<Mask>)
    model.close()
    expect(bytesOn(gpu)).toBe(0)
  })
})
