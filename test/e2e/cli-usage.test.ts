// The command line itself: help, mistakes, and the commands that need no GPU.

import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { filesIn, flowseg, NANO, ROOT, rewriteNano, temporaryFolder } from './cli-harness.ts'

const cwd = ROOT
const COMMANDS = ['segment', 'demo', 'doctor', 'inspect', 'eval', 'scenes']

test('--version is that of the package', async () => {
  const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { version: string }
  expect(await flowseg(['--version'], { cwd })).toEqual({ code: 0, out: `${version}\n`, err: '' })
})

test('--help lists all commands; nothing at all is a mistake that says the same', async () => {
  const { code, out, err } = await flowseg(['--help'], { cwd })
  expect([code, err]).toEqual([0, ''])
  for (const name of COMMANDS) expect(out).toMatch(new RegExp(`^  ${name} `, 'm'))
  expect(await flowseg([], { cwd })).toEqual({ code: 2, out: '', err: out })
})

test.each(COMMANDS)('%s --help shows its usage, options and examples', async (name) => {
  const { code, out, err } = await flowseg([name, '--help'], { cwd })
  expect([code, err]).toEqual([0, ''])
  expect(out).toContain(`flowseg ${name}`)
  expect(out).toMatch(/Options\n {2}--\w+/)
  expect(out).toContain('Examples')
  for (const line of out.split('\n')) expect(line.length, line).toBeLessThanOrEqual(112)
  expect((await flowseg(['help', name], { cwd })).out).toBe(out)
})

test.each([
  [['segmnet', 'a.png', 'x'], "There is no command 'segmnet'. Did you mean segment?"],
  [['evaluate'], 'Did you mean eval?'],
  [['frobnicate'], 'There are segment, demo, doctor'],
  [['segment', 'a.png', 'x', '--ouput', 'b.png'], 'no option --ouput. Did you mean --out?'],
  [['segment', 'a.png', 'x', '-z'], 'no option -z.'],
  [['segment', 'a.png', 'x', '--out'], '--out needs a value: --out FILE.'],
  [['segment', 'a.png', 'x', '--out', '--json'], '--out needs a value: --out FILE.'],
  [['segment', 'a.png', 'x', '--json=yes'], '--json takes no value'],
  [['segment', 'a.png', 'x', '--task', 'guess'], "--task is 'guess', expected referring or reasoning."],
  [['segment', 'a.png', 'x', '--out', 'b.jpg'], 'only PNG is written'],
  [['segment', 'a.png'], 'Usage: flowseg segment IMAGE "SENTENCE"'],
  [['doctor', 'please'], "does not take 'please'"],
  [['eval', '--count', '-3'], '--count needs a value'],
  [['eval', '--count=1e3'], "--count is '1e3', expected a whole number of at least 1."],
  [['scenes'], 'Usage: flowseg scenes DIR'],
])('%j is not understood', async (args, message) => {
  const { code, out, err } = await flowseg(args, { cwd })
  expect(err).toMatch(/^flowseg: /)
  expect(err).toContain(message)
  expect(err).not.toContain('    at ')
  expect([code, out]).toEqual([2, ''])
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
  expect(out).toMatch(/queries_features\.weight is F32 \[1, 3\], expected \[\d+, \d+\]/)
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
  ['nowhere', 'There is neither model.safetensors'],
  ['nowhere.safetensors', 'There is no file'],
  ['nowhere.json', 'There is no'],
])('inspect %s says that it is not there', async (name, message) => {
  const folder = await temporaryFolder()
  const { code, out, err } = await flowseg(['inspect', name], { cwd: folder })
  expect(err).toContain(message)
  expect([code, out]).toEqual([1, ''])
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
