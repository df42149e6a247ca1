// `flowseg convert --siglip --sam --llm` refuses bases that don't fit: it names the base and the first misfit, and
// writes nothing.

import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { flowseg, temporaryFolder } from '../cli-harness.ts'
import {
  assemble,
  assembleAs,
  type BaseName,
  baseFolder,
  type Change,
  changed,
  OPTION,
  renamed,
  smallConfig,
} from './bases.ts'

describe('is refused by name', () => {
  test.each<[what: string, name: BaseName, change: Change, says: RegExp]>([
    [
      'another family',
      'qwen3',
      { config: (json) => ({ ...json, model_type: 'llama' }) },
      /config\.json: model_type is "llama", expected 'qwen3' or 'phi3'/,
    ],
    [
      'an image encoder of another family',
      'siglip',
      { config: (json) => ({ ...json, model_type: 'clip' }) },
      /model_type is "clip", expected 'siglip' or 'siglip_vision_model'/,
    ],
    [
      'a SAM of another version',
      'sam',
      { config: (json) => ({ ...json, model_type: 'sam2' }) },
      /model_type is "sam2", expected 'sam' or/,
    ],
    [
      'another activation',
      'siglip',
      {
        config: (json) => ({
          ...json,
          vision_config: { ...(json['vision_config'] as object), hidden_act: 'relu' },
        }),
      },
      /vision_config\.hidden_act is "relu", expected 'gelu_pytorch_tanh'/,
    ],
    [
      'angles that are stretched',
      'phi3',
      { config: (json) => ({ ...json, rope_scaling: { type: 'longrope' } }) },
      /rope_scaling\.type is "longrope", expected 'default'/,
    ],
    [
      'angles that are stretched, as version 5 has them',
      'qwen3',
      { config: (json) => ({ ...json, rope_parameters: { rope_type: 'yarn', rope_theta: 1e6 } }) },
      /rope_parameters\.rope_type is "yarn", expected 'default'/,
    ],
    [
      'angles for a part of a head',
      'phi3',
      { config: (json) => ({ ...json, partial_rotary_factor: 0.75 }) },
      /partial_rotary_factor is 0\.75, expected 1: angles for all channels/,
    ],
    [
      'biases that no layer reads',
      'qwen3',
      {
        tensors: (all) => [
          ...all,
          {
            ...all.find(({ name }) => name === 'model.norm.weight')!,
            name: 'model.layers.0.self_attn.q_proj.bias',
          },
        ],
      },
      /--llm: .* has a tensor "model\.layers\.0\.self_attn\.q_proj\.bias", which no layer of this engine reads/,
    ],
    [
      'a layer more than its config has',
      'siglip',
      {
        config: (json) => ({
          ...json,
          vision_config: { ...(json['vision_config'] as object), num_hidden_layers: 2 },
        }),
      },
      /siglip\.layers is 3, and .* makes it 2/,
    ],
    [
      'another width than its config has',
      'sam',
      {
        tensors: (all) =>
          all.map((tensor) =>
            tensor.name.endsWith('layers.1.mlp.lin1.bias')
              ? { ...tensor, shape: [16], bytes: tensor.bytes.slice(0, 64) }
              : tensor,
          ),
      },
      /--sam: .*: vision_encoder\.layers\.1\.mlp\.lin1\.bias is \[16\], expected \[32\]\. Does its config\.json belong to it\?/,
    ],
    [
      'a tensor that is missing',
      'phi3',
      { tensors: (all) => all.filter(({ name }) => name !== 'model.layers.1.mlp.gate_up_proj.weight') },
      /--llm: .* has no tensor for llm\.model\.layers\.1\.mlp\.gate_up_proj\.weight/,
    ],
    [
      'weights of 8 bits',
      'qwen3',
      {
        tensors: (all) =>
          all.map((tensor) =>
            tensor.name.endsWith('layers.0.mlp.up_proj.weight')
              ? { ...tensor, dtype: 'I8', bytes: tensor.bytes.slice(0, 512) }
              : tensor,
          ),
      },
      /--llm: .*up_proj\.weight is I8, expected one of F32, F16, BF16/,
    ],
    [
      'a table with fewer rows than tokens',
      'phi3',
      {
        tensors: (all) =>
          all.map((tensor) =>
            tensor.name.endsWith('embed_tokens.weight')
              ? { ...tensor, shape: [260, 16], bytes: tensor.bytes.slice(0, 260 * 32) }
              : tensor,
          ),
      },
      /embed_tokens\.weight has 260 rows, and its tokenizer 261 tokens/,
    ],
    [
      'a table of another width',
      'phi3',
      {
        tensors: (all) =>
          all.map((tensor) =>
            tensor.name.endsWith('embed_tokens.weight') ? { ...tensor, shape: [522, 8] } : tensor,
          ),
      },
      /embed_tokens\.weight is \[264, 8\], expected \[264, 16\]/,
    ],
    [
      'another model altogether',
      'sam',
      { tensors: renamed((name) => name.replace('patch_embed', 'stem')) },
      /--sam: .* has no tensor whose name ends in patch_embed\.projection\.weight/,
    ],
  ])('%s', async (_, name, change, says) => {
    const cwd = await temporaryFolder()
    const folder = await changed(cwd, name, change)
    const { code, err } = await assemble(cwd, name === 'phi3' ? 'phi3' : 'qwen3', ['out'], {
      [OPTION[name]]: folder,
    })
    expect([code, err]).toEqual([1, expect.stringMatching(says)])
    expect(err).not.toContain('\n    at ')
    expect(await readdir(cwd)).not.toContain('out')
  })

  test.each<[what: string, change: (config: ReturnType<typeof smallConfig>) => object, says: RegExp]>([
    [
      'heads',
      (config) => ({ ...config, siglip: { ...(config['siglip'] as object), heads: 4 } }),
      /siglip\.heads is 4, and .*siglip makes it 2/,
    ],
    [
      'tokens',
      (config) => ({ ...config, llm: { ...(config['llm'] as object), vocab: 263 } }),
      /llm\.vocab is 263, and .*qwen3 makes it 262/,
    ],
    [
      'positions',
      (config) => ({ ...config, llm: { ...(config['llm'] as object), maxPositions: 8192 } }),
      /llm\.maxPositions is 8192, and .* makes it 4096/,
    ],
  ])('a config with other %s than its bases', async (_, change, says) => {
    const cwd = await temporaryFolder()
    await writeFile(join(cwd, 'other.json'), JSON.stringify(change(smallConfig('qwen3'))))
    const { code, err } = await assembleAs(cwd, 'qwen3', ['--config', 'other.json', 'out'])
    expect([code, err]).toEqual([1, expect.stringMatching(says)])
  })

  test('a size that the engine does not have', async () => {
    const cwd = await temporaryFolder()
    const sam = await changed(cwd, 'sam', {
      config: (json) => ({
        ...json,
        vision_config: { ...(json['vision_config'] as object), num_attention_heads: 8 },
      }),
    })
    const { code, err } = await assembleAs(cwd, 'qwen3', ['out'], { sam })
    expect([code, err]).toEqual([
      1,
      expect.stringMatching(
        /the config\.json of flowseg-qwen3-untrained: sam\.heads is 8, expected heads of/,
      ),
    ])
  })

  test.each<[what: string, name: BaseName, file: string, says: RegExp]>([
    ['config', 'sam', 'config.json', /There is no config\.json in .*sam/],
    ['tokenizer', 'qwen3', 'tokenizer.json', /There is no tokenizer\.json in .*qwen3.*--tokenizer/],
  ])('a base without its %s', async (_, name, file, says) => {
    const cwd = await temporaryFolder()
    await cp(baseFolder(name), join(cwd, name), { recursive: true })
    await rm(join(cwd, name, file))
    const { code, err } = await assemble(cwd, 'qwen3', ['out'], { [OPTION[name]]: name })
    expect([code, err]).toEqual([1, expect.stringMatching(says)])
  })

  test('a tokenizer of another kind', async () => {
    const cwd = await temporaryFolder()
    const llm = await changed(cwd, 'qwen3', {})
    const path = join(llm, 'tokenizer.json')
    const json = JSON.parse(await readFile(path, 'utf8')) as { model: object }
    await writeFile(path, JSON.stringify({ ...json, model: { ...json.model, type: 'Unigram' } }))
    const { code, err } = await assemble(cwd, 'qwen3', ['out'], { llm })
    expect([code, err]).toEqual([1, expect.stringContaining('model.type is "Unigram", expected "BPE"')])
  })

  test('a place where nothing is, and OUT where a base is', async () => {
    const cwd = await temporaryFolder()
    const missing = await assemble(cwd, 'qwen3', ['out'], { sam: 'nowhere' })
    expect(missing).toMatchObject({
      code: 1,
      err: expect.stringContaining('nothing at nowhere. Check the path of --sam'),
    })
    await cp(baseFolder('siglip'), join(cwd, 'siglip'), { recursive: true })
    const same = await assemble(cwd, 'qwen3', ['siglip'], { siglip: 'siglip' })
    expect(same).toMatchObject({
      code: 2,
      err: expect.stringContaining('OUT is --siglip, siglip: nothing is converted in place'),
    })
  })

  test.each<[args: string[], says: string]>([
    [['--siglip', 'a', '--sam', 'b', 'out'], '--llm is missing'],
    [['--llm', 'a', 'out'], '--siglip and --sam are missing'],
    [['--seed', '1', 'a', 'out'], '--siglip and --sam and --llm are missing'],
    [
      ['--siglip', 'a', '--sam', 'b', '--llm', 'c', 'd', 'out'],
      "does not take 'out'. Usage: flowseg convert --siglip PLACE --sam PLACE --llm PLACE OUT",
    ],
    [
      ['--siglip', 'a', '--sam', 'b', '--llm', 'c'],
      'is missing something. Usage: flowseg convert --siglip PLACE',
    ],
  ])('%j', async (args, says) => {
    const cwd = await temporaryFolder()
    const { code, err } = await flowseg(['convert', ...args], { cwd })
    expect([code, err]).toEqual([2, expect.stringContaining(says)])
  })

  test.each(['-1', '1.5', '4294967296', 'x'])('seed %s', async (seed) => {
    const cwd = await temporaryFolder()
    const { code, err } = await assemble(cwd, 'qwen3', ['out', `--seed=${seed}`])
    expect([code, err]).toEqual([2, expect.stringContaining('--seed is')])
  })
})
