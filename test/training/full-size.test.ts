// `npm run full-size` with a small config: the random checkpoint is whole and the same every time, and PyTorch, where
// it is installed, agrees with the engine on it.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, expect, test } from 'vitest'
import { openFolder } from '../../src/io/folder.ts'
import { openCheckpoint } from '../../src/io/open-checkpoint.ts'
import { openSafetensors } from '../../src/io/safetensors.ts'
import { bytesSource } from '../../src/io/source.ts'
import { parseConfig } from '../../src/model/checkpoint/config.ts'
import { fitOf } from '../../src/model/checkpoint/fit.ts'
import { writeRandomCheckpoint } from '../../tools/full-size/checkpoint.ts'
import { countSame, writeTorchFile } from '../../tools/full-size/torch-file.ts'
import { upToDate } from '../built.ts'
import { ROOT } from '../e2e/cli-harness.ts'

const { report } = (await import(pathToFileURL('tools/full-size/report.mjs').href)) as {
  report: (recorded: object) => string
}
const { failuresOf } = (await import(pathToFileURL('tools/full-size/limits.mjs').href)) as {
  failuresOf: (row: object) => string[]
}

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
    // The head is tied to the embedding there
    expect([...checkpoint.tensors.keys()]).not.toContain('llm.lm_head.weight')
  } finally {
    await checkpoint.close()
  }
  for (const name of readdirSync(first)) {
    expect(readFileSync(join(again, name)).equals(readFileSync(join(first, name)))).toBe(true)
    const isIndex = name.endsWith('.json')
    expect(readFileSync(join(other, name)).equals(readFileSync(join(first, name)))).toBe(isIndex)
  }
})

test('the same as pytorch_model.bin has the same tensors, and the head in the storage of the embedding', async () => {
  const stored = join(folder, 'to-pack')
  await writeRandomCheckpoint(stored, config, 7)
  const checkpoint = await openSafetensors(openFolder(stored))
  const path = join(folder, 'pytorch_model.bin')
  await writeTorchFile(path, checkpoint, true)
  const bytes = readFileSync(path)
  const packed = await openCheckpoint(bytesSource(bytes, 'pytorch_model.bin'))
  try {
    expect(await countSame(checkpoint, packed)).toBe(checkpoint.tensors.size)
    expect(packed.tensors.size).toBe(checkpoint.tensors.size + 1)
    const place = (name: string) => [packed.tensors.get(name)?.begin, packed.tensors.get(name)?.end]
    expect(place('llm.lm_head.weight')).toEqual(place('llm.model.embed_tokens.weight'))
    if (missing === undefined) {
      const read = `import torch; print(sum(1 for x in torch.load('${path}').values() if x.isfinite().all()))`
      const { stdout, stderr } = spawnSync(python, ['-c', read], { encoding: 'utf8' })
      expect(stdout.trim(), stderr).toBe(`${packed.tensors.size}`)
    }
    const others = await openSafetensors(openFolder(join(folder, 'other')))
    await expect(countSame(others, packed)).rejects.toThrow('has other bits in')
    await others.close()
  } finally {
    await packed.close()
    await checkpoint.close()
  }
})

test('the report has a column for each form and says yes or no to each target, and dashes for what is not there', () => {
  const recorded = JSON.parse(readFileSync(join(ROOT, 'bench/results/full-size.json'), 'utf8')) as {
    rows: object[]
  }
  expect(report(recorded)).toBe(readFileSync(join(ROOT, 'bench/results/full-size.md'), 'utf8'))

  const row = { ...recorded.rows[0], type: 'int4', disk: 2.9e9, devicePeak: 3.9e9, devicePredicted: 3.95e9 }
  const loading = { date: '', adapter: '', rounding: 90, stored: 10, bytes: 1, rates: {} }
  const text = report({ config: 'some', rows: [row], loading })
  expect(text).toContain('| weights on disk | at most 3.00 GB | - | - | - | 2.90 GB: yes |')
  expect(text).toContain('| device memory | at most 3.80 GB | - | - | - | 3.90 GB: no |')
  expect(text).toMatch(/\| loading it stored.*\| 9.0 times: yes \|/)
  expect(failuresOf(row)).toEqual([])
  const failing = { ...row, devicePeak: 4e9, hostPeak: 2, hostPredicted: 1, sameAnswers: false }
  expect(failuresOf(failing)).toHaveLength(3)
})

test.skipIf(missing !== undefined)(
  `the engine agrees with PyTorch on it, stage by stage, as stored and in few bits${note}`,
  async () => {
    await upToDate()
    const args = ['run', 'full-size', '--', '--config', NANO, '--folder', join(folder, 'run')]
    const env = { ...process.env, FLOWSEG_PYTHON: python, FLOWSEG_TUNE: 'off' }
    const { status, stdout, stderr } = spawnSync('npm', args, { cwd: ROOT, env, encoding: 'utf8' })
    expect(status, stderr).toBe(0)
    // As stored, of the .bin, then of int8 and of int4: the error against weights that are rounded alike, and that of
    // the rounding
    const cells = (name: string): number[] => {
      const line = stdout.split('\n').find((row) => row.startsWith(`| ${name} |`)) ?? ''
      return [...line.slice(`| ${name}`.length).matchAll(/(?<=\| )[\d.e-]+/g)].map(Number)
    }
    for (const name of ['mask features', 'C', 'S', 'class logits', 'class scores']) {
      const [stored = 1, bin, int8 = 1, rounded8 = 0, int4 = 1, rounded4 = 0] = cells(name)
      // The weights are bf16 or less, and so keys and values are kept as f16; with f32 all is below 1e-5
      expect(Math.max(stored, int8, int4), name).toBeLessThan(5e-4)
      expect(bin, name).toBe(stored)
      expect(rounded8, name).toBeGreaterThan(int8)
      expect(rounded4, name).toBeGreaterThan(rounded8)
    }
    // Memory in GB, predicted beside measured, of the four forms
    for (const name of [
      'the same, as `flowseg inspect` predicts it',
      'the same, as `flowseg inspect` predicts it at most',
    ]) {
      expect(cells(name), name).toHaveLength(4)
      expect(Math.min(...cells(name)), name).toBeGreaterThan(0)
    }
    expect(stdout).toContain('| answers, against those of the safetensors | - | the same bits | - | - |')
    const [stored = 0] = cells('equal mask pixels')
    expect(stored).toBeGreaterThanOrEqual(99.9)
  },
  600_000,
)
