// What `flowseg convert` and `flowseg inspect` make of weights without a config.json of FlowSeg: beside that of a
// language model, with values of somebody else, at true size.

import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { writeSafetensors } from '../../../src/io/safetensors.ts'
import { nameInXsam, packagedConfig, writeSparse } from '../../model/convert/sparse-checkpoint.ts'
import { flowseg, NANO, type Outcome, rewriteNano, temporaryFolder } from '../cli-harness.ts'

/** A folder m with nano's weights and tokenizer beside this config.json, and a t with the tokenizer beside it. */
async function beside(config: object | undefined, where: 'm' | 't' = 'm'): Promise<string> {
  const cwd = await temporaryFolder()
  for (const folder of ['m', 't']) {
    await mkdir(join(cwd, folder))
    const names = folder === 'm' ? ['model.safetensors'] : []
    for (const name of [...names, 'tokenizer.json', 'tokenizer_config.json'])
      await symlink(join(NANO, name), join(cwd, folder, name))
  }
  if (config) await writeFile(join(cwd, where, 'config.json'), JSON.stringify(config))
  return cwd
}

async function written(cwd: string): Promise<{ llm: object; knows?: object; presence: object }> {
  return JSON.parse(await readFile(join(cwd, 'out/config.json'), 'utf8')) as never
}

const convert = (cwd: string, ...args: string[]): Promise<Outcome> =>
  flowseg(['convert', 'm', 'out', ...args], { cwd })

test.each(['m', 't'] as const)(
  'the base of rotary angles comes from the config.json in %s',
  async (where) => {
    const rope = { rope_parameters: { rope_theta: 7_654_321, rope_type: 'default' } }
    const cwd = await beside({ model_type: 'qwen3', ...rope }, where)
    const { code, err } = await convert(cwd, '--tokenizer', 't')
    expect([code, err]).toEqual([
      0,
      expect.stringMatching(/llm\.ropeTheta is 7654321, by .*\/config\.json\./),
    ])
    const { llm, knows } = await written(cwd)
    expect(llm).toMatchObject({ ropeTheta: 7_654_321 })
    expect(knows).toBeDefined()
    expect((await flowseg(['inspect', 'out'], { cwd })).code).toBe(0)
  },
)

test.each(['m', 't'] as const)(
  'a config.json in %s that contradicts the tensors is refused',
  async (where) => {
    for (const [json, message] of [
      [{ model_type: 'qwen3', num_hidden_layers: 99 }, 'num_hidden_layers is 99, and by its tensors'],
      [
        { model_type: 'llama' },
        'is of a model of type "llama", and by its tensors the checkpoint is flowseg-nano',
      ],
      [{ architectures: ['X'] }, 'has no model_type'],
    ] as const) {
      const cwd = await beside(json, where)
      const { code, err } = await convert(cwd, '--tokenizer', 't')
      expect([code, err]).toEqual([1, expect.stringContaining(message)])
      expect(err).toContain('--config FILE')
      // As it says
      expect((await convert(cwd, '--config', join(NANO, 'config.json'))).code).toBe(0)
    }
  },
)

test('segment and convert name a config.json of another kind alike', async () => {
  const cwd = await beside({ architectures: ['X'] })
  const { err } = await flowseg(['segment', join(NANO, '../../examples/scene.png'), 'x', '--weights', 'm'], {
    cwd,
  })
  expect(err).toContain('is the config of another model, of type "X", not one of FlowSeg')
  const other = await beside({ layers: 3 })
  expect((await convert(other)).err).toContain(`model is missing, expected 'flowseg'`)
})

test("values of somebody else's training: nothing that the packaged ones know, and X-SAM's thresholds", async () => {
  const cwd = await temporaryFolder()
  await mkdir(join(cwd, 'm'))
  // One number of the last tensor, which no sample of values would see
  await rewriteNano(join(cwd, 'm'), (tensors) =>
    tensors.map((tensor, i) => {
      if (i < tensors.length - 1) return tensor
      const bytes = tensor.bytes.slice()
      bytes[bytes.length - 4] = 1 ^ (bytes.at(-4) ?? 0)
      return { ...tensor, bytes }
    }),
  )
  await flowseg(['manifest', 'm'], { cwd })
  const config = { text: JSON.parse(await readFile(join(cwd, 'm/config.json'), 'utf8')) as object }
  const own = await flowseg(['convert', 'm', 'own'], { cwd })
  expect(own).toMatchObject({ code: 0, err: expect.not.stringContaining('Its values') })
  expect(JSON.parse(await readFile(join(cwd, 'own/config.json'), 'utf8'))).toEqual(config.text)

  const bare = await temporaryFolder()
  await mkdir(join(bare, 'm'))
  for (const name of ['model.safetensors', 'tokenizer.json', 'tokenizer_config.json'])
    await symlink(join(cwd, 'm', name), join(bare, 'm', name))
  const { code, err } = await convert(bare)
  expect([code, err]).toEqual([
    0,
    expect.stringContaining('Its values are not those of the packaged flowseg-nano'),
  ])
  const foreign = await written(bare)
  expect(foreign.knows).toBeUndefined()
  expect(foreign.presence).toEqual({ threshold: 0.5, all: 0.6 })

  const same = await beside(undefined)
  expect((await convert(same)).err).not.toContain('Its values')
  expect(await written(same)).toMatchObject({ knows: {}, presence: { threshold: 0.5175 } })
})

test("X-SAM's weights without a tokenizer: which model they are, and what they lack", async () => {
  const cwd = await temporaryFolder()
  await mkdir(join(cwd, 'm'))
  await writeSparse(join(cwd, 'm'), await packagedConfig('flowseg-phi3'), nameInXsam)
  const { code, err } = await convert(cwd)
  expect([code, err]).toEqual([
    1,
    expect.stringMatching(
      /no tokenizer\.json in .*\/m\. By its names and shapes it is flowseg-phi3, without the semantic flow\. .*--tokenizer hf:owner\/name/,
    ),
  ])
  // Of another model
  const other = await convert(cwd, '--tokenizer', NANO)
  expect([other.code, other.err]).toEqual([
    1,
    expect.stringMatching(/tokenizer does not fit .* By its names and shapes it is flowseg-phi3/),
  ])
})

test('inspect says what convert would find', async () => {
  const cwd = await beside(undefined)
  const { code, out } = await flowseg(['inspect', 'm'], { cwd })
  expect(code).toBe(0)
  expect(out).toMatch(/No config\.json beside it.*\n.*By its names and shapes it is flowseg-nano, with/)
  expect(out).toMatch(/All \d+ tensors that flowseg-nano needs are there and fit/)
  const json = JSON.parse((await flowseg(['inspect', 'm', '--json'], { cwd })).out) as object
  expect(json).toMatchObject({ config: null, fits: null, recognized: { config: 'flowseg-nano' } })

  await writeFile(join(cwd, 'm/config.json'), JSON.stringify({ model_type: 'qwen3', num_hidden_layers: 99 }))
  const contradicted = await flowseg(['inspect', 'm'], { cwd })
  expect(contradicted.code).toBe(1)
  expect(contradicted.out).toContain(
    'num_hidden_layers is 99, and by its tensors the checkpoint is flowseg-nano',
  )

  const lacking = await temporaryFolder()
  await rewriteNano(lacking, (tensors) => tensors.filter(({ name }) => name !== 'llm.model.norm.weight'))
  await writeFile(join(lacking, 'config.json'), JSON.stringify({ model_type: 'bert' }))
  const close = await flowseg(['inspect', '.'], { cwd: lacking })
  expect(close.code).toBe(1)
  expect(close.out).toMatch(
    /type "bert"[^]*comes closest to flowseg-nano.*There is no llm\.model\.norm\.weight/,
  )
})

test('inspect says which words all names of a foreign checkpoint begin with', async () => {
  const tensors = [0, 1, 2, 3, 4].map((i) => ({
    name: `module.a.${i}.w`,
    dtype: 'F32' as const,
    shape: [0],
    bytes: new Uint8Array(0),
  }))
  for (const config of [undefined, { model_type: 'bert' }]) {
    const cwd = await temporaryFolder()
    await writeFile(join(cwd, 'model.safetensors'), writeSafetensors(tensors))
    if (config) await writeFile(join(cwd, 'config.json'), JSON.stringify(config))
    const { out } = await flowseg(['inspect', '.'], { cwd })
    expect(out).toContain('All names begin with "module.a.".')
    expect(out).toMatch(/none of its 5 tensors is one of flowseg-/)
  }
})
