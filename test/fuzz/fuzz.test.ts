// A slice of `npm run fuzz` (tools/fuzz.mjs): another one with FLOWSEG_SEED. The 20,000 of a release take minutes.

import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'

const SEED = process.env['FLOWSEG_SEED'] ?? '1'
const COUNT = 1600
const SECONDS = 60

test(`${COUNT} mutated files, or a minute of them, seed ${SEED}: no untyped error, no crash, nothing slow or large`, () => {
  const args = ['--count', String(COUNT), '--seconds', String(SECONDS), '--seed', SEED]
  const { status, stdout, stderr } = spawnSync('npm', ['run', '--silent', 'fuzz', '--', ...args], {
    encoding: 'utf8',
  })
  expect(`${stdout}${stderr}`).toMatch(/ cases, 0 failures/)
  expect(status).toBe(0)
  for (const format of ['safetensors', 'index', 'config', 'tokenizer', 'manifest', 'jpeg', 'png', 'webp']) {
    expect(stdout).toMatch(new RegExp(`^${format} +[1-9]`, 'm'))
  }
})
