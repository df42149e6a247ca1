// flowseg cache lists what was kept of a server's files, and deletes it.

import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { openFolder } from '../../../src/io/folder.ts'
import { FileServer } from '../../io/http/file-server.ts'
import { flowseg, ROOT, temporaryFolder } from '../cli-harness.ts'

const cwd = ROOT
const server = new FileServer()
beforeAll(() => server.listen())
afterAll(() => server.close())
beforeEach(async () => {
  vi.stubEnv('XDG_CACHE_HOME', await temporaryFolder())
})
afterEach(() => {
  vi.unstubAllEnvs()
})

test('cache: what is kept, of all or one address; --clear deletes it', async () => {
  expect(await flowseg(['cache'], { cwd })).toEqual({ code: 0, out: 'Nothing is kept.\n', err: '' })
  for (const [path, size] of [
    ['/a/w.bin', 2_500_000],
    ['/b/v.bin', 6_000_000],
  ] as const) {
    server.files.set(path, { bytes: new Uint8Array(size), etag: '"1"' })
    const [, folder, file] = path.split('/')
    const source = await openFolder(`${server.origin}/${folder}?token=secret`).open(file!)
    await source.read(0, 10) // a block
    await source.verify?.()
    await source.close()
  }
  const { origin } = server
  const all = await flowseg(['cache'], { cwd })
  expect(all).toEqual({
    code: 0,
    out: `${origin}/a/w.bin  2.5 MB\n${origin}/b/v.bin  4.2 MB  of 6.0 MB\n6.7 MB in all\n`,
    err: '',
  })
  const one = await flowseg(['cache', `${origin}/b`, '--json'], { cwd })
  expect(JSON.parse(one.out)).toEqual({
    files: [{ url: `${origin}/b/v.bin`, bytes: 4 * 2 ** 20, size: 6_000_000 }],
  })
  expect((await flowseg(['cache', `${origin}/b`, '--clear'], { cwd })).out).toBe('Cleared: 4.2 MB\n')
  expect((await flowseg(['cache', '--json', '--clear'], { cwd })).out).toBe('{"freed":2500000}\n')
  expect((await flowseg(['cache'], { cwd })).out).toBe('Nothing is kept.\n')
})

test('cache of what is no address is refused', async () => {
  const { code, out, err } = await flowseg(['cache', 'nano', '--clear'], { cwd })
  expect(code).not.toBe(0)
  expect(out).toBe('')
  expect(err).toContain('"nano" is not the address of kept weights')
})
