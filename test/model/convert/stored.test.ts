// A checkpoint that is stored in 8 or 4 bits answers, bit for bit, what the original does when it is rounded while it
// is loaded: on every adapter, in every runtime, and however weights lie there.

import { expect, test } from 'vitest'
import { type Gpu, openGpu } from '../../../src/gpu/gpu.ts'
import { type Folder, openFolder } from '../../../src/io/folder.ts'
import { openSafetensors, type TensorEntry } from '../../../src/io/safetensors.ts'
import { parseConfig } from '../../../src/model/checkpoint/config.ts'
import { parameters } from '../../../src/model/checkpoint/parameters.ts'
import { loadWeights } from '../../../src/model/checkpoint/weights.ts'
import { FlowSeg, type LoadOptions } from '../../../src/model/flowseg.ts'
import type { Tensor } from '../../../src/tensor/tensor.ts'
import { deviceBytes } from '../../device-bytes.ts'
import { placeOf, readBytes, readText, runtime, some } from '../../runtime.ts'
import { adapterNames, adapters, anyGpu, expectSameBits, forcedVariants } from '../../support.ts'
import { type Change, convertedFolder } from './converted-folder.ts'

const NANO = placeOf('weights/flowseg-nano')
const SENTENCE = 'the dotted shape'
const config = parseConfig(JSON.parse(readText('weights/flowseg-nano/config.json')), 'config.json')
const image = await readBytes('examples/scene.png')

/** The embedded checkpoint, converted in memory: a folder as it would be written. */
async function converted(recipe: string | undefined, change?: Change): Promise<Folder> {
  const original = await openSafetensors(openFolder(NANO, { cache: 'none' }))
  const beside = new Map<string, Uint8Array>()
  for (const name of ['config.json', 'tokenizer.json', 'tokenizer_config.json']) {
    beside.set(name, await readBytes(`weights/flowseg-nano/${name}`))
  }
  const folder = await convertedFolder(original, config, recipe, beside, change)
  await original.close()
  return folder
}

function pick(entry: TensorEntry | undefined): Pick<TensorEntry, 'dtype' | 'shape'> | undefined {
  return entry && { dtype: entry.dtype, shape: entry.shape }
}

function floats(bytes: Uint8Array<ArrayBuffer>): Float32Array {
  return new Float32Array(bytes.buffer)
}

interface Answer {
  readonly query: number
  readonly score: number
  readonly mask: Uint8Array
  readonly bytes: number
}

async function answer(source: string | Folder, options: LoadOptions): Promise<Answer> {
  const model = await FlowSeg.load(source, options)
  const bytes = model.memory().byOwner['weights'] ?? 0
  const scene = await model.look(image)
  const { query, score, mask } = await scene.segment(SENTENCE)
  const copy = new Uint8Array(mask.data)
  model.close()
  return { query, score, mask: copy, bytes }
}

const asStored = await converted(undefined)
const rounded = { int8: await converted('int8'), int4: await converted('int4') } as const

test('as it was stored, every tensor has the same bits, under the same name', async () => {
  const original = await openSafetensors(openFolder(NANO, { cache: 'none' }))
  const shards = await openSafetensors(asStored)
  expect([...shards.tensors.keys()].sort()).toEqual(
    [...original.tensors.keys()].filter((name) => shards.tensors.has(name)).sort(),
  )
  expect(new Set([...shards.tensors.values()].map(({ file }) => file)).size).toBeGreaterThan(3)
  for (const [name, { dtype, shape }] of shards.tensors) {
    expect({ dtype, shape }).toEqual(pick(original.tensors.get(name)))
    expectSameBits(new Float32Array((await shards.read(name)).buffer), floats(await original.read(name)))
  }
})

test('int4 gives the answer of rounding it at load', async () => {
  const gpu = await anyGpu()
  const expected = await answer(NANO, { gpu, quantize: 'int4', cache: 'none' })
  expect(await answer(rounded.int4, { gpu })).toEqual(expected)
})

// Elsewhere than in Node the layout that the adapter prefers
const LAYOUTS = runtime === 'node' ? ['packed', 'rows'] : ['']
for (const name of adapterNames()) {
  for (const layout of LAYOUTS) {
    const where = `${layout && `${layout}, `}on ${name || 'any adapter'}`
    test.each(some(['int4', 'int8'] as const))(
      `%s, ${where}, is bit for bit what rounding at load makes`,
      async (quantize) => {
        const variants = { ...forcedVariants(), ...(layout && { weights: layout }) }
        const gpu = await openGpu({ ...(name ? { adapter: name } : {}), variants })
        const [original, stored] = [
          await openSafetensors(openFolder(NANO, { cache: 'none' })),
          await openSafetensors(rounded[quantize]),
        ]
        const atLoad = await loadWeights(gpu, original, config, { quantize })
        const copied = await loadWeights(gpu, stored, config)
        let compared = 0
        for (const { name: tensor, kind, used, component } of parameters(config)) {
          // The embedding and the world's tensors stay on the host
          if (!used || kind === 'embedding' || component === 'world') continue
          const [a, b] = [atLoad.weights.tensor(tensor), copied.weights.tensor(tensor)]
          expect([b.dtype, b.packed], tensor).toEqual([a.dtype, a.packed])
          expect(await isSame(gpu, a, b), tensor).toBe(true)
          if (!a.scales || !b.scales) continue
          expect(await isSame(gpu, a.scales, b.scales), tensor).toBe(true)
          compared++
        }
        expect(compared).toBeGreaterThan(90)
        const ids = [0, 5, 700]
        expect(await copied.embeddings!.rows(ids)).toEqual(await atLoad.embeddings!.rows(ids))
        gpu.close()
      },
    )
  }
}

async function isSame(gpu: Gpu, a: Tensor, b: Tensor): Promise<boolean> {
  const [mine, theirs] = [await deviceBytes(gpu, a), await deviceBytes(gpu, b)]
  return mine.length === theirs.length && mine.every((byte, i) => byte === theirs[i])
}

test('asking for the bits that it is in is fine', async () => {
  const [gpu] = await adapters()
  const model = await FlowSeg.load(rounded.int4, { gpu: gpu!, quantize: 'int4' })
  expect(model.quantized['llm']).toBe('int4')
  model.close()
})

test('a recipe rounds each part as it says, and the model says what it holds', async () => {
  const [gpu] = await adapters()
  const model = await FlowSeg.load(await converted('llm=int4,siglip=int8'), { gpu: gpu! })
  expect(model.quantized).toEqual({ llm: 'int4', siglip: 'int8' })
  model.close()
  const plain = await FlowSeg.load(asStored, { gpu: gpu! })
  expect(plain.quantized).toEqual({})
  plain.close()
  const atLoad = await FlowSeg.load(asStored, { gpu: gpu!, quantize: 'int8' })
  expect(atLoad.quantized).toEqual({
    llm: 'int8',
    siglip: 'int8',
    sam: 'int8',
    visualProjector: 'int8',
    segProjector: 'int8',
  })
  atLoad.close()
})

test('what is in other bits already is not rounded again', async () => {
  const [gpu] = await adapters()
  const loading = FlowSeg.load(rounded.int4, { gpu: gpu!, quantize: 'int8' })
  await expect(loading).rejects.toThrow(
    /holds weights in few bits already \(.*llm in int4.*\), and can't be .* int8/,
  )
  const mixed = FlowSeg.load(await converted('llm=int4,sam=int8'), { gpu: gpu!, quantize: 'int4' })
  await expect(mixed).rejects.toThrow(/sam in int8/)
})

const QUERY = 'llm.model.layers.0.self_attn.q_proj.weight'

test.each<[string, Change, string | RegExp]>([
  [
    'a list that is none',
    (_, metadata) => {
      metadata['flowseg.quantized'] = '["int4"]'
    },
    'metadata "flowseg.quantized" must be a JSON object of tensor names to "int8" or "int4"',
  ],
  [
    'an unknown type',
    (_, metadata) => {
      metadata['flowseg.quantized'] = '{"a":"int2"}'
    },
    'metadata "flowseg.quantized" must be',
  ],
  [
    'codes that are not listed',
    (_, metadata) => {
      delete metadata['flowseg.quantized']
    },
    /is U8?|I8|expected/,
  ],
  [
    'scales that are not finite',
    (tensors) => {
      for (const { name, bytes } of tensors) if (name === `${QUERY}.scales`) bytes.set([0x80, 0x7f], 2)
    },
    `${QUERY}.scales": the value at [0, 1] is Infinity`,
  ],
  [
    'scales of another shape',
    (tensors) => {
      tensors.forEach((tensor, i) => {
        if (tensor.name === `${QUERY}.scales`) tensors[i] = { ...tensor, shape: [tensor.bytes.length / 2] }
      })
    },
    /q_proj.weight can't be \[128, 160\] in int4: it is U8 \[128, 80\], its scales BF16 \[640\]/,
  ],
])('a checkpoint with %s is refused', async (_, change, message) => {
  const [gpu] = await adapters()
  const before = gpu!.memory().bytes
  await expect(FlowSeg.load(await converted('int4', change), { gpu: gpu! })).rejects.toThrow(message)
  expect(gpu!.memory().bytes).toBe(before)
})
