// The software driver is unpacked wherever this user may, and drivers are looked for without stumbling.

import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import os, { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, beforeEach, expect, test, vi } from 'vitest'
import { hasVulkanDriver, softwareDriver } from '../../../src/gpu/adapters/software-driver.ts'
import { replaceInNode } from '../../fixtures/builtins.ts'

/** A user that the system doesn't list, if there is no $HOME either. */
const homeless = { now: false }
replaceInNode(os, 'homedir', (homedir) => () => {
  if (homeless.now) throw new Error('ENOENT: no such file or directory, uv_os_homedir')
  return homedir()
})

const isSupported = process.platform === 'linux' && process.arch === 'x64'

const folder = mkdtempSync(join(tmpdir(), 'flowseg-driver-'))
const temporary = join(folder, 'tmp')
const ours = join(temporary, `flowseg-${process.getuid?.()}`)
const file = join(folder, 'file')
mkdirSync(temporary)
writeFileSync(file, '')

beforeEach(() => {
  homeless.now = false
  vi.stubEnv('TMPDIR', temporary)
})
afterEach(() => {
  vi.unstubAllEnvs()
})
afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

/** The cache that holds the driver: the parent of its version's folder. */
function cacheOf(driver: ReturnType<typeof softwareDriver>): string {
  if (!driver.ready) throw new Error(driver.reason)
  expect(existsSync(driver.manifest)).toBe(true)
  return dirname(dirname(driver.manifest))
}

test.runIf(isSupported)('an empty XDG_CACHE_HOME counts as none', () => {
  vi.stubEnv('XDG_CACHE_HOME', '')
  vi.stubEnv('HOME', join(folder, 'home'))
  expect(cacheOf(softwareDriver())).toBe(join(folder, 'home/.cache/flowseg'))
})

test.runIf(isSupported)(
  'without a cache that can be written to, a temporary folder of our own serves',
  () => {
    // Below a file nobody can make a folder, not even root
    vi.stubEnv('XDG_CACHE_HOME', file)
    expect(cacheOf(softwareDriver())).toBe(ours)
    expect(statSync(ours).mode & 0o777).toBe(0o700)

    vi.stubEnv('XDG_CACHE_HOME', undefined)
    homeless.now = true
    expect(cacheOf(softwareDriver())).toBe(ours)

    // Code that others may have put there is not loaded
    chmodSync(ours, 0o777)
    const refused = { ready: false, reason: expect.stringContaining(`others can write to ${ours}`) }
    expect(softwareDriver()).toEqual(refused)
    chmodSync(ours, 0o700)
  },
)

test('drivers are looked for where there is no home, and where a folder cannot be read', () => {
  for (const name of ['VK_ICD_FILENAMES', 'VK_DRIVER_FILES']) vi.stubEnv(name, undefined)
  homeless.now = true
  const elsewhere = hasVulkanDriver()

  homeless.now = false
  const home = join(folder, 'unreadable')
  vi.stubEnv('HOME', home)
  mkdirSync(join(home, '.local/share/vulkan'), { recursive: true })
  writeFileSync(join(home, '.local/share/vulkan/icd.d'), '') // no folder at all
  expect(hasVulkanDriver()).toBe(elsewhere)

  rmSync(join(home, '.local/share/vulkan/icd.d'))
  mkdirSync(join(home, '.local/share/vulkan/icd.d'))
  writeFileSync(join(home, '.local/share/vulkan/icd.d/some.json'), '{}')
  expect(hasVulkanDriver()).toBe(true)
})
