// `npm run full-size` with a small config: the random checkpoint is whole and the same every time, and PyTorch, where
// it is installed, agrees with the engine on it.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { openFolder } from '../../src/io/folder.ts'
import { openSafetensors } from '../../src/io/safetensors.ts'
import { parseConfig } from '../../src/model/checkpoint/config.ts'
import { fitOf } from '../../src/model/checkpoint/fit.ts'
import { writeRandomCheckpoint } from '../../tools/full-size/checkpoint.ts'
import { ROOT } from '../e2e/cli-harness.ts'

const NANO = join(ROOT, 'weights/flowseg-nano/config.json')
const config = parseConfig(JSON.parse(readFileSync(NANO, 'utf8')), NANO)
const folder = mkdtempSync(join(tmpdir(), 'flowseg-full-size-'))
afterAll(() => rmSync(folder, { recursive: true }))

const python = process.env['FLOWSEG_PYTHON'] ?? 'python3'
const missing = whatIsMissing()
const note = missing === undefined ? '' : ` (not run: ${missing})`

function whatIsMissing(): string | undefined {
  const { status } = spawnSync(python, ['-c', 'import torch, safetensors'])
  return status === 0 ? undefined : `${python} has no torch and safetensors; FLOWSEG_PYTHON names another`
}

test('a random checkpoint has every tensor of its config, the same bytes for the same seed, others for another', async () => {
  const places = ['first', 'again', 'other'].map((name) => join(folder, name))
  for (const [i, place] of places.entries()) await writeRandomCheckpoint(place, config, i < 2 ? 7 : 8)
  const [first = '', again = '', other = ''] = places
  const checkpoint = await openSafetensors(openFolder(first))
  try {
    expect(fitOf(checkpoint, config)).toMatchObject({ missing: [], misfits: [], unknown: [] })
  } finally {
    await checkpoint.close()
  }
  for (const name of readdirSync(first)) {
    expect(readFileSync(join(again, name)).equals(readFileSync(join(first, name)))).toBe(true)
    const isIndex = name.endsWith('.json')
    expect(readFileSync(join(other, name)).equals(readFileSync(join(first, name)))).toBe(isIndex)
  }
})

test.skipIf(missing !== undefined)(
  `the engine agrees with PyTorch on it, stage by stage${note}`,
  () => {
    const args = [
      'run',
      'full-size',
      '--',
      '--config',
      NANO,
      '--only',
      'stored',
      '--folder',
      join(folder, 'run'),
    ]
    const env = { ...process.env, FLOWSEG_PYTHON: python, FLOWSEG_TUNE: 'off' }
    const { status, stdout, stderr } = spawnSync('npm', args, { cwd: ROOT, env, encoding: 'utf8' })
    expect(status, stderr).toBe(0)
    const errors = [
      ...stdout.matchAll(
        /^\| (mask features|C|S|class scores|mask logits|refined mask logits) \| (\S+) \|$/gm,
      ),
    ]
    expect(errors).toHaveLength(6)
    // The weights are bf16, and so keys and values are kept as f16; with f32 all is below 1e-5
    for (const [line, , error] of errors) expect(Number(error), line).toBeLessThan(5e-4)
    expect(Number(/^\| equal mask pixels \| (\S+) % \|$/m.exec(stdout)?.[1])).toBeGreaterThanOrEqual(99.9)
  },
  300_000,
)
