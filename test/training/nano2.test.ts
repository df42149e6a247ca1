// All of training/nano2.sh with a few scenes and two steps of each phase: it ends with weights, thresholds and figures,
// a second call has nothing left to do, and training's own checks hold. Where FLOWSEG_PYTHON names a Python with torch.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { upToDate } from '../built.ts'
import { ROOT } from '../e2e/cli-harness.ts'

const python = process.env['FLOWSEG_PYTHON'] ?? 'python3'
const code = 'import torch, numpy, PIL, safetensors, tokenizers'
const canTrain = spawnSync(python, ['-c', code]).status === 0 && spawnSync('g++', ['--version']).status === 0

const folder = mkdtempSync(join(tmpdir(), 'flowseg-nano2-'))
afterAll(() => rmSync(folder, { recursive: true }))

test.skipIf(!canTrain)(
  `training/nano2.sh gives weights and figures${canTrain ? '' : ' (not run: no Python with torch, or no g++)'}`,
  async () => {
    const main = join(await upToDate(), 'cli/main.js')
    const env = { ...process.env, PYTHON: python, FLOWSEG: `${process.execPath} ${main}` }
    const small = { STEPS: '2', COUNT: '16', TESTS: '2' }
    const make = () =>
      spawnSync('sh', [join(ROOT, 'training/nano2.sh'), folder], {
        env: { ...env, ...small },
        encoding: 'utf8',
      })
    const first = make()
    expect(first.status, `${first.stdout}\n${first.stderr}`.slice(-4000)).toBe(0)
    expect(first.stdout).toMatch(/tune1 .* s a step/)
    const config = JSON.parse(readFileSync(join(folder, 'weights/config.json'), 'utf8'))
    expect(config.tasks).toContain('grounded')
    expect(config.presence.threshold).toBeGreaterThan(0)
    for (const name of ['val2.json', 'test2.json', 'style2.json', 'test.json', 'weights/world.json']) {
      expect(existsSync(join(folder, name)), name).toBe(true)
    }
    const second = make()
    expect(second.stdout).not.toContain('==')

    const checks = spawnSync(python, ['smoke.py', folder], { cwd: join(ROOT, 'training'), encoding: 'utf8' })
    expect(checks.status, `${checks.stdout}\n${checks.stderr}`.slice(-4000)).toBe(0)
  },
  900_000,
)
