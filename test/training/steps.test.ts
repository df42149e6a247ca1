// The lines of training/README.md, from scenes to `flowseg eval`, run as they stand there: with a few scenes and three
// steps of training. What comes out is a folder that loads, and whose manifest holds.

import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { upToDate } from '../built.ts'
import { flowseg, ROOT } from '../e2e/cli-harness.ts'

const python = process.env['FLOWSEG_PYTHON'] ?? 'python3'
const PACKAGES = ['torch', 'numpy', 'PIL', 'safetensors', 'tokenizers']
const missing = whatIsMissing()
const note = missing === undefined ? '' : ` (not run: ${missing})`

const folder = mkdtempSync(join(tmpdir(), 'flowseg-training-'))
afterAll(() => rmSync(folder, { recursive: true }))

function whatIsMissing(): string | undefined {
  const code = `import importlib.util as u; print(*(p for p in ${JSON.stringify(PACKAGES)} if not u.find_spec(p)))`
  const { status, stdout } = spawnSync(python, ['-c', code], { encoding: 'utf8' })
  if (status !== 0) return `${python} can't be run; FLOWSEG_PYTHON names another`
  if (stdout.trim() !== '')
    return `${python} has no ${stdout.trim().replaceAll(' ', ', ')}; FLOWSEG_PYTHON names another`
  return spawnSync('g++', ['--version']).status === 0 ? undefined : 'there is no g++'
}

/** The first block of commands, made small. */
function script(main: string): string {
  const readme = readFileSync(join(ROOT, 'training/README.md'), 'utf8')
  const block = /## Remake everything[^]*?```sh\n([^]*?)```/.exec(readme)?.[1] ?? ''
  expect(block).toContain('run.sh')
  const small = block
    .replace(/^python (check|fast)\.py.*$/gm, '') // comparisons, with packages and minutes of their own
    .replaceAll(/\bDATA\b/g, join(folder, 'data'))
    .replaceAll(/\bRUN\b/g, join(folder, 'run'))
    .replaceAll('--count 8000', '--count 4')
    .replaceAll('--start 8000', '--start 4')
    .replaceAll(/--count (300|100)\b/g, '--count 3')
    .replaceAll('--minutes M', '--minutes 1 --steps 3 --batch 2')
  return `set -eu
python() { "${python}" "$@"; }
npx() { shift; "${process.execPath}" "${main}" "$@"; }
${small}`
}

test.skipIf(missing !== undefined)(
  `training/README.md: its steps give a folder that loads${note}`,
  async () => {
    cpSync(join(ROOT, 'training'), join(folder, 'training'), { recursive: true })
    cpSync(join(ROOT, 'weights/flowseg-nano'), join(folder, 'weights/flowseg-nano'), { recursive: true })
    const main = join(await upToDate(), 'cli/main.js')
    const env = { ...process.env, PYTHON: python, FLOWSEG_TUNE: 'off' }
    const run = spawnSync('sh', ['-c', script(main)], { cwd: folder, env, encoding: 'utf8' })
    expect(run.status, `${run.stdout}\n${run.stderr}`.slice(-4000)).toBe(0)
    expect(run.stdout).toMatch(/step \d+: \d+ tensors, [\d,]+ parameters/)

    // The embedded model's manifest doesn't describe it any more; the new one does
    const weights = join(folder, 'weights/flowseg-nano')
    const before = readFileSync(join(ROOT, 'weights/flowseg-nano/tokenizer.json'), 'utf8')
    expect(readFileSync(join(weights, 'tokenizer.json'), 'utf8')).not.toBe(before)
    const checked = await flowseg(['manifest', weights, '--check'], { cwd: folder })
    expect(checked).toMatchObject({ code: 0, err: '' })
    const inspected = await flowseg(['inspect', weights], { cwd: folder })
    expect(inspected.out).toMatch(/All \d+ tensors that flowseg-nano needs are there and fit\./)
    expect(inspected.code).toBe(0)
    // The last lines that `flowseg eval` printed
    expect(run.stdout).toMatch(/cIoU/)
  },
  900_000,
)
