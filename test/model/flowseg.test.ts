// FlowSeg's API on a small checkpoint of random weights: what comes out fits the image, sentences don't
// influence each other, and whatever is given up, closed or refused leaves the device as it was.

import { afterEach, describe, expect, test, vi } from 'vitest'
import { vec2 } from 'wgpu-matrix'
import { FlowSegError, ImageError, PromptError, WeightsError } from '../../src/errors.ts'
import type { Gpu } from '../../src/gpu/gpu.ts'
import { encodePng, type Image } from '../../src/io/image/image.ts'
import {
  FlowSeg,
  type LoadOptions,
  type Mask,
  type MaskBuffer,
  type MaskTexture,
  type Scene,
  type Segmentation,
} from '../../src/model/flowseg.ts'
import { Preprocessor, placeImage } from '../../src/model/input/preprocess.ts'
import { buildPrompt } from '../../src/model/input/prompt.ts'
import { rank } from '../../src/model/matching.ts'
import { lookPlan, readPlan, segmentPlan } from '../../src/model/plans.ts'
import { rawDevice } from '../gpu/devices.ts'
import { adapterNames, adapters, anyGpu, creations, expectClose, expectSameBits } from '../support.ts'
import { assemble, freeAll, runOnce } from './checkpoint/parts.ts'
import { picture, smallCheckpoint } from './checkpoint/small-checkpoint.ts'

const files = smallCheckpoint()

/** What must be the same when a sentence is asked again. */
function expectSame(a: Segmentation, b: Segmentation): void {
  expectSameBits(a.logits.raw, b.logits.raw)
  expectSameBits(a.logits.refined, b.logits.refined)
  expect(a.mask).toEqual(b.mask)
  const ranked = ({ candidates }: Segmentation) => candidates.map(({ query, score }) => ({ query, score }))
  expect(ranked(a)).toEqual(ranked(b))
}

const bytesOn = (gpu: Gpu) => gpu.memory().bytes

// The first test on a device waits for its kernels: half a minute on a software adapter, more on a busy machine
vi.setConfig({ testTimeout: 400_000 })

const models: FlowSeg[] = []

/** A model that is closed after the test, whatever comes of it. */
async function load(from: File[], options: LoadOptions): Promise<FlowSeg> {
  const model = await FlowSeg.load(from, options)
  models.push(model)
  return model
}

afterEach(async () => {
  vi.restoreAllMocks()
  for (const model of models.splice(0)) model.close()
  // What a failed test left must not make others fail
  for (const gpu of await adapters()) gpu.buffers.releaseAll()
})

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
        const { before, after, span, seg } = buildPrompt(tokenizer, sentence, config)
        const K = span[1] - span[0]
        expect([tokenizer.decode(after.slice(...span)), after.at(seg)]).toEqual([`<p>${sentence}</p>`, 258])
        const { parts, cache, free } = await assemble(gpu, config, before.length, after.length)

        // 2. Look, read, segment
        const preprocessor = new Preprocessor(gpu, config)
        const pixels = await preprocessor.run(image)
        const looked = await runOnce(gpu, (given) => lookPlan(given, parts), {
          inputs: { before: await parts.embed(before) },
          bound: { ...cache, ...pixels },
        })
        preprocessor.release()
        const rows = Uint32Array.from({ length: K + 1 }, (_, k) => (k < K ? span[0] + k : seg))
        const language = await runOnce(gpu, (given) => readPlan(given, after.length, K, parts), {
          inputs: { after: await parts.embed(after), rows },
          bound: cache,
          params: { span: K },
        })
        const { compressed: _, ...side } = looked.kept
        const { read } = await runOnce(gpu, (given) => segmentPlan(given, K, false, parts), {
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
      const told = await scene.segment('a dog', { flow: true })
      expectSame(told, plain)

      const flow = told.flow!
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

describe('memory', () => {
  test('closing a scene and a model frees what they held; the Gpu of the caller lives on', async () => {
    const gpu = await anyGpu()
    expect(bytesOn(gpu)).toBe(0)
    const model = await load(files, { gpu })
    const loaded = bytesOn(gpu)
    const { weights = 0, 'plan look': look = 0 } = model.memory().byOwner
    expect([weights > 0, look > 0, weights + look]).toEqual([true, true, loaded])

    const scene = await model.look(picture(40, 30))
    const { scene: seen = 0, ...rest } = model.memory().byOwner
    expect(seen).toBeGreaterThan(0)
    // What an image comes in stays for the next one of its size
    const image = ['image', 'plan image rows', 'plan image columns'].map((owner) => rest[owner] ?? 0)
    const kept = image.reduce((sum, bytes) => sum + bytes)
    expect(Math.min(...image)).toBeGreaterThan(0)
    expect(bytesOn(gpu)).toBe(loaded + kept + seen)
    scene.close()
    scene.close()
    expect(scene.closed).toBe(true)
    expect(bytesOn(gpu)).toBe(loaded + kept)

    const another = await model.look(picture(40, 30))
    await another.segment('a dog')
    expect(model.plans().map(({ name }) => name)).toEqual([
      'image rows',
      'image columns',
      'look',
      'read',
      'segment',
      'finish',
    ])
    model.close() // and the scene with it
    model.close()
    expect(another.closed).toBe(true)
    expect(gpu.memory()).toMatchObject({ bytes: 0, buffers: 0, byOwner: {} })

    const next = await load(files, { gpu })
    expect(next.memory().byOwner['weights']).toBe(weights)
  })

  test('stays flat, whatever the sentences', async () => {
    const gpu = await anyGpu()
    const model = await load(files, { gpu })
    const scene = await model.look(picture(40, 30))
    // How long dispatches are cut depends on how fast the device seems, and so do the plans' sizes by some bytes
    vi.spyOn(gpu.rate, 'flopsPerSecond', 'get').mockReturnValue(5e9)
    const round = async () => {
      const peaks: number[] = []
      for (const length of [1, 5, 17, 30, 47, 60, 80]) {
        const answer = await scene.segment('x'.repeat(length), { flow: length % 2 === 0 })
        await answer.candidates[1]!.mask()
        peaks.push(bytesOn(gpu))
      }
      return peaks
    }
    await round()
    const second = await round()
    expect(await round()).toEqual(second)
    expect(model.plans().length).toBeLessThanOrEqual(11)
    // C and S, one of each for each padded length: 16 to 96 rows of C, as these sentences are letters
    expect(model.memory().byOwner['sentence']).toBeLessThan(100_000)
    model.close()
    expect(bytesOn(gpu)).toBe(0)
  })

  test('a model with a Gpu of its own closes it', async () => {
    const adapter = adapterNames()[0]!
    const model = await load(files, { gpu: adapter ? { adapter } : {} })
    expect(bytesOn(model.gpu)).toBeGreaterThan(0)
    model.close()
    expect(bytesOn(model.gpu)).toBe(0)
    await expect(model.gpu.idle()).rejects.toThrow('This Gpu was closed')
  })
})

describe('what was closed', () => {
  const closed = (what: string) =>
    expect.objectContaining({ code: 'ERR_CLOSED', message: expect.stringContaining(what) })

  test('says so', async () => {
    const gpu = await anyGpu()
    const model = await load(files, { gpu })
    const scene = await model.look(picture(9, 9))
    const { candidates } = await scene.segment('a dog')
    scene.close()
    await expect(scene.segment('a dog')).rejects.toEqual(closed('This scene was closed'))
    await expect(candidates[0]!.mask()).rejects.toEqual(closed('This scene was closed'))

    const other = await model.look(picture(9, 9))
    model.close()
    await expect(model.look(picture(9, 9))).rejects.toEqual(closed('This model was closed'))
    await expect(other.segment('a dog')).rejects.toEqual(closed('This model was closed'))
    await expect(candidates[0]!.mask()).rejects.toBeInstanceOf(FlowSegError)
    expect(bytesOn(gpu)).toBe(0)
  })

  test('finishes what is under way, begins nothing that waits, and frees memory then', async () => {
    const gpu = await anyGpu()
    const model = await load(files, { gpu })
    const loaded = bytesOn(gpu)
    const scene = await model.look(picture(9, 9))
    const expected = await scene.segment('a dog')
    const running = scene.segment('a dog')
    const waiting = scene.segment('a cat')
    await Promise.resolve()
    await Promise.resolve()
    scene.close()
    await expect(waiting).rejects.toEqual(closed('This scene was closed')) // at once
    expectSame(await running, expected)
    await new Promise((resolve) => setTimeout(resolve))
    expect(model.memory().byOwner).not.toHaveProperty('scene')
    expect(bytesOn(gpu)).toBeGreaterThan(loaded) // plans

    const looking = model.look(picture(9, 9))
    await Promise.resolve()
    await Promise.resolve()
    model.close()
    await expect(looking).rejects.toEqual(closed('This model was closed'))
    await new Promise((resolve) => setTimeout(resolve))
    expect(bytesOn(gpu)).toBe(0)
    await gpu.check() // no complaint about buffers that were used after they were freed
  })
})

describe('an image is read before look returns its promise', () => {
  test('pixels and textures that are overwritten in the same tick, at once and behind another look', async () => {
    const gpu = await anyGpu()
    const model = await load(files, { gpu })
    const [width, height] = [40, 30]
    const before = bytesOn(gpu)
    const maskOf = async (looking: Promise<Scene>) => {
      const scene = await looking
      const { mask, score } = await scene.segment('a dog')
      scene.close()
      return { mask: Array.from(mask.data), score }
    }
    const expected = await maskOf(model.look(picture(width, height)))
    const other = await maskOf(model.look({ width, height, rgb: new Uint8Array(width * height * 3) }))
    expect(other).not.toEqual(expected)

    const { rgb } = picture(width, height)
    const rgba = Uint8Array.from({ length: width * height * 4 }, (_, i) =>
      i % 4 === 3 ? 255 : rgb[Math.floor(i / 4) * 3 + (i % 4)]!,
    )
    const texture = gpu.device.createTexture({
      size: [width, height],
      format: 'rgba8unorm',
      usage: GPUTextureUsage.COPY_DST | GPUTextureUsage.COPY_SRC,
    })
    const write = (data: Uint8Array<ArrayBuffer>) =>
      gpu.device.queue.writeTexture({ texture }, data, { bytesPerRow: width * 4 }, [width, height])

    for (const waits of [false, true]) {
      const ahead = waits ? model.look(picture(9, 9)) : undefined
      const pixels = { width, height, rgb: rgb.slice() }
      const fromPixels = model.look(pixels)
      pixels.rgb.fill(0)
      write(rgba)
      const fromTexture = model.look(texture)
      write(new Uint8Array(rgba.length))
      const scenes = [await fromPixels, await fromTexture]
      for (const scene of scenes) expect(await maskOf(Promise.resolve(scene))).toEqual(expected)
      ;(await ahead)?.close()
    }

    // The copy of a texture that nobody looks at in the end is freed, and a destroyed one is refused
    const controller = new AbortController()
    const ahead = model.look(picture(9, 9))
    const givenUp = model.look(texture, { signal: controller.signal })
    controller.abort(new Error('enough'))
    await expect(givenUp).rejects.toThrow('enough')
    ;(await ahead).close()
    texture.destroy()
    await expect(model.look(texture)).rejects.toBeInstanceOf(ImageError)
    expect(gpu.memory().byOwner['scene'] ?? 0).toBe(0)
    const { image = 0 } = gpu.memory().byOwner
    await model.look(picture(9, 9)).then((scene) => scene.close())
    expect(gpu.memory().byOwner['image']).toBe(image)
    model.close()
    expect(bytesOn(gpu)).toBe(0)
    expect(before).toBeGreaterThan(0)
  })
})

describe('giving up', () => {
  const reason = new Error('enough')

  test('before it begins', async () => {
    const gpu = await anyGpu()
    const signal = AbortSignal.abort(reason)
    await expect(FlowSeg.load(files, { gpu, signal })).rejects.toBe(reason)
    expect(bytesOn(gpu)).toBe(0)

    const model = await load(files, { gpu })
    const loaded = bytesOn(gpu)
    await expect(model.look(picture(9, 9), { signal })).rejects.toBe(reason)
    expect(bytesOn(gpu)).toBe(loaded)
    const scene = await model.look(picture(9, 9))
    const looked = bytesOn(gpu)
    await expect(scene.segment('a dog', { signal })).rejects.toBe(reason)
    expect(bytesOn(gpu)).toBe(looked)
    const { candidates } = await scene.segment('a dog')
    await expect(candidates[1]!.mask({ signal })).rejects.toBe(reason)
  })

  test('a load, at any step', async () => {
    const gpu = await anyGpu()
    const givingUpAt = async (step: (controller: AbortController) => LoadOptions['onProgress']) => {
      const controller = new AbortController()
      const options = { gpu, signal: controller.signal, onProgress: step(controller) }
      await expect(FlowSeg.load(files, options)).rejects.toBe(reason)
      expect(gpu.memory()).toMatchObject({ bytes: 0, buffers: 0 })
      await gpu.check()
    }
    await givingUpAt((controller) => () => controller.abort(reason)) // the first upload
    await givingUpAt((controller) => ({ phase, loaded, total }) => {
      if (phase === 'upload' && loaded === total) controller.abort(reason) // the last one
    })
    await givingUpAt((controller) => {
      const compile = gpu.kernels.compile.bind(gpu.kernels)
      vi.spyOn(gpu.kernels, 'compile').mockImplementationOnce((...args) => {
        controller.abort(reason)
        return compile(...args)
      })
      return undefined
    })
  })

  test('a look or a sentence, at any step', async () => {
    const gpu = await anyGpu()
    const model = await load(files, { gpu })
    const scene = await model.look(picture(40, 30))
    const expected = await scene.segment('a dog')
    const before = bytesOn(gpu)
    // So slow a device that it is waited for after every dispatch: there is always a moment to give up in
    const rate = vi.spyOn(gpu.rate, 'flopsPerSecond', 'get').mockReturnValue(1)

    /** Gives up at the n-th report of progress. @returns how many there were */
    const after = async (n: number, start: (options: object) => Promise<unknown>): Promise<number> => {
      const controller = new AbortController()
      let seen = 0
      const onProgress = () => {
        if (++seen === n) controller.abort(reason)
      }
      await expect(start({ onProgress, signal: controller.signal })).rejects.toBe(reason)
      expect(bytesOn(gpu)).toBe(before)
      return seen
    }
    for (const n of [1, 2, 20]) {
      expect(await after(n, (options) => model.look(picture(40, 30), options))).toBe(n)
      expect(await after(n, (options) => scene.segment('a dog', options))).toBe(n)
    }
    // In the last plan of a sentence, and while waiting behind another
    const dispatches = model.plans().map((plan) => plan.dispatches.length)
    const [, , , read = 0, segment = 0] = dispatches
    await after(read + segment + 2, (options) => scene.segment('a dog', options))
    rate.mockRestore()

    const controller = new AbortController()
    const first = scene.segment('a dog')
    const behind = scene.segment('a dog', { signal: controller.signal })
    expect(model.pending).toBe(2)
    controller.abort(reason)
    await expect(behind).rejects.toBe(reason)
    expect(model.pending).toBe(1) // it left the queue at once
    expectSame(await first, expected)

    // A look that is given up when all its work is done leaves no scene either
    const late = new AbortController()
    const onProgress = ({ loaded, total }: { loaded: number; total: number }) => {
      if (loaded === total) late.abort(reason)
    }
    await expect(model.look(picture(40, 30), { onProgress, signal: late.signal })).rejects.toBe(reason)
    expect(bytesOn(gpu)).toBe(before)
    expectSame(await scene.segment('a dog'), expected)
    model.close()
    expect(bytesOn(gpu)).toBe(0)
  })
})

describe('loading', () => {
  /** Files of which the last byte of the weights comes only when it is let go. */
  function slow(from: File[]): { files: File[]; letGo: () => void; fail: (error: Error) => void } {
    let letGo = (): void => undefined
    let fail: (error: Error) => void = () => undefined
    const gate = new Promise<void>((resolve, reject) => {
      letGo = resolve
      fail = reject
    })
    gate.catch(() => undefined)
    const files = from.map((file) => {
      if (file.name !== 'model.safetensors') return file
      const slice = file.slice.bind(file)
      return Object.assign(file, {
        slice: (begin?: number, end?: number): Blob => {
          const part = slice(begin, end)
          if (end !== file.size) return part
          return Object.assign(part, { arrayBuffer: () => gate.then(() => slice(begin, end).arrayBuffer()) })
        },
      })
    })
    return { files, letGo, fail }
  }

  test('kernels compile while weights stream, those of sentences too', async () => {
    const gpu = await anyGpu()
    const { files: late, letGo } = slow(smallCheckpoint())
    const compiled = vi.spyOn(gpu.kernels, 'compile')
    const loading = load(late, { gpu })
    await vi.waitFor(() => expect(compiled).toHaveBeenCalledTimes(6), 60_000) // image (2), look, read, segment, finish
    await Promise.all(compiled.mock.results.map(({ value }) => value as Promise<unknown>))
    expect(await Promise.race([loading, Promise.resolve('still streaming')])).toBe('still streaming')
    letGo()
    const model = await loading
    const created = creations(gpu)
    const scene = await model.look(picture(40, 30))
    await scene.segment('the red mug left of the lamp')
    expect([...created.keys()].toSorted()).toEqual(['createBindGroup', 'createBuffer'])
  })

  test('what fails stops the rest and leaves nothing behind', async () => {
    const gpu = await anyGpu()
    const broken = slow(smallCheckpoint())
    const failing = FlowSeg.load(broken.files, { gpu })
    broken.fail(new WeightsError('the disk is gone'))
    await expect(failing).rejects.toThrow('the disk is gone')
    expect(bytesOn(gpu)).toBe(0)

    // The weights never come: what compiles must not wait for them to tell that it can't
    const reason = new Error('no compiler')
    vi.spyOn(gpu.kernels, 'compile').mockRejectedValueOnce(reason)
    await expect(FlowSeg.load(slow(smallCheckpoint()).files, { gpu })).rejects.toBe(reason)
    expect(bytesOn(gpu)).toBe(0)
  })

  test('kernels that sentences need and that fail are told to whoever asks', async () => {
    const gpu = await anyGpu()
    const compile = gpu.kernels.compile.bind(gpu.kernels)
    const reason = new Error('no compiler')
    let calls = 0
    vi.spyOn(gpu.kernels, 'compile').mockImplementation(async (wanted, ...args) => {
      // Those of an image and of look are awaited, and a look makes plans for the image's size
      const isImage = wanted.every(({ name }) => name.startsWith('image/resample'))
      if (++calls > 3 && !isImage) throw reason
      return compile(wanted, ...args)
    })
    const model = await load(files, { gpu })
    const scene = await model.look(picture(40, 30))
    await expect(scene.segment('a dog')).rejects.toBe(reason)
  })
})

describe('progress', () => {
  test('is told for loading, looking and segmenting, and reaches its end', async () => {
    const gpu = await anyGpu()
    const told = new Map<string, { loaded: number; total: number }>()
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
      told.set(phase === 'run' ? `run ${what}` : phase, { loaded, total })
    }
    const model = await load(files, { gpu, onProgress })
    const scene = await model.look(picture(9, 9), { onProgress })
    const { candidates } = await scene.segment('a dog', { onProgress })
    await candidates[2]!.mask({ onProgress })
    for (const what of ['upload', 'run look', 'run read', 'run segment', 'run finish']) {
      const { loaded, total } = told.get(what)!
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

describe('inputs', () => {
  test('a PNG file is its pixels', async () => {
    const model = await load(files, { gpu: await anyGpu() })
    const image = picture(21, 13)
    const [a, b] = [await model.look(image), await model.look(encodePng(image))]
    expectSame(await b.segment('a dog'), await a.segment('a dog'))
  })

  test('pixels in any form are the same look', async () => {
    const gpu = await anyGpu()
    const model = await load(files, { gpu })
    const image = picture(21, 13)
    const { width, height, rgb } = image
    const expected = await (await model.look(image)).segment('a dog')
    const rgba = Uint8Array.from({ length: width * height * 4 }, (_, i) =>
      i % 4 === 3 ? i & 255 : rgb[Math.floor(i / 4) * 3 + (i % 4)]!,
    )
    const { COPY_DST, COPY_SRC } = GPUTextureUsage
    const texture = gpu.device.createTexture({
      size: [width, height],
      format: 'rgba8unorm',
      usage: COPY_DST | COPY_SRC,
    })
    gpu.device.queue.writeTexture({ texture }, rgba, { bytesPerRow: width * 4 }, [width, height])
    const data = { width, height, data: new Uint8ClampedArray(rgba), colorSpace: 'srgb' } as ImageData
    const file = new Blob([Uint8Array.from(encodePng(image))])
    const scenes: Scene[] = []
    for (const input of [{ width, height, rgba }, data, texture, file]) scenes.push(await model.look(input))
    for (const scene of scenes) expectSame(await scene.segment('a dog'), expected)
    texture.destroy()
    await expect(model.look('photo.jpg' as unknown as Image)).rejects.toThrow('look was given "photo.jpg"')
  })

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

describe('masks that stay on the device', () => {
  /** Bytes of a buffer or of a texture's rows, each cut to the mask's width. */
  async function bytesOf(
    device: GPUDevice,
    { width, height, ...mask }: MaskTexture | MaskBuffer,
  ): Promise<Uint8Array> {
    const bytesPerRow = Math.ceil(width / 256) * 256
    const size = bytesPerRow * height
    const copy = device.createBuffer({ size, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ })
    const encoder = device.createCommandEncoder()
    if ('texture' in mask) {
      encoder.copyTextureToBuffer({ texture: mask.texture }, { buffer: copy, bytesPerRow }, [width, height])
    } else {
      expect(mask.bytesPerRow).toBe(bytesPerRow)
      encoder.copyBufferToBuffer(mask.buffer, 0, copy, 0, size)
    }
    device.queue.submit([encoder.finish()])
    await copy.mapAsync(GPUMapMode.READ)
    const rows = new Uint8Array(copy.getMappedRange().slice(0))
    copy.destroy()
    return Uint8Array.from(
      { length: width * height },
      (_, i) => rows[Math.floor(i / width) * bytesPerRow + (i % width)]!,
    )
  }

  test.each(adapterNames())('are those of host memory, on a device of the caller: %s', async (name) => {
    const { device, free } = await rawDevice(name)
    const model = await load(files, { gpu: { device } })
    const owners = () => Object.keys(model.memory().byOwner).filter((owner) => owner.startsWith('mask'))
    const given: { data: Uint8Array; mask: MaskTexture | MaskBuffer }[] = []
    for (const [width, height] of [
      [83, 47],
      [256, 31],
      [3, 300],
    ] as const) {
      const scene = await model.look(picture(width, height))
      const plain = await scene.segment('a dog')
      for (const output of ['texture', 'buffer'] as const) {
        const answer = await scene.segment('a dog', { output })
        expect(answer.mask).toMatchObject({ width, height })
        expect(answer.query).toBe(plain.query)
        expectSameBits(answer.logits.refined, plain.logits.refined)
        given.push({ data: plain.mask.data, mask: answer.mask })
        for (const i of [3, 7]) {
          const { data } = await plain.candidates[i]!.mask()
          given.push({ data, mask: await answer.candidates[i]!.mask({ output }) })
        }
      }
    }
    // They are the caller's: not on the ledger, and there when the model is gone
    expect(owners()).toEqual([])
    model.close()
    let share = 0
    for (const { data, mask } of given) {
      expect(await bytesOf(device, mask)).toEqual(data.map((bit) => 255 * bit))
      share += data.reduce((sum, bit) => sum + bit, 0) / data.length / given.length
      if ('texture' in mask) mask.texture.destroy()
      else mask.buffer.destroy()
    }
    // Neither all nor nothing
    expect(Math.abs(share - 0.5)).toBeLessThan(0.45)
    free()
  })

  test('one too large for a texture is refused, and a word for nowhere', async () => {
    const gpu = await anyGpu()
    const model = await load(files, { gpu })
    const scene = await model.look(picture(1, gpu.device.limits.maxTextureDimension2D + 1))
    const first = await scene.segment('a dog', { output: 'buffer' })
    const before = bytesOn(gpu)
    await expect(scene.segment('a dog', { output: 'texture' })).rejects.toThrow(
      /^A mask of 1 x \d+ pixels is larger than a texture .* Ask for \{ output: 'buffer' \}/,
    )
    expect(bytesOn(gpu)).toBe(before)
    first.mask.buffer.destroy()
    const output = 'canvas' as 'texture'
    const failure = expect.objectContaining({
      code: 'ERR_USAGE',
      message: expect.stringContaining('"canvas"'),
    })
    await expect(scene.segment('a dog', { output })).rejects.toEqual(failure)
    await expect(first.candidates[0]!.mask({ output })).rejects.toEqual(failure)
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

/** |a - b| / |b| */
function relative(a: Float32Array, b: Float32Array): number {
  const norm = (x: Float32Array) => Math.sqrt(x.reduce((sum, v) => sum + v * v, 0))
  return norm(a.map((v, i) => v - b[i]!)) / norm(b)
}
