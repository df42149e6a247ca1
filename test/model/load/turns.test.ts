// Loading lets other work of its thread in: between two turns it does a piece of bounded size, whatever the size of the
// model. Counted in bytes, tokens and objects, with a clock by which every step has taken long enough.

import { afterEach, describe, expect, test, vi } from 'vitest'
import { nextTask } from '../../../src/breathe.ts'
import { dryGpu } from '../../../src/gpu/dry-gpu.ts'
import { openGpu } from '../../../src/gpu/gpu.ts'
import { recorder } from '../../../src/gpu/recorder.ts'
import { openFolder } from '../../../src/io/folder.ts'
import { openCheckpoint } from '../../../src/io/open-checkpoint.ts'
import { loadTokenizer } from '../../../src/io/text/tokenizer.ts'
import { readTokenizerFile } from '../../../src/io/text/tokenizer-file.ts'
import { parseConfig } from '../../../src/model/checkpoint/config.ts'
import { parameters } from '../../../src/model/checkpoint/parameters.ts'
import { makeParts } from '../../../src/model/checkpoint/parts.ts'
import { placeWeights, type Weights, weightsFrom } from '../../../src/model/checkpoint/weights.ts'
import { FlowSeg } from '../../../src/model/flowseg.ts'
import { conditionRows, lookSteps, readSteps, segmentSteps } from '../../../src/model/plans.ts'
import { type Inputs, planInTurns } from '../../../src/tensor/plan.ts'
import { readText } from '../../runtime.ts'
import { adapterNames, anyGpu, toBf16, uniform } from '../../support.ts'
import { smallCheckpoint } from '../checkpoint/small-checkpoint.ts'

// A software adapter makes kernels for the small model, on a machine that may be busy
vi.setConfig({ testTimeout: 400_000 })

const MIB = 2 ** 20

const restores: (() => void)[] = []
afterEach(() => {
  // The last first: what was replaced twice is then what it was at first
  for (const restore of restores.splice(0).toReversed()) restore()
})

/** Puts a function in the place of a method; a spy would keep the arguments of a million calls. */
function replace<T extends object, K extends keyof T>(object: T, method: K, by: (own: T[K]) => T[K]): void {
  const own = object[method]
  object[method] = by(own)
  restores.push(() => {
    object[method] = own
  })
}

// It never goes back, as what was noted by it stays
let clock = 0

/** A clock that is later whenever somebody looks: after a turn one step is taken, and the next must wait. */
function hurryClock(): void {
  clock = Math.max(clock, performance.now())
  replace(performance, 'now', () => () => (clock += 10))
}

/** Runs something, and counts the turns that others get meanwhile; `turn` tells the one that is under way. */
async function inTurns<T>(work: (turn: () => number) => Promise<T>): Promise<{ result: T; turns: number }> {
  const state = { turns: 0, isOver: false }
  const others = (async () => {
    while (!state.isOver) {
      await nextTask()
      state.turns++
    }
  })()
  try {
    const result = await work(() => state.turns)
    return { result, turns: state.turns }
  } finally {
    state.isOver = true
    await others
  }
}

/** The most of what was noted for one turn. */
class PerTurn {
  readonly #sums = new Map<number, number>()

  add(turn: number, count: number): void {
    this.#sums.set(turn, (this.#sums.get(turn) ?? 0) + count)
  }

  get most(): number {
    return Math.max(...this.#sums.values())
  }

  get total(): number {
    return [...this.#sums.values()].reduce((sum, count) => sum + count, 0)
  }
}

/** A tokenizer with so many tokens and merges. */
function tokenizerOf(tokens: number): string {
  const names = Array.from({ length: tokens }, (_, i) => `t${i}`)
  const vocab = Object.fromEntries(names.map((name, i) => [name, i]))
  const merges = names.map((name, i) => (i % 2 === 0 ? `t ${i}` : ['u', name]))
  return JSON.stringify({ added_tokens: [], normalizer: null, model: { type: 'BPE', vocab, merges } })
}

describe('between two turns, loading does', () => {
  test.each(['F32', 'BF16'] as const)('a slice of weights in %s at the most', async (dtype) => {
    const path = 'weights/configs/flowseg-qwen3-1.7b.json'
    const config = parseConfig(JSON.parse(readText(path)), path)
    const shapes = new Map(parameters(config).map(({ name, shape }) => [name, shape]))
    const tensors = new Map(
      [
        'llm.model.layers.0.mlp.down_proj.weight', // [2048, 6144], a matrix
        'segmentor.encoder.pos_embed', // [1, 64, 64, 1024], a table
        'seg_connector.model.0.model.2.weight', // [512, 512, 3, 3], a convolution
      ].map((name) => {
        const shape = shapes.get(name)!
        const values = uniform(
          shape.reduce((product, n) => product * n, 1),
          3,
        )
        return [name, { shape, dtype, data: dtype === 'F32' ? values : toBf16(values).bits }]
      }),
    )
    const gpu = await anyGpu()
    const { queue } = gpu.device
    const written = new PerTurn()
    hurryClock()
    const { result } = await inTurns(async (turn) => {
      replace(queue, 'writeBuffer', (own) => (...args: Parameters<GPUQueue['writeBuffer']>) => {
        const [, , data, , size] = args
        written.add(turn(), size ?? data.byteLength)
        return Reflect.apply(own, queue, args)
      })
      replace(queue, 'writeTexture', (own) => (...args: Parameters<GPUQueue['writeTexture']>) => {
        written.add(turn(), args[1].byteLength)
        return Reflect.apply(own, queue, args)
      })
      return weightsFrom(gpu, tensors, config)
    })
    result.release()
    // 2 MiB as they are stored, or a table of 1 MiB that becomes f32; a texture takes 1 MiB at a time
    expect(written.most).toBeLessThanOrEqual(2 * MIB)
    expect(written.total).toBeGreaterThan((dtype === 'F32' ? 70 : 40) * MIB)
  })

  test('a strip of a table of positions', async () => {
    const path = 'weights/configs/flowseg-qwen3-1.7b.json'
    const config = parseConfig(JSON.parse(readText(path)), path)
    const none = { has: () => false } as unknown as Weights
    const gpu = await anyGpu()
    const written = new PerTurn()
    hurryClock()
    const { result } = await inTurns(async (turn) => {
      replace(gpu.device.queue, 'writeBuffer', (own) => (...args: Parameters<GPUQueue['writeBuffer']>) => {
        const [, , data, , size] = args
        written.add(turn(), size ?? data.byteLength)
        return Reflect.apply(own, gpu.device.queue, args)
      })
      return makeParts(gpu, { weights: none, baseline: true }, config, 3)
    })
    result.release()
    expect(written.most).toBeLessThanOrEqual(MIB)
    expect(written.total).toBe((32 ** 2 + 64 ** 2 + 128 ** 2) * 256 * 4)
  })

  test('a layer of a plan', async () => {
    // As many layers as at true size
    const { head } = JSON.parse(await smallCheckpoint()[0]!.text()) as { head: object }
    const [file, , , weights] = smallCheckpoint({ config: { head: { ...head, pixelLayers: 6 } } })
    const config = parseConfig(JSON.parse(await file!.text()), 'config.json')
    const gpu = dryGpu(await anyGpu())
    const checkpoint = await openCheckpoint(openFolder([weights!]))
    const { parts } = await makeParts(gpu, await placeWeights(gpu, checkpoint, config), config, 3)
    for (const build of [
      (inputs: Inputs) => lookSteps(inputs, parts),
      (inputs: Inputs) => readSteps(inputs, 40, 16, parts),
      (inputs: Inputs) => segmentSteps(inputs, conditionRows(config, 16), false, parts),
    ]) {
      const steps: number[] = []
      hurryClock()
      await planInTurns(gpu, 'counted', function* (inputs) {
        const all = build(inputs)
        for (;;) {
          const before = recorder().dispatches.length
          const { done, value } = all.next()
          steps.push(recorder().dispatches.length - before)
          if (done) return value
          yield
        }
      })
      expect(steps.length).toBeGreaterThan(2)
      expect(Math.max(...steps), steps.join()).toBeLessThanOrEqual(60)
    }
    await checkpoint.close()
  })

  test('some hundred tokens or merges', async () => {
    const text = tokenizerOf(20_000)
    hurryClock()
    const read = await inTurns(() => readTokenizerFile(text))
    expect(read.result.ids.get('t19999')).toBe(19_999)
    expect(read.result.ranks?.get('["t","4"]')).toBe(4)
    expect(read.turns).toBeGreaterThanOrEqual(2 * Math.floor(20_000 / 512))
    const loaded = await inTurns(() => loadTokenizer(text, '{}', 20_003))
    expect(loaded.turns - read.turns).toBeGreaterThanOrEqual(Math.floor(20_000 / 4096))
  })

  test('a buffer and a kernel', async () => {
    const [name] = adapterNames()
    const gpu = await openGpu(name ? { adapter: name } : {})
    const [buffers, kernels] = [new PerTurn(), new PerTurn()]
    const { device } = gpu
    hurryClock()
    await inTurns(async (turn) => {
      replace(device, 'createBuffer', (own) => (what) => {
        if (/^(llm|segmentor)\./.test(what.label ?? '')) buffers.add(turn(), 1)
        return own.call(device, what)
      })
      replace(device, 'createShaderModule', (own) => (what) => {
        kernels.add(turn(), 1)
        return own.call(device, what)
      })
      const model = await FlowSeg.load(smallCheckpoint(), { gpu })
      model.close()
    })
    gpu.close()
    expect(kernels.total).toBeGreaterThan(20)
    expect(kernels.most).toBe(1)
    expect(buffers.total).toBeGreaterThan(100)
    expect(buffers.most).toBe(1)
  })
})
