// `flowseg inspect` lists any safetensors file, in time that grows with it, and `flowseg manifest` makes and checks
// hashes.

import { createHash } from 'node:crypto'
import { appendFile, chmod, copyFile, mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Need } from '../../../src/cli/output/inspect-memory.ts'
import { type TensorData, writeSafetensors } from '../../../src/io/safetensors.ts'
import { anyGpu } from '../../support.ts'
import { notAsRoot } from '../../where.ts'
import { copySmallFiles, filesIn, flowseg, NANO, ROOT, rewriteNano, temporaryFolder } from '../cli-harness.ts'

const empty = (name: string): TensorData => ({ name, dtype: 'F32', shape: [0], bytes: new Uint8Array(0) })

/** Seconds that listing a file of so many tensors takes. */
async function secondsFor(
  folder: string,
  names: readonly string[],
  args: readonly string[],
): Promise<number> {
  await writeFile(join(folder, 'x.safetensors'), writeSafetensors(names.map(empty)))
  const begin = performance.now()
  const { code } = await flowseg(['inspect', 'x.safetensors', ...args], { cwd: folder })
  expect(code).toBe(args.includes('--config') ? 1 : 0)
  return (performance.now() - begin) / 1000
}

test.each([
  ['one after the other', (i: number) => `a.${i}.w`, []],
  ['as JSON, all of different families', (i: number) => `a${i}.w`, ['--json']],
  [
    'against a config, behind prefixes',
    (i: number) => `module.m.m.m.m.${i}.w`,
    ['--config', join(NANO, 'config.json')],
  ],
])('inspect lists 100,000 tensors, %s, in seconds', async (_, nameOf, args) => {
  const folder = await temporaryFolder()
  const names = Array.from({ length: 100_000 }, (_, i) => nameOf(i))
  expect(await secondsFor(folder, names, args)).toBeLessThan(15) // about 1; quadratic, it was 166
})

test('inspect shows many tensors of a kind on one line', async () => {
  const folder = await temporaryFolder()
  const numbers = [0, 1, 2, 5, 7, 8, ...Array.from({ length: 100 }, (_, i) => 100 + 2 * i)]
  await writeFile(join(folder, 'x.safetensors'), writeSafetensors(numbers.map((i) => empty(`a.${i}.w`))))
  const { out } = await flowseg(['inspect', 'x.safetensors'], { cwd: folder })
  expect(out).toContain('a.{0-2,5,7-8,100,102,104,106,108,...}.w  F32  [0]  x 106')
})

test('inspect says what a model takes in each form: on disk what convert then writes', async () => {
  const folder = await temporaryFolder()
  const gpu = await anyGpu()
  const { code, out } = await flowseg(['inspect', NANO, '--json'], { cwd: folder, gpu })
  expect(code).toBe(0)
  const { adapter, forms } = (JSON.parse(out) as { memory: { adapter: string; forms: Need[] } }).memory
  expect(adapter).toBe(gpu.name)
  expect(forms.map(({ weights }) => weights)).toEqual(['as stored', 'int8', 'int4'])
  for (const { weights, disk } of forms.slice(1)) {
    await flowseg(['convert', NANO, weights, '--quantize', weights], { cwd: folder })
    const shards = (await filesIn(join(folder, weights))).filter((name) => name.endsWith('.safetensors'))
    const sizes = await Promise.all(
      shards.map(async (name) => (await stat(join(folder, weights, name))).size),
    )
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(disk)
  }
  const sizes = forms.map(({ device }) => device)
  expect(sizes).toEqual(sizes.toSorted((a, b) => b - a))
  // int8 and int4 take more than they would as stored, but never as much as this
  expect(forms.every(({ host }) => host < 400e6)).toBe(true)

  const text = await flowseg(['inspect', 'int4'], { cwd: folder, gpu })
  expect(text.out).toMatch(
    /What it takes\n  as stored +[\d.]+ MiB on disk +[\d.]+ MiB on the device +up to [\d.]+ MiB on the host/,
  )
  expect(text.out).not.toMatch(/int8 +[\d.]+ MiB on disk/)
})

test('inspect lists weights beside the config of another model, and names its type', async () => {
  const folder = await temporaryFolder()
  const config = { architectures: ['Qwen2ForCausalLM'], model_type: 'qwen2' }
  await writeFile(join(folder, 'config.json'), JSON.stringify(config))
  await writeFile(join(folder, 'model.safetensors'), writeSafetensors([empty('model.embed_tokens.weight')]))
  for (const place of ['.', 'model.safetensors']) {
    const { code, out, err } = await flowseg(['inspect', place], { cwd: folder })
    expect([code, err]).toEqual([1, ''])
    expect(out).toContain('model.embed_tokens.weight')
    expect(out).toContain('is the config of another model, of type "qwen2", not one of FlowSeg')
  }
  const { out } = await flowseg(['inspect', '.', '--json'], { cwd: folder })
  expect(JSON.parse(out)).toMatchObject({
    config: null,
    fits: false,
    problem: expect.stringContaining('"qwen2"'),
    tensors: [{ name: 'model.embed_tokens.weight' }],
  })

  // A damaged one doesn't hide the tensors either
  await writeFile(join(folder, 'config.json'), '<!doctype html><html>')
  const damaged = await flowseg(['inspect', '.'], { cwd: folder })
  expect(damaged).toMatchObject({ code: 1, err: '' })
  expect(damaged.out).toMatch(/model\.embed_tokens[^]*config\.json in .* is not JSON: .* It is a web page/)
})

test.each(['module.', 'model.', 'state_dict.', 'module._orig_mod.'])(
  'a prefix %s before every name is left out, with a config and without, and when the model is loaded',
  async (prefix) => {
    const folder = await temporaryFolder()
    await rewriteNano(folder, (tensors) => tensors.map((x) => ({ ...x, name: `${prefix}${x.name}` })))
    const said = `The names begin with "${prefix}", which is left out.`
    const beside = await flowseg(['inspect', folder], { cwd: folder })
    expect([beside.code, beside.err]).toEqual([0, ''])
    expect(beside.out).toContain(said)
    expect(beside.out).not.toMatch(/unknown|mean nothing/)
    expect(JSON.parse((await flowseg(['inspect', folder, '--json'], { cwd: folder })).out)).toMatchObject({
      prefix,
    })

    const bare = join(folder, 'bare')
    await mkdir(bare)
    await copyFile(join(folder, 'model.safetensors'), join(bare, 'x.safetensors'))
    const alone = await flowseg(['inspect', join(bare, 'x.safetensors')], { cwd: folder })
    expect(alone.code).toBe(0)
    expect(alone.out).toContain(said)

    const picture = join(ROOT, 'examples/scene.png')
    const loaded = await flowseg(['segment', picture, 'the umbrella', '--weights', folder], {
      cwd: await temporaryFolder(),
    })
    expect(loaded.code).toBe(0)
    expect(loaded.out).toMatch(/score +0\.973\n +area +1,704 pixels/)
  },
)

test('inspect says nothing of a prefix where there is none', async () => {
  const { out } = await flowseg(['inspect'], { cwd: ROOT })
  expect(out).not.toContain('The names begin')
})

test('inspect shows names of tensors escaped: they forge no line', async () => {
  const folder = await temporaryFolder()
  const names = [
    'a\n  All 999 tensors that x needs are there and fit.',
    '\u001b[2Jb',
    'c\u202ed',
    'e\u009b31m',
  ]
  await writeFile(join(folder, 'x.safetensors'), writeSafetensors(names.map(empty)))
  const { out } = await flowseg(['inspect', 'x.safetensors', '--config', join(NANO, 'config.json')], {
    cwd: folder,
  })
  expect(out.replaceAll('\n', '')).not.toMatch(/\p{Cc}|\p{Cf}/u)
  expect(out).not.toMatch(/^ *All 999/m)
  for (const shown of [
    String.raw`a\n  All 999`,
    String.raw`\e[2Jb`,
    String.raw`c\u{202e}d`,
    String.raw`e\x9b31m`,
  ])
    expect(out).toContain(shown)

  const json = (await flowseg(['inspect', 'x.safetensors', '--json'], { cwd: folder })).out
  expect(json.trimEnd()).not.toMatch(/\p{Cc}|\p{Cf}/u)
  const { tensors } = JSON.parse(json) as { tensors: { name: string }[] }
  expect(tensors.map(({ name }) => name).sort()).toEqual(names.toSorted())
})

// ---- manifest

const hash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const MODEL = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json']

test('manifest lists the files of a model, and the model loads with it', async () => {
  const folder = await temporaryFolder()
  await rewriteNano(folder, (tensors) => tensors)
  await writeFile(join(folder, 'README.md'), 'no part of the model')
  const { code, out, err } = await flowseg(['manifest', folder], { cwd: folder })
  expect([code, err]).toEqual([0, ''])
  expect(out).toMatch(/manifest\.json lists 4 files\n\n {2}config\.json +[\d,]+ bytes +[0-9a-f]{64}\n/)
  const { files } = JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8')) as {
    files: Record<string, { sha256: string; size: number }>
  }
  expect(Object.keys(files).sort()).toEqual(MODEL)
  for (const name of MODEL) {
    const bytes = await readFile(join(folder, name))
    expect(files[name]).toEqual({ sha256: hash(bytes), size: bytes.length })
  }
  expect(await filesIn(folder)).toEqual(['README.md', ...[...MODEL, 'manifest.json'].sort()])

  const checked = await flowseg(['manifest', folder, '--check'], { cwd: folder })
  expect(checked).toMatchObject({ code: 0, err: '' })
  expect(checked.out).toContain('All 4 files are as listed.')
  const inspected = await flowseg(['inspect', folder], { cwd: folder })
  expect(inspected.code).toBe(0)
  expect(inspected.out).toMatch(/Files, by manifest\.json\n {2}config\.json +as listed/)
})

test('manifest lists the shards of an index', async () => {
  const folder = await temporaryFolder()
  await writeFile(join(folder, 'a.safetensors'), writeSafetensors([empty('a')]))
  await writeFile(join(folder, 'b.safetensors'), writeSafetensors([empty('b')]))
  const index = { weight_map: { a: 'a.safetensors', b: 'b.safetensors' } }
  await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify(index))
  const { out } = await flowseg(['manifest', '.', '--json'], { cwd: folder })
  const { files } = JSON.parse(out) as { files: object }
  expect(Object.keys(files)).toEqual(['model.safetensors.index.json', 'a.safetensors', 'b.safetensors'])

  // One that came later is told
  const more = { weight_map: { ...index.weight_map, c: 'c.safetensors' } }
  await writeFile(join(folder, 'c.safetensors'), writeSafetensors([empty('c')]))
  await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify(more))
  const checked = await flowseg(['manifest', '.', '--check'], { cwd: folder })
  expect(checked.out).toContain('Not listed: c.safetensors.')
})

test('a stale manifest is named by whoever reads it, with what renews it', async () => {
  const folder = await temporaryFolder()
  await rewriteNano(folder, (tensors) => tensors)
  await flowseg(['manifest', folder], { cwd: folder })
  const picture = join(ROOT, 'examples/scene.png')
  const cwd = await temporaryFolder()
  const segment = () => flowseg(['segment', picture, 'the umbrella', '--weights', folder], { cwd })
  const renew = `if you changed it, renew manifest.json: flowseg manifest ${folder}`

  // Another size, another content, a file that is gone
  await appendFile(join(folder, 'config.json'), ' ')
  expect((await segment()).err).toContain(renew)
  const config = await readFile(join(folder, 'config.json'), 'utf8')
  await writeFile(join(folder, 'config.json'), config.slice(0, -1).replace('flowseg-nano', 'flowseg-mine'))
  expect((await segment()).err).toMatch(new RegExp(`config.json: its bytes are damaged .*${renew}`))
  await writeFile(join(folder, 'tokenizer_config.json'), '{}')

  const { code, out } = await flowseg(['manifest', folder, '--check'], { cwd: folder })
  expect(code).toBe(1)
  expect(out).toMatch(/config\.json +differs: its SHA-256 is [0-9a-f]{64}, [0-9a-f]{64} is listed/)
  expect(out).toMatch(/tokenizer_config\.json +differs: it has 2 bytes, 260 are listed/)
  expect(out).toMatch(/model\.safetensors +as listed/)
  expect(out).toContain(
    `2 of 4 files are not as listed. \`flowseg manifest ${folder}\` lists the files as they are now.`,
  )
  const inspected = await flowseg(['inspect', folder], { cwd: folder })
  expect(inspected.code).toBe(1)
  expect(inspected.out).toMatch(/config\.json +differs: its SHA-256[^]*renew it: flowseg manifest DIR/)
  expect(
    JSON.parse((await flowseg(['manifest', folder, '--check', '--json'], { cwd: folder })).out),
  ).toMatchObject({
    holds: false,
    files: expect.arrayContaining([expect.objectContaining({ name: 'config.json', verdict: 'differs' })]),
  })

  // Renewed, it holds
  expect((await flowseg(['manifest', folder], { cwd: folder })).code).toBe(0)
  expect((await flowseg(['manifest', folder, '--check'], { cwd: folder })).code).toBe(0)
  expect((await flowseg(['inspect', folder], { cwd: folder })).code).toBe(0)
})

test('manifest says what it cannot do, and leaves everything as it was', async () => {
  const folder = await temporaryFolder()
  const failing = async (...args: string[]) => {
    const before = await filesIn(folder)
    const { code, out, err } = await flowseg(['manifest', ...args], { cwd: folder })
    expect([code, out]).toEqual([args.includes('https://x/y') || args.length === 0 ? 2 : 1, ''])
    expect(await filesIn(folder)).toEqual(before)
    return err
  }
  expect(await failing()).toContain('Usage: flowseg manifest DIR')
  expect(await failing('https://x/y')).toContain('takes a folder on disk')
  expect(await failing('none')).toMatch(/There is no folder .*none\. Check the path/)
  expect(await failing('.')).toContain(
    'There is nothing of a model in .: none of config.json, tokenizer.json',
  )
  await copySmallFiles(folder)
  expect(await failing('.', '--check')).toContain(
    'There is no manifest.json in .. `flowseg manifest .` lists',
  )
  await writeFile(join(folder, 'manifest.json'), '{"name": "a web app"}')
  expect(await failing('.')).toContain('it seems to belong to something else, and is not replaced')
  expect(await readFile(join(folder, 'manifest.json'), 'utf8')).toBe('{"name": "a web app"}')
  await writeFile(
    join(folder, 'manifest.json'),
    '{"files": {"../config.json": {"sha256": "' + hash(new Uint8Array()) + '"}}}',
  )
  expect(await failing('.', '--check')).toContain('"../config.json" is not a plain file name')
  await writeFile(join(folder, 'manifest.json'), '{"files": {"config.json": {"sha2')
  expect(await failing('.', '--check')).toContain('manifest.json in')
  expect((await flowseg(['manifest', '.'], { cwd: folder })).code).toBe(0) // a damaged one is replaced
  await writeFile(join(folder, 'model.safetensors'), 'version https://git-lfs.github.com/spec/v1')
  expect(await failing('.')).toContain('git lfs pull')
})

test.skipIf(notAsRoot)(`manifest in a folder that cannot be written to${notAsRoot}`, async () => {
  const folder = await temporaryFolder()
  await copySmallFiles(folder)
  await chmod(folder, 0o555)
  const { code, err } = await flowseg(['manifest', '.'], { cwd: folder })
  await chmod(folder, 0o755)
  expect(code).toBe(1)
  expect(err).toContain("manifest.json can't be written: EACCES")
})

test('a config with a thousand million layers is refused before anything is built', async () => {
  const folder = await temporaryFolder()
  const config = await readFile(join(NANO, 'config.json'), 'utf8')
  await writeFile(join(folder, 'config.json'), config.replace('"layers": 4', '"layers": 1000000000'))
  const why = 'siglip.layers is 1000000000, expected a positive whole number, at most 512'
  const alone = await flowseg(['inspect', 'config.json'], { cwd: folder })
  expect(alone).toMatchObject({ code: 1, out: '', err: expect.stringContaining(why) })
  await writeFile(join(folder, 'model.safetensors'), writeSafetensors([empty('a')]))
  const beside = await flowseg(['inspect', '.'], { cwd: folder })
  expect(beside).toMatchObject({ code: 1, err: '', out: expect.stringContaining(why) })
})
