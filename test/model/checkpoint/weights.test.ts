// A checkpoint is refused before a byte of it is read, or it is on the device exactly as the networks want it:
// matrices as stored, in as many buffers as the adapter needs, convolutions channels-last, the rest in f32.

import { afterAll, describe, expect, test, vi } from 'vitest'
import { WeightsError } from '../../../src/errors.ts'
import { type Gpu, openGpu } from '../../../src/gpu/gpu.ts'
import { crc32 } from '../../../src/io/image/crc32.ts'
import {
  type Checkpoint,
  openSafetensors,
  type TensorData,
  writeSafetensors,
} from '../../../src/io/safetensors.ts'
import { bytesSource } from '../../../src/io/source.ts'
import { dequantizeRows, QUANTIZED, quantizeRows } from '../../../src/kernels/quantize.ts'
import { parseConfig } from '../../../src/model/checkpoint/config.ts'
import { type Parameter, parameters } from '../../../src/model/checkpoint/parameters.ts'
import { loadWeights, weightsFrom } from '../../../src/model/checkpoint/weights.ts'
import { linear } from '../../../src/ops/matmul/matmul.ts'
import type { Progress } from '../../../src/progress.ts'
import type { Tensor } from '../../../src/tensor/tensor.ts'
import { deviceBytes } from '../../device-bytes.ts'
import { readFixture } from '../../fixtures/golden.ts'
import { adapterNames, anyGpu, evaluate, expectClose, random, toBf16, uniform } from '../../support.ts'

const config = parseConfig(readFixture('small.json'), 'small.json')
const all = parameters(config)
const gpu = await anyGpu()

const EMBEDDING = 'llm.model.embed_tokens.weight'
const QUERY = 'llm.model.layers.0.self_attn.q_proj.weight'
const GATE = 'llm.model.layers.0.mlp.gate_proj.weight'
const CONV = 'seg_connector.model.1.model.2.weight'
const GATE_BIAS = 'segmentor.decoder.decoder.layers.1.semantic_gate.bias'

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, n) => product * n, 1)
const bytesOf = (x: Float32Array | Uint32Array | Uint16Array): Uint8Array =>
  new Uint8Array(x.buffer, x.byteOffset, x.byteLength)
const valuesOf = ({ name, shape }: Parameter): Float32Array => uniform(sizeOf(shape), name.length)

/** A file's tensors by name: every parameter in F32, changed by a test. */
function stored(
  change: (tensors: Map<string, TensorData>) => void = () => undefined,
): Map<string, TensorData> {
  const tensors = new Map(
    all.map((p) => [
      p.name,
      { name: p.name, dtype: 'F32' as const, shape: p.shape, bytes: bytesOf(valuesOf(p)) },
    ]),
  )
  change(tensors)
  return tensors
}

async function checkpointOf(tensors: ReadonlyMap<string, TensorData>): Promise<Checkpoint> {
  return openSafetensors(bytesSource(writeSafetensors(tensors.values()), 'test.safetensors'))
}

/** The bytes that the device holds, all shards one after another, unpacked if packed. */
async function heldBytes(on: Gpu, x: Tensor): Promise<Uint8Array> {
  const all = await deviceBytes(on, x)
  return x.packed ? unpackRows(all, x) : all
}

/** Rows one after another again, without the zeros at the ends of their runs. */
function unpackRows(bytes: Uint8Array, { shape, dtype, packed }: Tensor): Uint8Array {
  const { lanes, texels } = packed!
  const [rows, runs] = [shape[0]!, shape.length === 4 ? shape[1]! : 1]
  const runBytes = (sizeOf(shape) / rows / runs) * (dtype === 'f32' ? 4 : 2)
  const held = new Uint8Array(rows * runs * runBytes)
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < runs * runBytes; i++) {
      const inRow = Math.floor(i / runBytes) * ((texels / runs) * 16) + (i % runBytes)
      const texel = (Math.floor(row / lanes) * texels + Math.floor(inRow / 16)) * lanes + (row % lanes)
      held[row * runs * runBytes + i] = bytes[texel * 16 + (inRow % 16)]!
    }
  }
  return held
}

async function heldFloats(on: Gpu, x: Tensor): Promise<Float32Array> {
  return new Float32Array((await heldBytes(on, x)).buffer)
}

/** toEqual takes half a minute for a million values. */
function expectSame(actual: ArrayBufferView, expected: ArrayBufferView, what = ''): void {
  const bytes = (x: ArrayBufferView): Uint8Array => new Uint8Array(x.buffer, x.byteOffset, x.byteLength)
  const [mine, theirs] = [bytes(actual), bytes(expected)]
  expect(mine.length, what).toBe(theirs.length)
  expect(
    mine.every((byte, i) => byte === theirs[i]),
    what,
  ).toBe(true)
}

const weightBytes = (on: Gpu): number => on.memory().byOwner['weights'] ?? 0

/** Loads, expects an error of this message, and that nothing was read or kept. */
async function expectRefusal(tensors: ReadonlyMap<string, TensorData>, ...messages: string[]): Promise<void> {
  const checkpoint = await checkpointOf(tensors)
  const read = vi.spyOn(checkpoint, 'read')
  const error = await loadWeights(gpu, checkpoint, config).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(WeightsError)
  for (const message of messages) expect((error as WeightsError).message).toContain(message)
  expect(read).not.toHaveBeenCalled()
  expect(weightBytes(gpu)).toBe(0)
}

describe(`weights on ${gpu.name}`, () => {
  test('everything a network reads arrives, in the form it wants', async () => {
    // Types are mixed and of odd length, and half of the names are of X-SAM's older generation
    const tensors = stored((file) => {
      const as = (name: string, dtype: 'F16' | 'BF16', bits: Uint16Array): void =>
        void file.set(name, { ...file.get(name)!, dtype, bytes: bytesOf(bits) })
      const byName = (name: string): Parameter => all.find((p) => p.name === name)!
      as(EMBEDDING, 'BF16', toBf16(valuesOf(byName(EMBEDDING))).bits)
      as(CONV, 'BF16', toBf16(valuesOf(byName(CONV))).bits)
      as('bg_embeds.weight', 'F16', new Uint16Array(64).fill(0x3555)) // 0.333251953125
      file.delete(GATE_BIAS)
      for (const [name, tensor] of Array.from(file)) {
        const older = name
          .replace(/^vision_encoder\./, 'visual_encoder.')
          .replace('.class_predictor.logit', '.logit')
        if (older === name) continue
        file.delete(name)
        file.set(older, { ...tensor, name: older })
      }
      file.set('text_cross_attn.weight', { ...file.get('bg_embeds.weight')!, name: 'text_cross_attn.weight' })
    })
    const { weights, embeddings, baseline, unknown, release } = await loadWeights(
      gpu,
      await checkpointOf(tensors),
      config,
    )
    expect(baseline).toBe(false)
    expect(unknown).toEqual(['text_cross_attn.weight'])

    for (const p of all.filter(({ used }) => used)) {
      const expected = valuesOf(p)
      if (p.name === EMBEDDING) {
        expect(weights.has(p.name)).toBe(false)
        const [rows = 0] = p.shape
        const held = await embeddings!.rows(Array.from({ length: rows }, (_, id) => id))
        expectSame(held, toBf16(expected).values)
        continue
      }
      const x = weights.tensor(p.name)
      if (p.kind === 'conv') {
        const [O, I, h, w] = p.shape as [number, number, number, number]
        expect(x.shape).toEqual([O, h, w, I])
        const bits =
          p.name === CONV ? new Uint16Array((await heldBytes(gpu, x)).buffer) : await heldFloats(gpu, x)
        const from = p.name === CONV ? toBf16(expected).bits : expected
        const [o, i, r, c] = [O - 1, I >> 1, h >> 1, w - 1] as const
        expect(bits[((o * h + r) * w + c) * I + i]).toBe(from[((o * I + i) * h + r) * w + c])
        expectSame(bits.toSorted(), from.toSorted(), p.name)
      } else {
        expect([x.dtype, x.shape], p.name).toEqual(['f32', p.shape])
        const values = await heldFloats(gpu, x)
        if (p.name === GATE_BIAS) expectSame(values, new Float32Array(64))
        else if (p.name === 'bg_embeds.weight') expectSame(values, new Float32Array(64).fill(0.333251953125))
        else expectSame(values, expected, p.name)
      }
    }

    // Nothing else was uploaded
    const scope = weights.scope('vision_encoder.vision_model.').scope('encoder.layers.1.')
    expect(scope.has('mlp.fc1.bias')).toBe(true)
    expect(weights.has('llm.lm_head.weight')).toBe(false)
    expect(weights.has('vision_encoder.vision_model.encoder.layers.2.mlp.fc1.bias')).toBe(false)
    expect(() => scope.tensor('mlp.fc3.bias')).toThrow(
      'vision_encoder.vision_model.encoder.layers.1.mlp.fc3.bias',
    )

    expect(weightBytes(gpu)).toBeGreaterThan(0)
    release()
    expect(weightBytes(gpu)).toBe(0)
  })

  test('a checkpoint without the flow is the baseline; rows of the vocabulary come from the file', async () => {
    const tensors = stored((file) => {
      for (const p of all) if (p.flow) file.delete(p.name)
      const rows = config.llm.vocab + 5
      const bytes = bytesOf(uniform(rows * 64))
      file.set(EMBEDDING, { name: EMBEDDING, dtype: 'F32', shape: [rows, 64], bytes })
    })
    const loaded = await loadWeights(gpu, await checkpointOf(tensors), config)
    const { weights, embeddings, baseline, release } = loaded
    expect(baseline).toBe(true)
    expectSame(await embeddings!.rows([519]), uniform(520 * 64).slice(519 * 64))
    expect(weights.has('segmentor.boundary_refiner.alpha')).toBe(false)
    release()
  })

  test('boundary refinement may have other widths than the config says', async () => {
    const tensors = stored((file) => {
      const set = (name: string, ...shape: number[]): void =>
        void file.set(name, { name, dtype: 'F32', shape, bytes: bytesOf(uniform(sizeOf(shape))) })
      set('segmentor.boundary_refiner.compress.weight', 24, 64, 1, 1)
      set('segmentor.boundary_refiner.compress.bias', 24)
      set('segmentor.boundary_refiner.refine.0.weight', 6, 25, 3, 3)
      set('segmentor.boundary_refiner.refine.0.bias', 6)
      set('segmentor.boundary_refiner.refine.2.weight', 1, 6, 3, 3)
    })
    const { weights, release } = await loadWeights(gpu, await checkpointOf(tensors), config)
    expect(weights.tensor('segmentor.boundary_refiner.refine.0.weight').shape).toEqual([6, 3, 3, 25])
    release()
  })

  test('missing tensors are named and counted', async () => {
    const without = (...names: string[]) => stored((file) => names.forEach((name) => file.delete(name)))
    await expectRefusal(
      without(QUERY),
      'test.safetensors: 1 of the',
      `tensors that flowseg-small needs are missing: ${QUERY}.`,
    )
    const layer = all.filter(({ name }) => name.startsWith('llm.model.layers.1.')).map(({ name }) => name)
    await expectRefusal(
      without(...layer),
      `${layer.length} of the`,
      `and ${layer.length - 3} more. Does config.json belong`,
    )
    // Some of the flow's tensors, but not all: not the baseline
    await expectRefusal(
      without('segmentor.boundary_refiner.alpha'),
      'are missing: segmentor.boundary_refiner.alpha',
    )
  })

  test('a wrong shape is refused', async () => {
    const tensors = stored((file) => file.set(QUERY, { ...file.get(QUERY)!, shape: [64, 96] }))
    await expectRefusal(tensors, `test.safetensors: ${QUERY} is [64, 96], expected [96, 64].`)
    const short = stored((file) => {
      file.set(EMBEDDING, {
        name: EMBEDDING,
        dtype: 'F32',
        shape: [500, 64],
        bytes: new Uint8Array(500 * 256),
      })
      file.set('bg_embeds.weight', { ...file.get('bg_embeds.weight')!, shape: [64] })
    })
    await expectRefusal(short, `${EMBEDDING} is [500, 64], expected [515, 64]. 1 more do not fit either.`)
  })

  test('a type we do not compute with is refused', async () => {
    const wide = stored((file) => {
      const { shape } = file.get(QUERY)!
      file.set(QUERY, { name: QUERY, dtype: 'F64', shape, bytes: new Uint8Array(sizeOf(shape) * 8) })
    })
    await expectRefusal(wide, `${QUERY} is F64, expected one of F32, F16, BF16: convert it.`)
  })

  test('what no network reads may have any shape and type', async () => {
    const tensors = stored((file) => {
      file.set('llm.lm_head.weight', {
        name: 'llm.lm_head.weight',
        dtype: 'I64',
        shape: [1],
        bytes: new Uint8Array(8),
      })
      file.delete('vision_encoder.vision_model.post_layernorm.bias')
    })
    const { unknown, release } = await loadWeights(gpu, await checkpointOf(tensors), config)
    expect(unknown).toEqual([])
    release()
  })

  describe('a number that is not finite is named', () => {
    const SPOILT = {
      F32: [0x7fc00000, 'NaN'],
      F16: [0x7c00, 'Infinity'],
      BF16: [0xff80, '-Infinity'],
    } as const
    const BIAS = 'vision_encoder.vision_model.encoder.layers.0.mlp.fc1.bias'
    test.each(
      ([QUERY, EMBEDDING, CONV, BIAS] as const).flatMap((name) =>
        (['F32', 'F16', 'BF16'] as const).map((dtype) => [name, dtype] as const),
      ),
    )('%s in %s', async (name, dtype) => {
      const { shape } = all.find((p) => p.name === name)!
      const [word, kind] = SPOILT[dtype]
      const Words = dtype === 'F32' ? Uint32Array : Uint16Array
      const place = shape.map((n, axis) => (axis === 0 ? n - 1 : n >> 1))
      const at = shape.reduce((index, n, axis) => index * n + place[axis]!, 0)
      const tensors = stored((file) => {
        file.set(name, {
          name,
          dtype,
          shape,
          bytes: bytesOf(new Words(sizeOf(shape)).fill(word, at, at + 2)),
        })
      })
      const loading = loadWeights(gpu, await checkpointOf(tensors), config)
      await expect(loading).rejects.toBeInstanceOf(WeightsError)
      await expect(loading).rejects.toThrow(
        `test.safetensors, tensor "${name}": the value at [${place.join(', ')}] is ${kind}. Every answer`,
      )
      expect(weightBytes(gpu)).toBe(0)
    })

    test.each(QUANTIZED)('before it is quantised to %s, with how many tensors more', async (quantize) => {
      const tensors = stored((file) => {
        for (const name of [QUERY, BIAS]) {
          const { shape, bytes } = file.get(name)!
          const values = new Float32Array(bytes.slice().buffer).fill(Number.NaN, 3, 4)
          file.set(name, { name, dtype: 'F32', shape, bytes: bytesOf(values) })
        }
      })
      await expect(loadWeights(gpu, await checkpointOf(tensors), config, { quantize })).rejects.toThrow(
        `tensor "${QUERY}": the value at [0, 3] is NaN, and 1 more of its tensors have such values.`,
      )
      expect(weightBytes(gpu)).toBe(0)
    })

    test('unless no network reads it', async () => {
      const tensors = stored((file) => {
        const name = 'llm.lm_head.weight'
        file.set(name, { name, dtype: 'F32', shape: [1], bytes: bytesOf(Float32Array.of(Number.NaN)) })
      })
      const { release } = await loadWeights(gpu, await checkpointOf(tensors), config)
      release()
    })

    test('but a damaged file is told as such', async () => {
      const tensors = stored()
      const { bytes } = tensors.get(BIAS)!
      const crc = JSON.stringify({ [BIAS]: crc32(bytes).toString(16).padStart(8, '0') })
      new Uint32Array(bytes.buffer, bytes.byteOffset)[0] = 0x7fc00000
      const file = writeSafetensors(tensors.values(), { 'flowseg.crc32': crc })
      const checkpoint = await openSafetensors(bytesSource(file, 'test.safetensors'))
      await expect(loadWeights(gpu, checkpoint, config)).rejects.toThrow('its bytes are damaged')
    })
  })

  test('progress knows its total from the start; an abort or a failed read leaves nothing behind', async () => {
    const events: Progress[] = []
    const onProgress = (event: Progress): void => void events.push(event)
    const checkpoint = await checkpointOf(stored())
    const { release } = await loadWeights(gpu, checkpoint, config, { onProgress })
    release()
    const total = all.reduce((sum, p) => sum + (p.used ? sizeOf(p.shape) * 4 : 0), 0)
    expect(events[0]).toEqual({ phase: 'upload', what: 'test.safetensors', loaded: 0, total })
    expect(events.every((event) => event.total === total)).toBe(true)
    expect(events.at(-1)!.loaded).toBe(total)

    const controller = new AbortController()
    const reason = new Error('enough')
    const abort = ({ loaded }: Progress): void => void (loaded > total / 2 && controller.abort(reason))
    await expect(
      loadWeights(gpu, checkpoint, config, { signal: controller.signal, onProgress: abort }),
    ).rejects.toBe(reason)
    expect(weightBytes(gpu)).toBe(0)

    const broken: Checkpoint = {
      ...checkpoint,
      read: (name, options) => {
        if (name === CONV) return Promise.reject(new WeightsError('the disk is gone'))
        return checkpoint.read(name, options)
      },
    }
    await expect(loadWeights(gpu, broken, config)).rejects.toThrow('the disk is gone')
    expect(weightBytes(gpu)).toBe(0)
  })

  test('weightsFrom takes part of a model and nothing else', async () => {
    const data = uniform(96 * 64)
    const { weights, release } = await weightsFrom(gpu, new Map([[QUERY, { data, shape: [96, 64] }]]), config)
    expectSame(await heldFloats(gpu, weights.tensor(QUERY)), data)
    release()
    const wrong = (name: string, shape: number[]) =>
      weightsFrom(gpu, new Map([[name, { data, shape }]]), config)
    await expect(wrong('llm.model.layers.7.self_attn.q_proj.weight', [96, 64])).rejects.toThrow(
      'flowseg-small has no',
    )
    await expect(wrong(QUERY, [64, 96])).rejects.toThrow('is [64, 96], expected [96, 64]')
  })
})

describe('a small adapter', async () => {
  const name = adapterNames()[0]!
  const small = await openGpu({ ...(name ? { adapter: name } : {}), bindingLimit: 1_500_000 })
  afterAll(() => small.close())

  test(`a matrix of several slices is split by rows on ${small.name}`, async () => {
    // 5 MiB: two slices of 4 MiB at most, four buffers of 1.5 MB at most, and no boundary in common
    const rows = 20_001
    const wide = { ...config, llm: { ...config.llm, mlp: rows } }
    const values = uniform(rows * 64)
    const tensors = parameters(wide).map((p): TensorData => {
      const bytes = p.name === GATE ? bytesOf(values) : new Uint8Array(sizeOf(p.shape) * 4)
      return { name: p.name, dtype: 'F32' as const, shape: p.shape, bytes }
    })
    const checkpoint = await checkpointOf(new Map(tensors.map((t) => [t.name, t])))
    const { weights, release } = await loadWeights(small, checkpoint, wide)
    const x = weights.tensor(GATE)
    expect(x.shards?.map((shard) => shard.rows)).toEqual([5858, 5858, 5858, 2427])
    expectSame(await heldFloats(small, x), values)
    release()
    expect(weightBytes(small)).toBe(0)
  })
})

const STORED = ['F32', 'BF16'] as const

test.each(QUANTIZED.flatMap((quantize) => STORED.map((dtype) => [quantize, dtype] as const)))(
  'in %s, from %s, are the matrices of the encoders and of the language model',
  async (quantize, dtype) => {
    const before = gpu.memory().bytes
    const { name, shape } = all.find((p) => p.name === QUERY)!
    const original = valuesOf({ name, shape } as Parameter)
    const narrow = toBf16(original)
    const values = dtype === 'F32' ? original : narrow.values
    const tensors = stored((file) => {
      if (dtype === 'BF16') file.set(name, { name, dtype, shape, bytes: bytesOf(narrow.bits) })
    })
    const loaded = await loadWeights(gpu, await checkpointOf(tensors), config, { quantize })
    const parts = ['siglip', 'sam', 'llm', 'visualProjector', 'segProjector']
    for (const { name: other, kind, component, used } of all) {
      if (!used || kind === 'embedding') continue
      const x = loaded.weights.tensor(other)
      expect(x.dtype, other).toBe(kind === 'matrix' && parts.includes(component) ? quantize : 'f32')
    }

    // Of the embedding, rows are picked, and no sum hides an error in them
    const { shape: table } = all.find((p) => p.name === EMBEDDING)!
    const [, width = 0] = table
    const row = valuesOf({ name: EMBEDDING, shape: table } as Parameter).slice(7 * width, 8 * width)
    const rounded = dequantizeRows(quantizeRows(row, width, 'int8'), width, 'int8')
    expect(await loaded.embeddings!.rows([7])).toEqual(Float32Array.from(rounded))

    // And they stand for what is in the file
    const [N = 0, K = 0] = shape
    const w = dequantizeRows(quantizeRows(values, K, quantize), K, quantize)
    const x = random([3, K], 5)
    const y = await evaluate(gpu, { x }, (t) => linear(t['x'], loaded.weights.tensor(QUERY)))
    const expected = Float64Array.from(y, (_, i) => {
      const [m, n] = [Math.floor(i / N), i % N]
      return w.subarray(n * K, (n + 1) * K).reduce((sum, value, k) => sum + value * x.data[m * K + k]!, 0)
    })
    expectClose(y, expected, 2e-6)
    loaded.release()
    expect(gpu.memory().bytes).toBe(before)
  },
)
