// `flowseg convert --siglip --sam --llm` reads every layout that published models have, on disk and on a hub.

import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { openFolder } from '../../../src/io/folder.ts'
import { openSafetensors, type TensorData } from '../../../src/io/safetensors.ts'
import { LocalHub } from '../../io/http/hub/local-hub.ts'
import { hashes, temporaryFolder } from '../cli-harness.ts'
import {
  assemble,
  assembleAs,
  type BaseName,
  baseFolder,
  type Change,
  changed,
  type Language,
  OPTION,
  renamed,
} from './bases.ts'

vi.setConfig({ testTimeout: 200_000 })

const EMBEDDING = 'llm.model.embed_tokens.weight'
const only =
  (begin: string): ((all: TensorData[]) => TensorData[]) =>
  (all) =>
    all.filter(({ name }) => name.startsWith(begin))
function without(json: Record<string, unknown>, ...keys: string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(json).filter(([key]) => !keys.includes(key)))
}

/** Hashes of the tensors that were written, by name. */
async function tensorsIn(folder: string): Promise<Map<string, string>> {
  const checkpoint = await openSafetensors(openFolder(folder))
  const found = new Map<string, string>()
  for (const name of checkpoint.tensors.keys()) {
    found.set(
      name,
      createHash('sha256')
        .update(await checkpoint.read(name))
        .digest('hex'),
    )
  }
  await checkpoint.close()
  return found
}

describe('a base model', () => {
  const visionConfig = (json: Record<string, unknown>): object => ({
    ...(json['vision_config'] as object),
    architectures: ['SiglipVisionModel'],
  })
  test.each<[what: string, name: BaseName, change: Change]>([
    ['saved as one file instead of shards', 'qwen3', {}],
    ['saved by safetensors instead of PyTorch', 'sam', {}],
    [
      "that is SigLIP's vision tower alone",
      'siglip',
      { tensors: only('vision_model.'), config: visionConfig },
    ],
    ['that is a part of another', 'siglip', { tensors: renamed((name) => `model.${name}`) }],
    [
      "that is SAM's image encoder alone",
      'sam',
      {
        tensors: (all) =>
          renamed((name) => name.replace(/^vision_encoder\./, ''))(only('vision_encoder.')(all)),
      },
    ],
    ['behind a prefix of a program', 'qwen3', { tensors: renamed((name) => `module.${name}`) }],
    ['without its head', 'qwen3', { tensors: renamed((name) => name.replace(/^model\./, '')) }],
    [
      'whose config says null for what it leaves out',
      'qwen3',
      {
        config: (json) => ({ ...json, rope_scaling: null, sliding_window: null, rope_parameters: null }),
      },
    ],
    [
      'whose config is that of version 5',
      'qwen3',
      {
        config: (json) => ({
          ...without(json, 'rope_theta', 'rope_scaling'),
          rope_parameters: { rope_theta: json['rope_theta'], rope_type: 'default' },
        }),
      },
    ],
    [
      'whose config leaves out the usual',
      'phi3',
      {
        config: (json) =>
          without(json, 'rms_norm_eps', 'rope_theta', 'num_key_value_heads', 'tie_word_embeddings'),
      },
    ],
    [
      'with the tables of older files',
      'siglip',
      {
        tensors: (all) => [
          ...all,
          {
            name: 'vision_model.embeddings.position_ids',
            dtype: 'I64',
            shape: [1, 1],
            bytes: new Uint8Array(8),
          },
        ],
      },
    ],
    [
      'of f64',
      'siglip',
      {
        tensors: (all) =>
          all.map((tensor) => {
            const values = new Float64Array(new Float32Array(tensor.bytes.slice().buffer))
            return { ...tensor, dtype: 'F64', bytes: new Uint8Array(values.buffer) }
          }),
      },
    ],
  ])('%s is the same model', async (_, name, change) => {
    const cwd = await temporaryFolder()
    const language: Language = name === 'phi3' ? 'phi3' : 'qwen3'
    const folder = await changed(cwd, name, change)
    expect((await assemble(cwd, language, ['plain'])).code).toBe(0)
    const { code, err } = await assemble(cwd, language, ['out'], { [OPTION[name]]: folder })
    expect([code, err]).toEqual([0, expect.stringContaining('The head is untrained')])
    expect(await tensorsIn(join(cwd, 'out'))).toEqual(await tensorsIn(join(cwd, 'plain')))
  })

  test('may be given as its file', async () => {
    const cwd = await temporaryFolder()
    const files = {
      siglip: join(baseFolder('siglip'), 'model.safetensors'),
      sam: join(baseFolder('sam'), 'pytorch_model.bin'),
      llm: join(baseFolder('qwen3'), 'model.safetensors.index.json'),
    }
    expect((await assemble(cwd, 'qwen3', ['file'], files)).code).toBe(0)
    expect((await assemble(cwd, 'qwen3', ['folder'])).code).toBe(0)
    expect(await hashes(join(cwd, 'file'))).toEqual(await hashes(join(cwd, 'folder')))
  })

  test('with more rows than tokens loses them, and says so', async () => {
    const cwd = await temporaryFolder()
    const { err } = await assemble(cwd, 'qwen3', ['out'])
    expect(err).toContain('Left out 13 rows of the embedding, which belong to no token.')
    expect(err).toMatch(/Left out \d+ tensors of the base models: logit_bias, /)
    expect((await assemble(cwd, 'phi3', ['phi'])).err).not.toContain('rows of the embedding')
  })

  test('with a head that is a copy of its embedding keeps it one', async () => {
    const cwd = await temporaryFolder()
    const llm = await changed(cwd, 'qwen3', {
      tensors: (all) => [
        ...all,
        { ...all.find(({ name }) => name === 'model.embed_tokens.weight')!, name: 'lm_head.weight' },
      ],
    })
    expect((await assemble(cwd, 'qwen3', ['out', '--all'], { llm })).code).toBe(0)
    const written = await tensorsIn(join(cwd, 'out'))
    expect(written.get('llm.lm_head.weight')).toEqual(written.get(EMBEDDING))
  })

  test('whose tokenizer has the tokens already keeps its ids', async () => {
    const cwd = await temporaryFolder()
    expect((await assemble(cwd, 'qwen3', ['first'])).code).toBe(0)
    const again = await assemble(cwd, 'qwen3', ['second', '--tokenizer', 'first'])
    expect(again.code).toBe(0)
    expect(await hashes(join(cwd, 'second'))).toEqual(await hashes(join(cwd, 'first')))
  })
})

describe('from the hub', () => {
  const hub = new LocalHub()
  beforeAll(async () => {
    await hub.listen()
    for (const name of ['siglip', 'sam', 'qwen3'] as const) {
      const files = readdirSync(baseFolder(name)).map(
        (file) => [file, new Uint8Array(readFileSync(join(baseFolder(name), file)))] as const,
      )
      hub.commit(`base/${name}`, Object.fromEntries(files), 'v1')
      hub.commit(`base/${name}`, { 'README.md': new Uint8Array([35]) })
    }
  })
  afterAll(() => hub.close())

  test('a revision of each repository is the same as its files on disk', async () => {
    vi.stubEnv('XDG_CACHE_HOME', await temporaryFolder())
    vi.stubEnv('HF_ENDPOINT', hub.endpoint)
    const cwd = await temporaryFolder()
    const parts = { siglip: 'hf:base/siglip@v1', sam: 'hf:base/sam@v1', llm: 'hf:base/qwen3@v1' }
    expect(await assemble(cwd, 'qwen3', ['hub'], parts)).toMatchObject({ code: 0 })
    expect((await assemble(cwd, 'qwen3', ['disk'])).code).toBe(0)
    expect(await hashes(join(cwd, 'hub'))).toEqual(await hashes(join(cwd, 'disk')))

    // A text tower is a quarter of SigLIP, and stays where it is
    const tower = { name: 'text_model.table', dtype: 'F32' as const, shape: [2 ** 23] }
    const siglip = await changed(cwd, 'siglip', {
      tensors: (all) => [...all, { ...tower, bytes: new Uint8Array(2 ** 25) }],
    })
    const files = readdirSync(siglip).map(
      (file) => [file, new Uint8Array(readFileSync(join(siglip, file)))] as const,
    )
    hub.commit('base/large', Object.fromEntries(files))
    hub.taken()
    expect(await assemble(cwd, 'qwen3', ['large'], { ...parts, siglip: 'hf:base/large' })).toMatchObject({
      code: 0,
    })
    const sent = hub.taken().contents.flatMap((line) => {
      const [, first, last] = /(\d+)-(\d+)$/.exec(line) ?? []
      return first === undefined ? [] : [Number(last) - Number(first) + 1]
    })
    expect(sent.length).toBeGreaterThan(0)
    expect(sent.reduce((sum, bytes) => sum + bytes, 0)).toBeLessThan(2 ** 24)
    expect(await tensorsIn(join(cwd, 'large'))).toEqual(await tensorsIn(join(cwd, 'disk')))

    const refused = await assemble(cwd, 'qwen3', ['other'], { ...parts, sam: 'hf:base/sam' })
    expect(refused).toMatchObject({ code: 1, err: expect.stringContaining('hf:base/sam') })
    expect(await readdir(cwd)).not.toContain('other')
    vi.unstubAllEnvs()
  })
})

test('a Qwen3 that cannot think is asked as one, wherever its template is', async () => {
  const cwd = await temporaryFolder()
  const llm = await changed(cwd, 'qwen3', {})
  const path = join(llm, 'tokenizer_config.json')
  const { chat_template: template = '', ...rest } = JSON.parse(await readFile(path, 'utf8')) as Record<
    string,
    string
  >
  expect(template).toContain('enable_thinking')
  await writeFile(path, JSON.stringify(rest))
  const none = await assembleAs(cwd, 'qwen3', ['none'], { llm })
  expect(none.err).toContain('The prompt is that of qwen3, with 262 tokens')
  await writeFile(join(llm, 'chat_template.jinja'), template)
  const jinja = await assembleAs(cwd, 'qwen3', ['jinja'], { llm })
  expect(jinja.err).toContain('The prompt is that of qwen3-no-think, with 262 tokens')
})
