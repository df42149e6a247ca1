// `flowseg convert` writes a model that loads as the original does, and finds out which model it is.

import { copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openFolder } from '../../../src/io/folder.ts'
import { openSafetensors, type TensorData } from '../../../src/io/safetensors.ts'
import { dequantizeRows, quantizeRows } from '../../../src/kernels/quantize.ts'
import {
  copySmallFiles,
  filesIn,
  flowseg,
  hashes,
  NANO,
  type Outcome,
  rewriteNano,
  temporaryFolder,
} from '../cli-harness.ts'

const EMBEDDING = 'llm.model.embed_tokens.weight'
const QUERY = 'llm.model.layers.0.self_attn.q_proj.weight'
const SHARDS = ['--shard-size', '2MiB']

/** Tensors' bytes; toEqual takes a minute for all of a model's. */
function expectBytes(actual: ArrayBufferView, expected: ArrayBufferView, name: string): void {
  const bytes = (x: ArrayBufferView): Uint8Array => new Uint8Array(x.buffer, x.byteOffset, x.byteLength)
  expect(Buffer.compare(bytes(actual), bytes(expected)), name).toBe(0)
}

async function convert(cwd: string, ...args: string[]): Promise<Outcome> {
  return flowseg(['convert', ...args], { cwd })
}

test.each<[string, string[]]>([
  ['as it is stored', []],
  ['in int8', ['--quantize', 'int8']],
  ['in int4', ['--quantize', 'int4']],
  ['by a recipe', ['--quantize', 'llm=int4,siglip=int8,sam=int8']],
])('what is converted %s holds what it should, and fits', async (_, args) => {
  const folder = await temporaryFolder()
  const { code, out, err } = await convert(folder, NANO, 'out', ...SHARDS, ...args)
  expect([code, err]).toEqual([0, expect.stringContaining('The model is flowseg-nano, by')])
  expect(out).toMatch(/^out: flowseg-nano, .*iB in \d+ shards, /)

  // 1. The files, with their hashes
  const names = await filesIn(join(folder, 'out'))
  const small = [
    'config.json',
    'manifest.json',
    'model.safetensors.index.json',
    'tokenizer.json',
    'tokenizer_config.json',
  ]
  expect(names.filter((name) => !/^model-\d{5}-of-\d{5}\.safetensors$/.test(name))).toEqual(small)
  expect(names.length).toBeGreaterThan(small.length + 2)
  expect((await flowseg(['manifest', 'out', '--check'], { cwd: folder })).code).toBe(0)
  const inspected = await flowseg(['inspect', 'out'], { cwd: folder })
  expect(inspected.out).toContain('that flowseg-nano needs are there and fit')
  const total = / total .* ([\d,]+) numbers/
  expect(total.exec(inspected.out)?.[1]).toBe(
    total.exec((await flowseg(['inspect', NANO], { cwd: folder })).out)?.[1],
  )
  for (const name of ['config.json', 'tokenizer.json', 'tokenizer_config.json']) {
    expect(await readFile(join(folder, 'out', name)), name).toEqual(await readFile(join(NANO, name)))
  }

  // 2. The values: those of the original, or what it is rounded to
  const [original, converted] = await Promise.all([
    openSafetensors(openFolder(NANO)),
    openSafetensors(openFolder(join(folder, 'out'))),
  ])
  const listed: unknown = JSON.parse(converted.metadata.get('flowseg.quantized') ?? '{}')
  const types = new Map(Object.entries(listed as Record<string, 'int8' | 'int4'>))
  for (const [name, { shape, dtype }] of converted.tensors) {
    if (name.endsWith('.scales')) continue
    const values = new Float32Array((await original.read(name)).buffer)
    const bytes = await converted.read(name)
    const type = types.get(name)
    if (!type) {
      expect(dtype, name).toBe('F32')
      expectBytes(bytes, values, name)
      continue
    }
    const [, K = 1] = original.tensors.get(name)!.shape
    const rows = quantizeRows(values, K, type)
    expect([shape[1], type === 'int8' ? 'I8' : 'U8'], name).toEqual([
      type === 'int8' ? K : 16 * Math.ceil(K / 32),
      dtype,
    ])
    expectBytes(bytes, rows.data, name)
    const scales = await converted.read(`${name}.scales`)
    const wide =
      type === 'int8' ? scales : Uint8Array.from([...pairs(scales)].flatMap(([a, b]) => [0, 0, a, b]))
    expectBytes(wide, rows.scales, name)
    expect(dequantizeRows(rows, K, type).some((value) => value !== 0)).toBe(true)
  }
  const wanted = args.at(-1)
  expect([types.get(QUERY), types.get('segmentor.encoder.layers.0.attn.qkv.weight')]).toEqual(
    wanted === undefined
      ? [undefined, undefined]
      : wanted.includes(',')
        ? ['int4', 'int8']
        : [wanted, wanted],
  )
  await Promise.all([original.close(), converted.close()])
})

function* pairs(bytes: Uint8Array): Generator<readonly [number, number]> {
  for (let i = 0; i < bytes.length; i += 2) yield [bytes[i]!, bytes[i + 1]!]
}

test('a segmentation by converted weights is that of the original, and so is one from a further conversion', async () => {
  const folder = await temporaryFolder()
  await copyFile('examples/scene.png', join(folder, 'scene.png'))
  await convert(folder, NANO, 'stored', ...SHARDS)
  await convert(folder, NANO, 'int4', '--quantize', 'int4')
  await convert(folder, 'int4', 'again', ...SHARDS)
  const masks: Buffer[] = []
  for (const weights of [NANO, 'stored', 'int4', 'again']) {
    const args = [
      'segment',
      'scene.png',
      'the dotted shape',
      '--weights',
      weights,
      '--json',
      '--mask',
      `${masks.length}.png`,
    ]
    const { code, err } = await flowseg(args, { cwd: folder })
    expect([code, err]).toEqual([0, ''])
    masks.push(await readFile(join(folder, `${masks.length}.png`)))
  }
  expect(masks[1]).toEqual(masks[0])
  expect(masks[3]).toEqual(masks[2])
})

describe('the model it is', () => {
  /** Nano under other names, without a config of ours. */
  async function nameless(
    cwd: string,
    rename: (name: string) => string,
    keep: (name: string) => boolean = () => true,
  ): Promise<string> {
    await mkdir(join(cwd, 'm'))
    await rewriteNano(join(cwd, 'm'), (tensors) =>
      tensors.filter(({ name }) => keep(name)).map((tensor) => ({ ...tensor, name: rename(tensor.name) })),
    )
    await rm(join(cwd, 'm', 'config.json'))
    return 'm'
  }
  const isFlow = (name: string): boolean => /semantic_|condition_attn|boundary_refiner/.test(name)
  const asAaai = (name: string): string =>
    name
      .replace(/^vision_encoder\./, 'visual_encoder.')
      .replace('segmentor.class_predictor.logit_scale', 'segmentor.logit_scale')

  test.each<[string, (name: string) => string, (name: string) => boolean, RegExp[], object]>([
    [
      'with the flow',
      (name) => name,
      () => true,
      [/it is flowseg-nano, with the semantic flow/],
      { compat: 'aaai' },
    ],
    [
      "of X-SAM's AAAI branch",
      asAaai,
      (name) => !isFlow(name),
      [/flowseg-nano, without the semantic flow/, /AAAI branch: compat is aaai/],
      { compat: 'aaai' },
    ],
    [
      "of X-SAM's main branch",
      (name) => name,
      (name) => !isFlow(name),
      [/main branch: compat is main/],
      { compat: 'main' },
    ],
    [
      'behind a prefix',
      (name) => `module.${name}`,
      () => true,
      [/Every name began with module\.: it is left out/],
      {},
    ],
  ])('is found by names and shapes: one %s', async (_, rename, keep, notes, config) => {
    const cwd = await temporaryFolder()
    const source = await nameless(cwd, rename, keep)
    const { code, err } = await convert(cwd, source, 'out')
    expect(code).toBe(0)
    for (const note of notes) expect(err).toMatch(note)
    const written = JSON.parse(await readFile(join(cwd, 'out/config.json'), 'utf8')) as object
    expect(written).toMatchObject({ model: 'flowseg', name: 'flowseg-nano', ...config })
    expect((await flowseg(['inspect', 'out'], { cwd })).code).toBe(0)
  })

  test('may be told: --compat', async () => {
    const cwd = await temporaryFolder()
    expect((await convert(cwd, NANO, 'out', '--compat', 'main')).code).toBe(0)
    expect(JSON.parse(await readFile(join(cwd, 'out/config.json'), 'utf8'))).toMatchObject({ compat: 'main' })
  })

  test('that it comes closest to is named, with the first difference', async () => {
    const cwd = await temporaryFolder()
    const source = await nameless(
      cwd,
      (name) => name,
      (name) => name !== QUERY,
    )
    const { code, err } = await convert(cwd, source, 'out')
    expect([code, err]).toEqual([
      1,
      expect.stringMatching(
        /comes closest to flowseg-nano. The first difference: There is no llm\.model\.layers\.0\.self_attn\.q_proj\.weight/,
      ),
    ])
  })

  test('needs as many rows in its embedding as tokens', async () => {
    const cwd = await temporaryFolder()
    await mkdir(join(cwd, 'm'))
    await rewriteNano(join(cwd, 'm'), (tensors) =>
      tensors.map((tensor) => {
        if (tensor.name !== EMBEDDING) return tensor
        const [rows = 0, width = 0] = tensor.shape
        return {
          ...tensor,
          shape: [rows - 3, width],
          bytes: tensor.bytes.subarray(0, (rows - 3) * width * 4),
        }
      }),
    )
    const { code, err } = await convert(cwd, 'm', 'out')
    expect([code, err]).toEqual([
      1,
      expect.stringContaining('The embedding has 1,277 rows, and flowseg-nano has 1,280 tokens'),
    ])
  })

  test('needs its own tokenizer', async () => {
    const cwd = await temporaryFolder()
    await mkdir(join(cwd, 't'))
    await copySmallFiles(join(cwd, 't'))
    const json = JSON.parse(await readFile(join(NANO, 'tokenizer.json'), 'utf8')) as {
      added_tokens: { id: number; content: string }[]
    }
    json.added_tokens.push({ id: 1400, content: '<other>' })
    await writeFile(join(cwd, 't/tokenizer.json'), JSON.stringify(json))
    const { code, err } = await convert(cwd, NANO, 'out', '--tokenizer', 't')
    expect([code, err]).toEqual([1, expect.stringContaining('The tokenizer does not fit the model')])
    expect(await readdir(cwd)).toEqual(['t'])
  })
})

test('tensors that no network reads are left out, and kept with --all', async () => {
  const cwd = await temporaryFolder()
  await mkdir(join(cwd, 'm'))
  const extra: TensorData[] = ['llm.lm_head.weight', 'something.else'].map((name) => ({
    name,
    dtype: 'F32',
    shape: [787, 160],
    bytes: new Uint8Array(787 * 160 * 4),
  }))
  await rewriteNano(join(cwd, 'm'), (tensors) => [
    ...tensors.filter(({ name }) => name !== 'llm.lm_head.weight'),
    ...extra,
  ])
  const { err } = await convert(cwd, 'm', 'out')
  expect(err).toMatch(/Left out \d+ tensors? of .* that no network reads: .*llm\.lm_head\.weight/)
  expect(err).toContain(
    'Left out 1 tensor of 491.9 KiB that mean nothing to this engine: something.else'.replace('491.9', '492'),
  )
  expect((await convert(cwd, 'm', 'all', '--all')).err).not.toContain('Left out')
  const [usual, whole] = [
    await openSafetensors(openFolder(join(cwd, 'out'))),
    await openSafetensors(openFolder(join(cwd, 'all'))),
  ]
  expect([usual.tensors.has('something.else'), whole.tensors.has('something.else')]).toEqual([false, true])
  await Promise.all([usual.close(), whole.close()])
})

test('a model of f64 becomes one of f32', async () => {
  const cwd = await temporaryFolder()
  await mkdir(join(cwd, 'm'))
  await rewriteNano(join(cwd, 'm'), (tensors) =>
    tensors.map((tensor) => {
      const values = new Float64Array(new Float32Array(tensor.bytes.slice().buffer))
      return { ...tensor, dtype: 'F64', bytes: new Uint8Array(values.buffer) }
    }),
  )
  expect((await convert(cwd, 'm', 'out', ...SHARDS)).code).toBe(0)
  expect((await convert(cwd, NANO, 'plain', ...SHARDS)).code).toBe(0)
  const [wide, plain] = [
    await openSafetensors(openFolder(join(cwd, 'out'))),
    await openSafetensors(openFolder(join(cwd, 'plain'))),
  ]
  for (const name of plain.tensors.keys()) expectBytes(await wide.read(name), await plain.read(name), name)
  await Promise.all([wide.close(), plain.close()])
})

test('SOURCE may be a file, whose small files lie beside it', async () => {
  const cwd = await temporaryFolder()
  expect((await convert(cwd, join(NANO, 'model.safetensors'), 'file', ...SHARDS)).code).toBe(0)
  expect((await convert(cwd, NANO, 'folder', ...SHARDS)).code).toBe(0)
  expect(await hashes(join(cwd, 'file'))).toEqual(await hashes(join(cwd, 'folder')))
})

test('progress on a terminal has bytes and a rate, and --json is one line', async () => {
  const cwd = await temporaryFolder()
  const { err } = await flowseg(['convert', NANO, 'out', ...SHARDS], { cwd, isTTY: true })
  expect(err).toMatch(/convert.* of 19\.\d MiB, [\d.]+ [KMG]iB\/s/)
  const { out, err: quiet } = await convert(cwd, NANO, 'small', '--quantize', 'int4', '--json')
  expect(quiet).toBe('')
  expect(JSON.parse(out)).toMatchObject({
    config: 'flowseg-nano',
    quantize: 'llm=int4,siglip=int4,sam=int4,projectors=int4',
    kept: [],
  })
})
