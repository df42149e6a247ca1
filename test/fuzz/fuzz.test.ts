// A slice of `npm run fuzz` (tools/fuzz.mjs): another one with FLOWSEG_SEED. The 20,000 of a release take minutes.

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { beforeAll, expect, test } from 'vitest'
import formats from '../../tools/fuzz/formats.json' with { type: 'json' }
import { onlyOnLinux } from '../where.ts'

const SEED = process.env['FLOWSEG_SEED'] ?? '1'
const COUNT = 1800
const SECONDS = 60

beforeAll(() => {
  const vite = ['node_modules/vite/bin/vite.js', 'build', '--config', 'tools/fuzz/vite.config.ts']
  const { status, stderr } = spawnSync(process.execPath, [...vite, '--logLevel', 'warn'], {
    encoding: 'utf8',
  })
  expect(status, stderr).toBe(0)
})

function fuzz(...args: string[]) {
  return spawnSync(process.execPath, ['tools/fuzz.mjs', ...args], { encoding: 'utf8' })
}

test(`${COUNT} mutated files, or a minute of them, seed ${SEED}: no untyped error, no crash, nothing slow or large`, () => {
  const { status, stdout, stderr } = fuzz('--count', `${COUNT}`, '--seconds', `${SECONDS}`, '--seed', SEED)
  expect(`${stdout}${stderr}`).toMatch(/ cases, 0 failures/)
  expect(status).toBe(0)
  for (const format of Object.keys(formats)) {
    expect(stdout).toMatch(new RegExp(`^${format} +[1-9]`, 'm'))
  }
})

test.skipIf(onlyOnLinux)(`whatever goes wrong is noticed, told and saved${onlyOnLinux}`, () => {
  const { status, stdout } = fuzz('--only', 'broken', '--count', '6')
  expect(status).toBe(1)
  expect(stdout).toMatch(/broken +6 +2 /)
  expect(stdout).toContain('seed 1: 6 cases, 4 failures')
  expect(stdout).toMatch(/broken 1: untyped\nTypeError: of no kind of ours/)
  expect(stdout).toMatch(/broken 2: time\nmore than 1 s/)
  expect(stdout).toMatch(/broken 3: memory\n\d+ MiB more than before/)
  expect(stdout).toMatch(/broken 4: crash\nSIGSEGV/)
  expect([...readFileSync('out/fuzz/broken-1-4.json')]).toEqual([4])
})
