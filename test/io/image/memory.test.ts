// Decoding a photograph of 12 megapixels takes at most four times the bytes of its pixels as RGBA, and 100 MB: in a
// process of its own per format, by the most memory that it ever had.

import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { upToDate } from '../../built.ts'
import { PHOTOGRAPH, PHOTOGRAPH_FORMATS, photograph } from './photograph.ts'

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 })

let folder: string
let library: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'flowseg-decoding-'))
  library = pathToFileURL(join(await upToDate(), 'index.js')).href
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/**
 * Decodes the file in its first argument with the library in its second, and tells size and bytes of memory. Linux
 * counts what the process was started from into `maxRSS`; its VmHWM is that of the process alone.
 */
const DECODE = `
  import { existsSync, readFileSync } from 'node:fs'
  const STATUS = '/proc/self/status'
  const mostKiB = () =>
    existsSync(STATUS) ? Number(/VmHWM:\\s+(\\d+)/.exec(readFileSync(STATUS, 'utf8'))[1]) : process.resourceUsage().maxRSS
  const [file, library] = process.argv.slice(1)
  const { decodeImage } = await import(library)
  const bytes = new Uint8Array(readFileSync(file))
  const before = process.memoryUsage.rss()
  const { width, height } = await decodeImage(bytes)
  console.log(JSON.stringify({ width, height, grown: mostKiB() * 1024 - before }))
`

test.each(PHOTOGRAPH_FORMATS)('%s', async (format) => {
  const { width, height } = PHOTOGRAPH
  const file = join(folder, format)
  await writeFile(file, await photograph(format))
  const args = ['--input-type=module', '--eval', DECODE, file, library]
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  expect(status, stderr).toBe(0)
  const decoded = JSON.parse(stdout) as { width: number; height: number; grown: number }
  expect([decoded.width, decoded.height].sort((a, b) => b - a)).toEqual([width, height]) // or turned
  // It is decoded into memory that wasn't there before
  expect(decoded.grown).toBeGreaterThan(3 * width * height)
  expect(decoded.grown).toBeLessThan(4 * width * height * 4 + 100e6)
})
