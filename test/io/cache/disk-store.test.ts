// In Node and Deno, weights from a URL are kept in the user's cache folder: found again by any process, whole or not at
// all, without secrets, out of reach for others. A disk that is full or can't be written is a note, and never a
// failure.

import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs, {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { UsageError } from '../../../src/errors.ts'
import { cachedWeights, clearCachedWeights } from '../../../src/io/cache/block-cache.ts'
import { type Folder, type FolderOptions, openFolder } from '../../../src/io/folder.ts'
import { replaceInNode } from '../../fixtures/builtins.ts'
import { FileServer } from '../http/file-server.ts'

/** An error of the disk, by its code, once so many files have been written. */
const disk = { code: '', after: 0 }
replaceInNode(fs, 'open', (open) => async (path, flags, mode) => {
  if (flags === 'wx' && disk.code && disk.after-- <= 0) {
    throw Object.assign(new Error(`${disk.code}: the disk says no, open '${String(path)}'`), {
      code: disk.code,
    })
  }
  return open(path, flags, mode)
})

const BLOCK = 1000
const bytes = Uint8Array.from({ length: 10 * BLOCK + 500 }, (_, i) => (i * i) >> 4)
const server = new FileServer()
let home = ''
/** The folder that blocks are in. */
let root = ''

beforeAll(() => server.listen())
afterAll(() => server.close())
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'flowseg-cache-'))
  root = join(home, 'flowseg/weights')
  vi.stubEnv('XDG_CACHE_HOME', home)
  Object.assign(disk, { code: '', after: 0 })
  Object.assign(server, { hasRanges: true, slow: undefined, answer: undefined })
  server.files.clear()
  server.files.set('/m/w.bin', { bytes, etag: '"1"' })
  server.taken()
})
afterEach(async () => {
  vi.unstubAllEnvs()
  vi.unstubAllGlobals()
  await rm(home, { recursive: true, force: true })
})

const open = (more: FolderOptions = {}, place = `${server.origin}/m`): Folder =>
  openFolder(place, { blockBytes: BLOCK, retryMs: 1, ...more })
async function readAll(folder: Folder, file = 'w.bin'): Promise<Uint8Array> {
  const source = await folder.open(file)
  try {
    const read = await source.read(0, source.size)
    await source.verify?.()
    return read
  } finally {
    await source.close()
  }
}
/** Files below the folder, with their modes. */
async function stored(): Promise<Map<string, string>> {
  const modes = new Map<string, string>()
  for (const name of await readdir(home, { recursive: true })) {
    const { mode } = await lstat(join(home, name))
    modes.set(name, (mode & 0o777).toString(8))
  }
  return modes
}
const blockPath = async (index: number): Promise<string> => {
  const name = [...(await stored()).keys()].find((path) => basename(path) === String(index))
  return join(home, name!)
}
const requested = (): number => server.taken().length

describe('a second visit', () => {
  test('downloads nothing; also with "opfs", the older name', async () => {
    expect(await readAll(open())).toEqual(bytes)
    expect(requested()).toBe(11)
    for (const cache of [undefined, 'disk', 'opfs'] as const) {
      const folder = open({ cache })
      expect(await readAll(folder)).toEqual(bytes)
      expect(server.requests).toEqual(['w.bin probe'])
      expect(requested()).toBe(0)
      expect(folder.notes).toEqual([])
    }
  })

  test('with cache: none downloads all again, and nothing is kept', async () => {
    await readAll(open({ cache: 'none' }))
    await readAll(open({ cache: 'none' }))
    expect(requested()).toBe(22)
    expect(await readdir(home)).toEqual([])
    expect([await cachedWeights(), await clearCachedWeights()]).toEqual([[], 0])
    expect(await readdir(home)).toEqual([]) // nor by looking
  })

  test('downloads all if the file changed, and drops what was kept', async () => {
    await readAll(open())
    const other = bytes.map((byte) => byte ^ 1)
    server.files.set('/m/w.bin', { bytes: other, etag: '"2"' })
    server.taken()
    expect(await readAll(open())).toEqual(other)
    expect(requested()).toBe(11)
    expect(await readdir(root)).toHaveLength(1)
  })

  test('needs no server', async () => {
    await readAll(open())
    server.answer = (request) => !!request.socket.destroy()
    const folder = open()
    expect(await readAll(folder)).toEqual(bytes)
    expect(folder.notes).toEqual([expect.stringContaining('can not be reached: the weights are those')])
  })

  test('needs no server even if it refuses optional files, as S3 does', async () => {
    const missing = server.files.has.bind(server.files)
    server.answer = (request, response) => !missing(request.url!) && !!response.writeHead(403).end()
    expect(await open().find('manifest.json')).toBeUndefined()
    await readAll(open())
    server.answer = (request) => !!request.socket.destroy()
    expect(await open().find('manifest.json')).toBeUndefined()
    expect(await readAll(open())).toEqual(bytes)
  })

  test('to a server that refuses now, or a network with a page of its own, loses nothing', async () => {
    await readAll(open())
    server.answer = (_, response) => !!response.writeHead(403).end()
    expect(await open().find('w.bin')).toBeUndefined()
    await expect(open().open('w.bin')).rejects.toThrow('403 Forbidden')
    server.answer = (_, response) => !!response.writeHead(200, { 'content-type': 'text/html' }).end('<html>')
    const folder = open()
    expect(await readAll(folder)).toEqual(bytes)
    expect(folder.notes).toEqual([expect.stringContaining('the weights are those of an earlier visit')])
    server.answer = undefined
    server.taken()
    expect(await readAll(open())).toEqual(bytes)
    expect(requested()).toBe(0)
  })

  test('after one that was given up: exactly the missing blocks are asked for', async () => {
    server.answer = (request, response) =>
      request.headers.range === 'bytes=7000-7999' && !!response.writeHead(404).end()
    await expect(readAll(open())).rejects.toThrow('404')
    server.answer = undefined
    const have = [...(await stored()).keys()].filter((path) => /\/\d+$/.test(path)).length
    expect(have).toBeGreaterThan(3)
    server.taken()
    expect(await readAll(open())).toEqual(bytes)
    expect(requested()).toBe(11 - have)
  })
})

describe('what is kept', () => {
  test('is for this user alone, under names that no server chooses', async () => {
    const place = `${server.origin}/..%2f..%2fetc/%2e%2e/a%00b/CON`
    const path = new URL(place).pathname
    server.files.set(`${path}/w.bin`, { bytes, etag: '"../../x"' })
    await readAll(open({}, place))
    const files = await stored()
    expect(files.get('flowseg/weights')).toBe('700')
    const names = [...files].filter(([name]) => name.startsWith('flowseg/weights/'))
    expect(names).toHaveLength(13)
    for (const [name, mode] of names) {
      expect(name).toMatch(/^flowseg\/weights\/[0-9a-f]{32}-[0-9a-f]{32}(\/(\d+|entry\.json))?$/)
      expect(mode).toBe(/\/(\d+|entry\.json)$/.test(name) ? '600' : '700')
    }
  })

  test('has no secrets of the address in it, and is found again with another signature', async () => {
    const signed = (signature: string): string =>
      `${server.origin.replace('//', '//me:pass@')}/m?X-Amz-Signature=${signature}&X-Amz-Expires=60&token=${signature}`
    await readAll(open({ headers: { authorization: 'Bearer hidden' } }, signed('abc123')))
    for (const path of (await stored()).keys()) {
      if (!path.endsWith('entry.json')) continue
      const text = await readFile(join(home, path), 'utf8')
      expect(text).toContain(`${server.origin}/m/w.bin`)
      expect(text).not.toMatch(/abc123|me:|pass|hidden|\?/)
    }
    expect(await cachedWeights()).toEqual([
      { url: `${server.origin}/m/w.bin`, bytes: bytes.length, size: bytes.length },
    ])
    server.taken()
    expect(await readAll(open({}, signed('def456')))).toEqual(bytes)
    expect(requested()).toBe(0)
    // A query that chooses another file makes another entry
    await readAll(open({}, `${server.origin}/m?revision=2`))
    expect(requested()).toBe(11)
  })

  test('is listed, and cleared wholly or in part; what is not ours stays', async () => {
    server.files.set('/n/v.bin', { bytes: bytes.subarray(0, 10), etag: '"1"' })
    await readAll(open())
    await readAll(open({}, `${server.origin}/n`), 'v.bin')
    expect(await open().find('none.json')).toBeUndefined()
    await mkdir(join(root, 'mine'))
    await writeFile(join(root, 'mine/file'), 'x')
    const listed = async () => (await cachedWeights()).map(({ url }) => new URL(url).pathname).sort()
    expect(await listed()).toEqual(['/m/w.bin', '/n/v.bin'])
    expect(await clearCachedWeights(`${server.origin}/m`)).toBe(bytes.length)
    expect(await listed()).toEqual(['/n/v.bin'])
    expect(await clearCachedWeights(new URL(`${server.origin}/other`))).toBe(0)
    expect(await cachedWeights(`${server.origin}/m`)).toEqual([])
    expect(await cachedWeights(`${server.origin}/n/v.bin?x=1`)).toHaveLength(1)
    await expect(clearCachedWeights('no address')).rejects.toThrow(UsageError)
    await expect(cachedWeights('no address')).rejects.toThrow('"no address" is not the address')
    expect(await clearCachedWeights()).toBe(10)
    expect(await readdir(root)).toEqual(['mine'])
    server.taken()
    await readAll(open())
    expect(requested()).toBe(11)
  })

  test('may be cleared during a download', async () => {
    const source = await open().open('w.bin')
    await source.read(0, 1000)
    await clearCachedWeights()
    expect(await source.read(0, source.size)).toEqual(bytes)
    await source.close()
    expect(await readAll(open())).toEqual(bytes)
  })

  const damages: [string, (path: string) => Promise<unknown>][] = [
    [
      'a flipped bit',
      async (path) => {
        const block = await readFile(path)
        block[500]! ^= 4
        await writeFile(path, block)
      },
    ],
    ['cut short', (path) => truncate(path, 900)],
    ['empty', (path) => truncate(path, 0)],
    ['too long', (path) => truncate(path, 2 ** 33)], // sparse: reading it would take 8 GB
    ['gone', (path) => rm(path)],
    [
      'a folder',
      async (path) => {
        await rm(path)
        await mkdir(path)
      },
    ],
    [
      'a pipe',
      async (path) => {
        await rm(path)
        await promisify(execFile)('mkfifo', [path])
      },
    ],
    [
      'a link',
      async (path) => {
        await rename(path, join(home, 'target')) // the right bytes, and still not followed
        await symlink(join(home, 'target'), path)
      },
    ],
  ]
  test.each(damages)('and damaged is fetched again: %s', async (how, damage) => {
    await readAll(open())
    await damage(await blockPath(3))
    server.taken()
    const folder = open()
    expect(await readAll(folder)).toEqual(bytes)
    expect(server.taken()).toEqual(['w.bin 3000-3999'])
    if (how === 'a link') expect((await lstat(await blockPath(3))).isFile()).toBe(true)
    if (how === 'a folder') return expect(folder.notes).toEqual([expect.stringContaining("can't keep w.bin")])
    expect(await readAll(open())).toEqual(bytes)
    expect(requested()).toBe(0)
    return undefined
  })

  test('of a process that was killed while it wrote is swept after a day', async () => {
    await readAll(open())
    const folder = dirname(await blockPath(0))
    for (const name of ['.draft-old', '.draft-new']) await writeFile(join(folder, name), 'half a block')
    await utimes(join(folder, '.draft-old'), 0, 0)
    expect(await readAll(open())).toEqual(bytes)
    const names = await readdir(folder)
    expect(names).toContain('.draft-new')
    expect(names).not.toContain('.draft-old')
    expect((await cachedWeights())[0]).toMatchObject({ bytes: bytes.length })
  })
})

describe('a disk', () => {
  test.each(['ENOSPC', 'EDQUOT'])(
    'that is full (%s) is a note; what fitted serves the next visit',
    async (code) => {
      Object.assign(disk, { code, after: 6 })
      const folder = open()
      expect(await readAll(folder)).toEqual(bytes)
      expect(folder.notes).toEqual([
        expect.stringMatching(
          /^There is no space left for .*weights: from w\.bin on, what is missing will be downloaded/,
        ),
      ])
      expect([...(await stored()).keys()].filter((path) => path.includes('.draft'))).toEqual([])
      Object.assign(disk, { code: '' })
      server.taken()
      expect(await readAll(open())).toEqual(bytes)
      expect(requested()).toBe(11 - 5) // the sixth file was entry.json
    },
  )

  test('that is full hinders no file that was kept before', async () => {
    server.files.set('/m/v.bin', { bytes, etag: '"1"' })
    await readAll(open(), 'v.bin')
    Object.assign(disk, { code: 'ENOSPC', after: 3 })
    const folder = open()
    await readAll(folder)
    server.taken()
    expect(await readAll(folder, 'v.bin')).toEqual(bytes)
    expect(requested()).toBe(0)
    expect(folder.notes).toHaveLength(1)
  })

  test('whose list of what is kept makes no sense costs a download', async () => {
    await readAll(open())
    const path = join(home, [...(await stored()).keys()].find((name) => name.endsWith('entry.json'))!)
    const text = await readFile(path, 'utf8')
    for (const size of ['1e400', '-1', '"x"', 'null', '[]']) {
      await writeFile(path, text.replace(/"size":\d+/, `"size":${size}`))
      expect(await cachedWeights()).toEqual([])
      expect(await readAll(open())).toEqual(bytes)
    }
  })

  test('that fails otherwise is a note too', async () => {
    Object.assign(disk, { code: 'EIO', after: 3 })
    const folder = open()
    expect(await readAll(folder)).toEqual(bytes)
    expect(folder.notes).toEqual([
      expect.stringMatching(/^The cache folder .* can't keep w\.bin: EIO: the disk says no/),
    ])
  })

  test.each([
    ['below a file', async () => vi.stubEnv('XDG_CACHE_HOME', '/dev/null/cache'), /ENOTDIR/],
    [
      'that is a link',
      async () => {
        await mkdir(join(home, 'elsewhere'))
        await mkdir(join(home, 'flowseg'))
        await symlink(join(home, 'elsewhere'), root)
      },
      /others can write|EEXIST/,
    ],
    [
      'where others can write',
      async () => {
        await mkdir(root, { recursive: true })
        await chmod(root, 0o777)
      },
      /others can write to/,
    ],
  ] as [string, () => Promise<unknown>, RegExp][])(
    'with no place %s: nothing is kept, which is a note',
    async (_, prepare, reason) => {
      await prepare()
      const folder = open()
      expect(await readAll(folder)).toEqual(bytes)
      expect(await readAll(folder)).toEqual(bytes)
      expect(requested()).toBe(22)
      expect(folder.notes).toEqual([
        expect.stringMatching(/^Weights can't be kept: .*They will be downloaded again/),
      ])
      expect(folder.notes?.[0]).toMatch(reason)
      expect([await cachedWeights(), await clearCachedWeights()]).toEqual([[], 0])
      if (await lstat(join(home, 'elsewhere')).catch(() => undefined)) {
        expect(await readdir(join(home, 'elsewhere'))).toEqual([])
      }
    },
  )

  test('of a user without a home', async () => {
    vi.stubEnv('XDG_CACHE_HOME', '')
    vi.stubEnv('HOME', '/dev/null')
    const folder = open()
    expect(await readAll(folder)).toEqual(bytes)
    expect(folder.notes).toEqual([expect.stringContaining("Weights can't be kept")])
  })
})

const deno = createRequire(import.meta.url).resolve('deno/bin.cjs')
interface Told {
  readonly sha256: string
  readonly notes: readonly string[]
  readonly kept: readonly { url: string; bytes: number; size: number }[]
}

describe('processes of Deno', () => {
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const args = (): string[] => [
    deno,
    'run',
    '-A',
    join(import.meta.dirname, 'disk-visit.ts'),
    `${server.origin}/m`,
    'w.bin',
    String(BLOCK),
  ]
  const env = (): NodeJS.ProcessEnv => ({ ...process.env, NO_COLOR: '1' })
  const visit = async (): Promise<Told> => {
    const { stdout } = await promisify(execFile)(process.execPath, args(), { env: env() })
    return JSON.parse(stdout) as Told
  }

  test('at once, on one folder, read the same; and what they keep is whole, for Node as well', async () => {
    const kept = [{ url: `${server.origin}/m/w.bin`, bytes: bytes.length, size: bytes.length }]
    server.slow = { bytes: 200, ms: 3 }
    for (const report of await Promise.all([visit(), visit(), visit()])) {
      expect(report).toMatchObject({ sha256, notes: [] })
    }
    server.taken()
    expect(await visit()).toEqual({ sha256, notes: [], kept })
    expect(await readAll(open())).toEqual(bytes)
    expect(requested()).toBe(0)
  })

  test('of which one is killed: the next goes on where it stopped', async () => {
    server.slow = { bytes: 100, ms: 20 }
    const child = spawn(process.execPath, args(), { env: env(), detached: true, stdio: 'ignore' })
    const ended = new Promise((resolve) => child.on('exit', resolve))
    const blocks = async () => [...(await stored()).keys()].filter((path) => /\/\d+$/.test(path)).length
    await vi.waitFor(async () => expect(await blocks()).toBeGreaterThan(2), { timeout: 30_000 })
    process.kill(-child.pid!, 'SIGKILL') // its group: Deno is a child of its launcher
    await ended
    server.slow = undefined
    const have = await blocks()
    server.taken()
    expect(await visit()).toMatchObject({ sha256, notes: [] })
    expect(requested()).toBe(11 - have)
  })
})
