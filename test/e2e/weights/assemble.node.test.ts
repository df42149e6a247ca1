// `flowseg convert --siglip --sam --llm` puts published models together as one that loads: every tensor of theirs to
// the bit, the head from a seed, and outputs that are transformers' own.

import { cp, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { openFolder } from '../../../src/io/folder.ts'
import { openSafetensors, toFloat32 } from '../../../src/io/safetensors.ts'
import { loadTokenizer } from '../../../src/io/text/tokenizer.ts'
import { dequantizeRows, quantizeRows } from '../../../src/kernels/quantize.ts'
import { parseConfig } from '../../../src/model/checkpoint/config.ts'
import { parameters } from '../../../src/model/checkpoint/parameters.ts'
import { loadWeights } from '../../../src/model/checkpoint/weights.ts'
import { untrainedRows } from '../../../src/model/convert/untrained.ts'
import { kvCacheShapes, llm } from '../../../src/model/networks/llm.ts'
import { samEncoder } from '../../../src/model/networks/sam.ts'
import { siglip } from '../../../src/model/networks/siglip.ts'
import { release as free, upload } from '../../../src/tensor/tensor.ts'
import { expectGolden, goldenInput, loadGolden } from '../../fixtures/golden.ts'
import { weightTensor } from '../../fixtures/random.ts'
import { compute } from '../../model/networks/networks.ts'
import { adapters } from '../../support.ts'
import { flowseg, hashes, temporaryFolder } from '../cli-harness.ts'
import { assemble, assembleAs, baseFolder, LANGUAGES, openBase, smallConfig, TOKENS } from './bases.ts'

const EMBEDDING = 'llm.model.embed_tokens.weight'

vi.setConfig({ testTimeout: 400_000 })

/** Names here, by names of a base; the spec's table of prefixes. */
const RENAMES: readonly (readonly [base: 'siglip' | 'sam' | 'llm', from: string, to: string])[] = [
  ['siglip', 'vision_model.', 'vision_encoder.vision_model.'],
  ['sam', 'vision_encoder.', 'segmentor.encoder.'],
  ['sam', 'shared_image_embedding.', 'segmentor.shared_image_embedding.'],
  ['llm', 'model.', 'llm.model.'],
  ['llm', 'lm_head.', 'llm.lm_head.'],
]

function sameBytes(actual: Uint8Array, expected: Uint8Array, name: string): void {
  expect(Buffer.compare(actual, expected), name).toBe(0)
}

describe.each(LANGUAGES)('a model with %s', (language) => {
  test('has every tensor of its bases, to the bit', async () => {
    const cwd = await temporaryFolder()
    const { code, err } = await assemble(cwd, language, ['all', '--all'])
    expect([code, err]).toEqual([
      0,
      expect.stringMatching(
        /The head is untrained: its [\d,]+ parameters are drawn from seed 0, and so are the embeddings of <SEG>, <p>, <\/p>/,
      ),
    ])
    const whole = await openSafetensors(openFolder(join(cwd, 'all')))
    const places = { siglip: 'siglip', sam: 'sam', llm: language } as const
    let count = 0
    for (const [base, from, to] of RENAMES) {
      const original = await openBase(baseFolder(places[base]))
      for (const { name, dtype, shape } of original.tensors.values()) {
        if (!name.startsWith(from)) continue
        count++
        const own = to + name.slice(from.length)
        const entry = whole.tensors.get(own)
        expect(entry?.dtype, own).toBe(dtype)
        const [bytes, expected] = [await whole.read(own), await original.read(name)]
        const isTable = /embed_tokens|lm_head/.test(own)
        const kept = isTable ? (TOKENS[language] - 3) * 16 * 2 : expected.length
        sameBytes(bytes.subarray(0, kept), expected.subarray(0, kept), own)
        expect(entry?.shape).toEqual(isTable ? [TOKENS[language], 16] : shape)

        // The name is the stream that the values came from
        const values = toFloat32(bytes, dtype).subarray(0, (kept * 8) / (dtype === 'F32' ? 32 : 16))
        const drawn = weightTensor(own, shape, language === 'qwen3' && base === 'llm' ? 'bf16' : 'f32')
        for (const [i, value] of values.entries()) {
          if (dtype === 'F16')
            expect(Math.abs(value - drawn[i]!)).toBeLessThanOrEqual(2 ** -11 * Math.abs(drawn[i]!) + 1e-7)
          else if (value !== drawn[i]) expect(value, `${own}[${i}]`).toBe(drawn[i])
        }
      }
      await original.close()
    }
    expect(count).toBeGreaterThan(language === 'qwen3' ? 120 : 110)

    // The usual one lacks tensors that no network reads, and all others are the same
    await assemble(cwd, language, ['usual'])
    const usual = await openSafetensors(openFolder(join(cwd, 'usual')))
    const left = [...whole.tensors.keys()].filter((name) => !usual.tensors.has(name))
    expect(left).toContain('vision_encoder.vision_model.encoder.layers.2.mlp.fc1.weight')
    // A head of its own is kept: answers in words need it
    expect(usual.tensors.has('llm.lm_head.weight')).toBe(language === 'phi3')
    for (const name of usual.tensors.keys()) sameBytes(await usual.read(name), await whole.read(name), name)
    await Promise.all([whole.close(), usual.close()])
  })

  test('loads, finds its tokens, and segments', async () => {
    const cwd = await temporaryFolder()
    await cp('examples/scene.png', join(cwd, 'scene.png'))
    expect((await assemble(cwd, language, ['out'])).code).toBe(0)
    expect((await flowseg(['manifest', 'out', '--check'], { cwd })).code).toBe(0)
    expect((await flowseg(['inspect', 'out'], { cwd })).out).toContain('are there and fit')

    const [json, settings] = await Promise.all(
      ['tokenizer.json', 'tokenizer_config.json'].map((name) => readFile(join(cwd, 'out', name), 'utf8')),
    )
    const [SEGid, p, end] = [TOKENS[language] - 3, TOKENS[language] - 2, TOKENS[language] - 1]
    const tokenizer = await loadTokenizer(json!, settings!, TOKENS[language])
    expect(tokenizer.encode('<p>a</p><SEG>')).toEqual([p, expect.any(Number), end, SEGid])
    const added = (JSON.parse(json!) as { added_tokens: { id: number; content: string }[] }).added_tokens
    expect(added.slice(-3).map(({ id, content }) => [id, content])).toEqual([
      [SEGid, '<SEG>'],
      [p, '<p>'],
      [end, '</p>'],
    ])

    for (const quantize of [[], ['--quantize', 'int4']]) {
      await rm(join(cwd, 'out'), { recursive: true })
      expect((await assemble(cwd, language, ['out', ...quantize])).code).toBe(0)
      const args = [
        'segment',
        'scene.png',
        'the dotted shape',
        '--weights',
        'out',
        '--json',
        '--mask',
        'm.png',
      ]
      const { code, err, out } = await flowseg(args, { cwd })
      expect([code, err]).toEqual([0, ''])
      expect(JSON.parse(out)).toMatchObject({ image: 'scene.png' })
    }
  })

  test('rounds its matrices as those of any other: --quantize', async () => {
    const cwd = await temporaryFolder()
    await assemble(cwd, language, ['stored'])
    expect((await assemble(cwd, language, ['int8', '--quantize', 'int8'])).code).toBe(0)
    const [stored, rounded] = [
      await openSafetensors(openFolder(join(cwd, 'stored'))),
      await openSafetensors(openFolder(join(cwd, 'int8'))),
    ]
    const types = JSON.parse(rounded.metadata.get('flowseg.quantized') ?? '{}') as Record<string, string>
    expect(Object.keys(types)).toContain(EMBEDDING)
    for (const name of Object.keys(types)) {
      const { dtype, shape } = stored.tensors.get(name)!
      const rows = quantizeRows(toFloat32(await stored.read(name), dtype), shape[1]!, 'int8')
      sameBytes(await rounded.read(name), rows.data, name)
      expect(dequantizeRows(rows, shape[1]!, 'int8').some((value) => value !== 0)).toBe(true)
    }
    await Promise.all([stored.close(), rounded.close()])
  })
})

describe('the networks of an assembled model', () => {
  for (const language of LANGUAGES) {
    test(`return what transformers does with ${language}'s files`, async () => {
      const cwd = await temporaryFolder()
      await assemble(cwd, language, ['out'])
      const folder = join(cwd, 'out')
      const config = parseConfig(
        JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')),
        'config.json',
      )
      for (const gpu of await adapters()) {
        const checkpoint = await openSafetensors(openFolder(folder))
        const { weights, embeddings, release, baseline } = await loadWeights(gpu, checkpoint, config)
        expect(baseline).toBe(false)

        // 1. The image encoders
        const goldens = { siglip: loadGolden('base-siglip'), sam: loadGolden('base-sam') }
        const pixels = {
          siglip: { data: goldenInput(goldens.siglip, 'pixels'), shape: [30, 30, 3] },
          sam: { data: goldenInput(goldens.sam, 'pixels'), shape: [64, 64, 3] },
        }
        const seen = await compute(gpu, pixels, (t) => {
          const { taps } = samEncoder(t['sam'], weights.scope('segmentor.encoder.'), config.sam)
          const tower = weights.scope('vision_encoder.vision_model.')
          return {
            siglip: siglip(t['siglip'], tower, config.siglip),
            ...Object.fromEntries(taps.map((x, i) => [`hidden.${config.sam.connectorLayers[i]}`, x])),
          }
        })
        expect(Object.keys(seen)).toEqual(['siglip', 'hidden.2', 'hidden.3', 'hidden.4'])
        for (const [name, values] of Object.entries(seen)) {
          if (name === 'siglip') expectGolden('hidden.2', values, goldens.siglip, 1e-5)
          else expectGolden(name, values, goldens.sam, 1e-5)
        }

        // 2. The language model, from ids
        const golden = loadGolden(`base-${language}`)
        const ids = golden.facts['ids'] as number[]
        const { layers, shape } = kvCacheShapes(config.llm, 16)
        const zeros = new Float32Array(shape[0]! * shape[1]!)
        const cache: {
          key: Awaited<ReturnType<typeof upload>>
          value: Awaited<ReturnType<typeof upload>>
        }[] = []
        for (let i = 0; i < layers; i++) {
          cache.push({
            key: await upload(gpu, zeros, shape, 'f32'),
            value: await upload(gpu, zeros, shape, 'f32'),
          })
        }
        const x = { data: await embeddings!.rows(ids), shape: [ids.length, config.llm.hidden] }
        const { output } = await compute(gpu, { x }, (t) => ({
          output: llm(t['x'], weights.scope('llm.'), config.llm, cache, 0),
        }))
        expectGolden('output', output, golden, 1e-5)
        for (const { key, value } of cache) {
          free(gpu, key)
          free(gpu, value)
        }
        release()
        await checkpoint.close()
      }
    })
  }
})

describe('what is drawn from the seed', () => {
  test('is the same for the same seed, and for another only that is another', async () => {
    const cwd = await temporaryFolder()
    for (const [out, seed] of [
      ['a', '7'],
      ['b', '7'],
      ['c', '8'],
    ] as const) {
      expect((await assemble(cwd, 'qwen3', [out, '--seed', seed])).code).toBe(0)
    }
    expect(await hashes(join(cwd, 'b'))).toEqual(await hashes(join(cwd, 'a')))

    const [a, c] = [
      await openSafetensors(openFolder(join(cwd, 'a'))),
      await openSafetensors(openFolder(join(cwd, 'c'))),
    ]
    let differing = 0
    for (const [name, { component }] of new Map(
      parameters(parseConfig(smallConfig('qwen3'), 'small')).map((p) => [p.name, p]),
    )) {
      if (!a.tensors.has(name)) continue
      const isSame = Buffer.compare(await a.read(name), await c.read(name)) === 0
      if (['siglip', 'sam', 'llm'].includes(component) && name !== EMBEDDING) expect(isSame, name).toBe(true)
      else if (!isSame) differing++
    }
    expect(differing).toBeGreaterThan(100)
    await Promise.all([a.close(), c.close()])

    // A folder of another seed is another conversion
    const { code, err } = await assemble(cwd, 'qwen3', ['a', '--seed', '8'])
    expect([code, err]).toEqual([
      2,
      expect.stringMatching(/other settings, or of another checkpoint.*seed=7/),
    ])
  })

  test('is resumed with the same bytes', async () => {
    const cwd = await temporaryFolder()
    const args = ['out', '--shard-size', '1MiB']
    expect((await assemble(cwd, 'phi3', args)).code).toBe(0)
    const whole = await hashes(join(cwd, 'out'))
    const shards = Object.keys(whole).filter((name) => name.startsWith('model-'))
    expect(shards.length).toBeGreaterThan(1)
    for (const shard of shards) {
      await rm(join(cwd, 'out', shard))
      await rm(join(cwd, 'out/model.safetensors.index.json'))
      expect((await assemble(cwd, 'phi3', args)).err).toContain('of an earlier run')
      expect(await hashes(join(cwd, 'out'))).toEqual(whole)
    }
  })

  test('are a head of the usual size, where training starts', async () => {
    const cwd = await temporaryFolder()
    expect((await assembleAs(cwd, 'qwen3', ['out', '--compat', 'main'])).code).toBe(0)
    const config = JSON.parse(await readFile(join(cwd, 'out/config.json'), 'utf8')) as ReturnType<
      typeof smallConfig
    >
    const large = JSON.parse(
      await readFile('weights/configs/flowseg-qwen3-1.7b.json', 'utf8'),
    ) as typeof config
    const small = smallConfig('qwen3')
    const { siglip: vision, sam, llm: language } = small
    expect(config).toMatchObject({ siglip: vision, sam, llm: language, compat: 'main' })
    for (const part of ['head', 'connector', 'flow', 'boundary'])
      expect(config[part], part).toEqual(large[part])
    // Its template can tell it not to think
    expect(config['prompt']).toMatchObject({ chat: 'qwen3-no-think' })

    const model = await openSafetensors(openFolder(join(cwd, 'out')))
    const read = async (name: string): Promise<Float32Array> =>
      new Float32Array((await model.read(name)).buffer)
    const spread = (x: Float32Array): number => Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / x.length)

    // 1. nn.Linear, nn.Conv2d, norms
    for (const [name, fanIn] of [
      ['segmentor.decoder.decoder.layers.8.fc2', 2048],
      ['segmentor.decoder.decoder.layers.0.semantic_gate', 512],
      ['segmentor.pixel_decoder.input_projections.0.0', 2048],
      ['llm_projector.model.0', 16],
      ['segmentor.boundary_refiner.refine.0', 33 * 9],
    ] as const) {
      for (const part of ['weight', 'bias']) {
        const values = await read(`${name}.${part}`)
        expect(values.every((v) => Math.abs(v) <= 1 / Math.sqrt(fanIn))).toBe(true)
        const tolerance = values.length < 300 ? 0.5 : 0.02
        expect(Math.abs(spread(values) * Math.sqrt(3 * fanIn) - 1), `${name}.${part}`).toBeLessThan(tolerance)
      }
    }
    for (const norm of [
      'seg_connector.model.0.model.1',
      'segmentor.decoder.decoder.layers.0.final_layer_norm',
    ]) {
      expect(new Set(await read(`${norm}.weight`))).toEqual(new Set([1]))
      expect(new Set(await read(`${norm}.bias`))).toEqual(new Set([0]))
    }

    // 2. What has a rule of its own
    const layer = 'segmentor.pixel_decoder.encoder.layers.5.self_attn'
    for (const name of ['sampling_offsets.weight', 'attention_weights.weight', 'attention_weights.bias']) {
      expect(new Set(await read(`${layer}.${name}`))).toEqual(new Set([0]))
    }
    const directions = [
      [1, 0],
      [1, 1],
      [0, 1],
      [-1, 1],
      [-1, 0],
      [-1, -1],
      [0, -1],
      [1, -1],
    ]
    const offsets = directions.flatMap(([x = 0, y = 0]) =>
      [0, 1, 2].flatMap(() => [1, 2, 3, 4].flatMap((steps) => [x * steps, y * steps])),
    )
    expect([...(await read(`${layer}.sampling_offsets.bias`))].map((v) => v + 0)).toEqual(offsets)
    const packed = 'segmentor.decoder.decoder.layers.3.condition_attn'
    expect(spread(await read(`${packed}.in_proj_weight`))).toBeCloseTo(Math.sqrt(2 / 1024), 3)
    expect(new Set(await read(`${packed}.in_proj_bias`))).toEqual(new Set([0]))
    expect(spread(await read('segmentor.decoder.queries_features.weight'))).toBeCloseTo(1, 1)
    expect((await read('segmentor.class_predictor.logit_scale'))[0]).toBeCloseTo(2.6593, 4)
    expect((await read('segmentor.boundary_refiner.alpha'))[0]).toBeCloseTo(0.1, 6)

    // 3. Rows of new tokens: in every type the same numbers
    const table = toFloat32(await model.read(EMBEDDING), 'BF16').subarray(-3 * 16)
    await model.close()
    expect(new Set(table).size).toBeGreaterThan(30)
    expect(spread(table)).toBeCloseTo(0.018, 2)
    for (const [dtype, shift] of [
      ['F32', 0],
      ['F16', 16],
    ] as const) {
      const bytes = untrainedRows(EMBEDDING, 48, 0, dtype)
      expect(bytes.length).toBe(shift === 0 ? 192 : 96)
      expect(toFloat32(new Uint8Array(bytes), dtype)).toEqual(new Float32Array(table))
    }
  })
})
