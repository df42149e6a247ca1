// The command line itself: help, mistakes, and the commands that need no GPU.

import { copyFile, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { sourceOf } from '../../../src/cli/evaluation/source.ts'
import { writeSafetensors } from '../../../src/io/safetensors.ts'
import { writeDataset } from '../../../src/scenes/dataset.ts'
import { filesIn, flowseg, NANO, ROOT, rewriteNano, temporaryFolder } from '../cli-harness.ts'

const cwd = ROOT
const COMMANDS = [
  'segment',
  'categories',
  'ask',
  'describe',
  'demo',
  'doctor',
  'selftest',
  'tune',
  'inspect',
  'convert',
  'manifest',
  'eval',
  'bench',
  'kernel',
  'cache',
  'scenes',
]

test('--version is that of the package', async () => {
  const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { version: string }
  expect(await flowseg(['--version'], { cwd })).toEqual({ code: 0, out: `${version}\n`, err: '' })
})

test('--help lists all commands; nothing at all is a mistake that says the same', async () => {
  const { code, out, err } = await flowseg(['--help'], { cwd })
  expect([code, err]).toEqual([0, ''])
  for (const name of COMMANDS) expect(out).toMatch(new RegExp(`^  ${name} `, 'm'))
  expect(out).toContain('Exit codes: 0 done, 1 failed, 2 ')
  expect(await flowseg([], { cwd })).toEqual({ code: 2, out: '', err: out })
})

test.each(COMMANDS)('%s --help shows its usage, options, examples and exit codes', async (name) => {
  const { code, out, err } = await flowseg([name, '--help'], { cwd })
  expect([code, err]).toEqual([0, ''])
  expect(out).toContain(`flowseg ${name}`)
  expect(out).toMatch(/Options\n {2}--\w+/)
  expect(out).toContain('Examples')
  expect(out).toContain('Exit codes: 0 done, ')
  for (const line of out.split('\n')) expect(line.length, line).toBeLessThanOrEqual(112)
  expect((await flowseg(['help', name], { cwd })).out).toBe(out)
})

test.each([
  [['segmnet', 'a.png', 'x'], "There is no command 'segmnet'. Did you mean segment?"],
  [['evaluate'], 'Did you mean eval?'],
  [['frobnicate'], 'There are segment, categories, ask, describe, demo, doctor'],
  [['segment', 'a.png', 'x', '--ouput', 'b.png'], 'no option --ouput. Did you mean --out?'],
  [['segment', 'a.png', 'x', '-z'], 'no option -z.'],
  [['segment', 'a.png', 'x', '--out'], '--out needs a value: --out FILE.'],
  [['segment', 'a.png', 'x', '--out', '--task'], '--out needs a value: --out FILE.'],
  [['segment', 'a.png', 'x', '--json=yes'], '--json takes no value'],
  [['segment', 'a.png', 'x', '--task', 'guess'], "--task is 'guess', expected referring or reasoning."],
  [['segment', 'a.png', 'x', '--out', 'b.jpg'], 'only PNG is written'],
  [['segment', 'a.png'], 'Usage: flowseg segment IMAGE "SENTENCE"'],
  [['segment', 'a.png', 'x', '--__proto__'], 'no option --__proto__.'],
  [['segment', 'a.png', 'x', '--out\x1b[31m'], 'no option --out\\e[31m.'],
  [['segment', 'a.png', 'x', '--task', '\u202e\n'], "--task is '\\u{202e}\\n', expected"],
  [['segment', 'a.png', 'x', '--out='], '--out needs a value: --out FILE.'],
  [['segment', 'a.png', '-s', ''], '--sentence needs a value: --sentence TEXT.'],
  [['segment', 'a.png', '-s'], '--sentence needs a value'],
  [['segment', 'a.png', '-s', '-x'], 'is joined to it: --sentence=VALUE.'],
  [
    ['segment', 'a.png', 'x', '--out', 'a.png', '--out', 'b.png'],
    "--out is given twice: 'a.png' and 'b.png'.",
  ],
  [['segment', 'a.png', 'x', '--task', 'referring', '--task=referring'], '--task is given twice'],
  [['segment', 'a.png', 'x', '--padding', 'gray'], "--padding is 'gray', expected none or grey."],
  [['segment', 'a.png', 'x', '--compat', 'AAAI'], "--compat is 'AAAI', expected aaai or main."],
  [['eval', '--padding', 'gray'], "--padding is 'gray', expected none or grey."],
  [['eval', '--task', 'guess'], "--task is 'guess', expected referring or reasoning."],
  [['eval', '--count', ''], '--count needs a value'],
  [['eval', '--count', 'abc'], "--count is 'abc', expected a whole number"],
  [['eval', '--count=0x10'], "--count is '0x10', expected a whole number"],
  [['eval', '--count=1e999'], "--count is '1e999', expected a whole number"],
  [['eval', '--count=99999999999999999999'], 'expected a whole number'],
  [['bench', '--seconds', '0x10'], "--seconds is '0x10', expected a number greater than 0"],
  [['bench', '--seconds', '1e999'], "--seconds is '1e999', expected a number greater than 0"],
  [['bench', '--seconds=-1'], "--seconds is '-1', expected a number greater than 0"],
  [['scenes', 'x', '--start', '4294967296'], 'expected a whole number from 0 to 4,294,967,295.'],
  [['scenes', 'x', '--start', '4294967295', '--count', '2'], 'expected a whole number from 1 to 1.'],
  [['\x1b]0;x\x07'], "There is no command '\\e]0;x\\x07'."],
  [['doctor', 'please'], "does not take 'please'"],
  [['eval', '--limit', '0'], "--limit is '0', expected a whole number of at least 1."],
  [['eval', '--shard', '1/2'], '--shard 1/2 needs --results FILE'],
  [['eval', '--shard', '0/2', '--results', 'r'], "--shard is '0/2', expected I/N such as 1/4"],
  [['eval', '--shard', '3/2', '--results', 'r'], "--shard is '3/2', expected I/N"],
  [['eval', '--shard', 'half', '--results', 'r'], "--shard is 'half', expected I/N"],
  [['eval', '--split', 'val'], '--split is for folders of RefCOCO, and the test split takes none.'],
  [['eval', '--merge'], 'flowseg eval is missing something. Usage: flowseg eval --merge FILE ...'],
  [['eval', '--merge', 'a', '--shard', '1/2'], "--shard doesn't go with --merge"],
  [['eval', '--merge', 'a', '--weights', 'x'], "--weights doesn't go with --merge"],
  [['scenes', 'new', '--as', 'coco'], "--as is 'coco', expected lines or refcoco."],
  [['scenes', 'new', '--as', 'lines', '--raw'], "--raw doesn't go with --as lines"],
  [['eval', '--count', '-3'], '--count needs a value'],
  [['eval', '--count=1e3'], "--count is '1e3', expected a whole number of at least 1."],
  [['scenes'], 'Usage: flowseg scenes DIR'],
])('%j is not understood', async (args, message) => {
  const { code, out, err } = await flowseg(args, { cwd })
  expect(err).toMatch(/^flowseg: /)
  expect(err).toContain(message)
  expect(err).not.toContain('    at ')
  expect(err.trimEnd()).not.toMatch(/[^ -~]/)
  expect([code, out]).toEqual([2, ''])

  // The same for programs: one object, and nothing on standard error
  const json = await flowseg([args[0]!, '--json', ...args.slice(1)], { cwd })
  expect([json.code, json.err]).toEqual([2, ''])
  const { error } = JSON.parse(json.out) as { error: { code: string; message: string } }
  expect(error.code).toBe('ERR_USAGE')
  expect(error.message).toContain(message)
})

test.each([
  [['inspect', 'nowhere', '--json'], 1, 'ERR_WEIGHTS'],
  [['segment', 'nowhere.png', 'the cat', '--json'], 1, 'ERR_IMAGE'],
  [['segment', 'examples/scene.png', 'the <p> cat', '--json'], 1, 'ERR_PROMPT'],
  [['eval', 'nowhere', '--json'], 1, 'ERR_DATASET'],
  [['demo', '--json', '--weights', 'nowhere'], 1, 'ERR_WEIGHTS'],
  [['tune', '--json', '--weights', 'nowhere'], 1, 'ERR_WEIGHTS'],
  [['bench', '--json', '--only', 'nothing'], 2, 'ERR_USAGE'],
  [['doctor', '--json', '--json=yes'], 2, 'ERR_USAGE'],
  [['scenes', 'package.json', '--json'], 2, 'ERR_USAGE'],
  [['--json'], 2, 'ERR_USAGE'],
])('%j: the error is one object on standard output', async (args, exitCode, errorCode) => {
  const { code, out, err } = await flowseg(args, { cwd })
  expect([code, err]).toEqual([exitCode, ''])
  expect(out).toMatch(/^\{"error":\{[^\n]*\}\}\n$/)
  expect(JSON.parse(out)).toEqual({ error: { code: errorCode, message: expect.any(String) } })
})

test('behind a bare -- nothing is an option, not even --json and --help', async () => {
  for (const word of ['--json', '--help']) {
    const { code, out, err } = await flowseg(['segment', '--', 'nowhere.png', word], { cwd })
    expect([code, out]).toEqual([1, ''])
    expect(err).toContain('There is no image nowhere.png')
  }
})

// ---- segment

test.each([
  ['photo.png', ['--out', './photo.png'], 'would overwrite the image itself'],
  ['photo.png', ['--out', 'link.png'], 'would overwrite the image itself'],
  ['flow/flow.png', ['--flow', 'flow'], 'would overwrite the image itself'],
  ['flow/layer-00.png', ['--flow', 'flow/'], 'would overwrite the image itself'],
  ['flow/layer-03.png', ['--flow', 'flow'], 'would overwrite the image itself'],
  ['photo.png', ['--out', 'd/flow.png', '--flow', 'd'], 'would overwrite d/flow.png, which is also written'],
  ['photo.png', ['--mask', 'd/layer-01.png', '--flow', 'd'], 'which is also written'],
  ['photo.png', ['--out', 'd/m.png', '--mask', 'D/M.png'], 'differ in case only'],
  ['photo.png', ['--out', 'photo.png/x.png'], 'is no folder'],
  ['photo.png', ['--flow', 'photo.png'], 'is no folder'],
  [
    'photo.png',
    ['--mask', 'x.png', '--out', 'x.png/o.png'],
    'x.png would be a file, and the folder of x.png/o.png',
  ],
  ['photo.png', ['--out', join(NANO, 'x.png')], 'would be written into the folder of the model'],
  ['photo.png', ['--flow', join(NANO, 'new/flow')], 'would be written into the folder of the model'],
])('segment %s %j: no output is the image, or another', async (image, options, message) => {
  const folder = await temporaryFolder()
  await mkdir(join(folder, 'flow'))
  const example = join(ROOT, 'examples/scene.png')
  await copyFile(example, join(folder, image))
  await symlink(image, join(folder, 'link.png'))
  const before = await filesIn(folder)
  const { code, err } = await flowseg(['segment', image, 'the cat', ...options], { cwd: folder })
  expect(err).toContain(message)
  expect(code).toBe(2)
  expect(await filesIn(folder)).toEqual(before)
  expect(await readFile(join(folder, image))).toEqual(await readFile(example))
})

// ---- inspect

test('inspect counts the parameters of a config: FlowSeg with Qwen3-4B', async () => {
  const config = join(ROOT, 'weights/configs/flowseg-qwen3-4b.json')
  const { code, out } = await flowseg(['inspect', config, '--json'], { cwd })
  expect(code).toBe(0)
  expect(JSON.parse(out)).toMatchObject({ config: 'flowseg-qwen3-4b', total: 4_822_610_107 })
  expect((await flowseg(['inspect', config], { cwd })).out).toMatch(/total +4,822,610,107/)
})

test('inspect finds all that the model needs in the checkpoint that comes along', async () => {
  const text = await flowseg(['inspect'], { cwd })
  expect([text.code, text.err]).toEqual([0, ''])
  expect(text.out).toMatch(/All \d+ tensors that flowseg-nano needs are there and fit\./)
  const { code, out } = await flowseg(['inspect', NANO, '--json'], { cwd })
  const account = JSON.parse(out) as { tensors: { shape: number[] }[]; components: { parameters: number }[] }
  expect(code).toBe(0)
  expect(account).toMatchObject({ config: 'flowseg-nano', fits: true, missing: [], misfits: [], unknown: [] })
  const numbers = account.tensors.reduce((sum, { shape }) => sum + shape.reduce((p, n) => p * n, 1), 0)
  expect(account.components.reduce((sum, { parameters }) => sum + parameters, 0)).toBe(numbers)
})

test('inspect tells everything that does not fit, and fails', async () => {
  const folder = await temporaryFolder()
  const name = 'segmentor.decoder.queries_features.weight'
  await rewriteNano(folder, (tensors) => [
    ...tensors.filter((x) => !x.name.startsWith('seg_connector.model.1.') && x.name !== name),
    { name, dtype: 'F32', shape: [1, 3], bytes: new Uint8Array(12) },
    { name: 'llm.extra', dtype: 'I8', shape: [2], bytes: new Uint8Array(2) },
  ])
  const { code, out } = await flowseg(['inspect', folder], { cwd })
  expect(code).toBe(1)
  expect(out).toMatch(/9 of the \d+ tensors that flowseg-nano needs are missing/)
  expect(out).toContain('seg_connector.model.1.model.0.weight')
  expect(out).toMatch(/queries_features\.weight is \[1, 3\], expected \[\d+, \d+\]/)
  expect(out).toMatch(/1 mean nothing to this engine and would be left out:\n +llm\.extra/)

  // The file alone, without a config, and against another model's
  await mkdir(join(folder, 'bare'))
  const file = join(folder, 'bare/weights.safetensors')
  await copyFile(join(folder, 'model.safetensors'), file)
  const alone = await flowseg(['inspect', file], { cwd })
  expect(alone.code).toBe(0)
  expect(alone.out).toContain('No config.json beside it')
  const other = join(ROOT, 'weights/configs/flowseg-qwen3-4b.json')
  expect((await flowseg(['inspect', file, '--config', other], { cwd })).code).toBe(1)
})

test.each([
  ['nowhere', 'There is no folder'],
  ['nowhere.safetensors', 'There is no nowhere.safetensors in'],
  ['nowhere.json', 'There is no'],
])('inspect %s says that it is not there', async (name, message) => {
  const folder = await temporaryFolder()
  const { code, out, err } = await flowseg(['inspect', name], { cwd: folder })
  expect(err).toContain(message)
  expect([code, out]).toEqual([1, ''])
})

test('inspect opens the file that is named, also on a server, and the config beside it', async () => {
  const folder = await temporaryFolder()
  const weights = (name: string): Uint8Array =>
    writeSafetensors([{ name, dtype: 'F32', shape: [1], bytes: new Uint8Array(4) }])
  const index = { weight_map: { 'bg_embeds.listed': 'shard.safetensors' } }
  await writeFile(join(folder, 'model.safetensors'), weights('bg_embeds.model'))
  await writeFile(join(folder, 'other.safetensors'), weights('bg_embeds.other'))
  await writeFile(join(folder, 'shard.safetensors'), weights('bg_embeds.listed'))
  await writeFile(join(folder, 'foo.safetensors.index.json'), JSON.stringify(index))

  const address = await serve(folder)
  for (const [place, tensor] of [
    ['', 'bg_embeds.model'],
    ['/other.safetensors', 'bg_embeds.other'],
    ['/foo.safetensors.index.json', 'bg_embeds.listed'],
  ]) {
    for (const base of [folder, address]) {
      const { code, out, err } = await flowseg(['inspect', `${base}${place}`, '--json'], { cwd })
      expect([code, err], `${base}${place}`).toEqual([0, ''])
      expect(JSON.parse(out)).toMatchObject({ config: null, fits: null, tensors: [{ name: tensor }] })
    }
  }
  expect((await flowseg(['inspect', address], { cwd })).out).toContain('No config.json beside it')

  // With a config: one beside it, one at an address, signed or alone
  await copyFile(join(ROOT, 'weights/configs/flowseg-phi3.json'), join(folder, 'config.json'))
  await copyFile(join(ROOT, 'weights/configs/flowseg-qwen3-4b.json'), join(folder, 'large.json'))
  const file = `${address}/other.safetensors?signed=a/b`
  const beside = await flowseg(['inspect', file, '--json'], { cwd })
  expect(JSON.parse(beside.out)).toMatchObject({ config: 'flowseg-phi3', fits: false })
  const inspected = await flowseg(['inspect', file, '--json', '--config', `${address}/large.json?x`], { cwd })
  expect(JSON.parse(inspected.out)).toMatchObject({
    config: 'flowseg-qwen3-4b',
    unknown: ['bg_embeds.other'],
  })
  const alone = await flowseg(['inspect', `${address}/large.json?x`, '--json'], { cwd })
  expect(JSON.parse(alone.out)).toMatchObject({ config: 'flowseg-qwen3-4b', total: 4_822_610_107 })
})

/** A folder on a server, whole files only, until the test is over; the address has no slash at its end. */
async function serve(folder: string): Promise<string> {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '', 'http://host')
    readFile(join(folder, pathname.replace('/models/', ''))).then(
      (bytes) => response.end(bytes),
      () => response.writeHead(404).end(),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  vi.stubEnv('XDG_CACHE_HOME', await temporaryFolder()) // nothing is kept in the user's own
  onTestFinished(() => void vi.unstubAllEnvs())
  const address = server.address()
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/models`
}

// ---- eval

const NO_OPTIONS = { text: () => undefined }
const { signal } = new AbortController()

test('eval takes all of a dataset, whatever its name, and a thousand sentences of the test split', async () => {
  const folder = await temporaryFolder()
  await writeDataset(join(folder, 'test split'), { split: 'val', count: 1 })
  const wanted = async (name?: string, count?: number) =>
    (await sourceOf(name, { count }, NO_OPTIONS, { cwd: folder, signal })).wanted
  expect(await wanted('test split')).toBe(Number.POSITIVE_INFINITY)
  expect(await wanted('test split', 5)).toBe(5)
  expect(await wanted()).toBe(1000)
  expect(await wanted(undefined, 5)).toBe(5)
})

test('eval refuses a dataset of which lines are missing', async () => {
  const folder = await temporaryFolder()
  await writeDataset(join(folder, 'made'), { split: 'val', count: 1 })
  const first = async (): Promise<unknown> => {
    for await (const scene of (await sourceOf('made', {}, NO_OPTIONS, { cwd: folder, signal })).scenes)
      return scene
    return undefined
  }
  expect(await first()).toBeDefined()
  const lines = join(folder, 'made/scenes.jsonl')
  await writeFile(lines, '')
  await expect(first()).rejects.toMatchObject({
    code: 'ERR_DATASET',
    message: expect.stringContaining('The dataset in made is damaged'),
  })
  await rm(lines)
  await expect(first()).rejects.toHaveProperty('code', 'ERR_DATASET')
})

// ---- scenes

test('scenes writes a dataset, twice the same, and spares what is no dataset', async () => {
  const folder = await temporaryFolder()
  const write = (): ReturnType<typeof flowseg> =>
    flowseg(['scenes', 'made', '--count', '2', '--start', '7', '--split', 'val'], { cwd: folder })
  const { code, out, err } = await write()
  expect([code, err]).toEqual([0, ''])
  expect(out).toMatch(/^2 scenes of split val in made/)
  const files = await filesIn(folder)
  expect(files).toContain(join('made', 'scenes.json'))
  const before = await readFile(join(folder, 'made/scenes.jsonl'))
  expect((await write()).code).toBe(0)
  expect(await readFile(join(folder, 'made/scenes.jsonl'))).toEqual(before)

  await writeFile(join(folder, 'precious.txt'), 'mine')
  const refused = await flowseg(['scenes', '.'], { cwd: folder })
  expect(refused.code).toBe(2)
  expect(refused.err).toContain('holds other files')
})

test('scenes leaves no new folder behind when it is interrupted', async () => {
  const folder = await temporaryFolder()
  const stop = new AbortController()
  const options = { cwd: folder, isTTY: true, signal: stop.signal, onErr: () => stop.abort() }
  const { code, err } = await flowseg(['scenes', 'a/b', '--count', '50'], options)
  expect(code).toBe(130)
  expect(err).toContain('interrupted')
  expect(await filesIn(folder)).toEqual([])
})
