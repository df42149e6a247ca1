// The client handles a hub's answers: files of one commit, few requests, a token that goes to the hub alone, and
// refusals that say what to do. The hub is local-hub.ts; in Deno and in Chromium, see hub-visit.ts.

import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { UsageError, WeightsError } from '../../../../src/errors.ts'
import { cachedWeights, clearCachedWeights } from '../../../../src/io/cache/block-cache.ts'
import { type FolderOptions, openFolder } from '../../../../src/io/folder.ts'
import { DamagedError, type Source, UnreachableError } from '../../../../src/io/source.ts'
import { FastClock } from '../fast-clock.ts'
import { LocalHub } from './local-hub.ts'

const BLOCK = 1000
const weights = Uint8Array.from({ length: 10 * BLOCK + 500 }, (_, i) => (i * i) >> 4)
const sha256 = createHash('sha256').update(weights).digest('hex')
const text = (value: string): Uint8Array => new TextEncoder().encode(value)

let hub: LocalHub
let home = ''

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'flowseg-hub-'))
  hub = await new LocalHub().listen()
  hub.commit('me/nano', { 'config.json': text('{}'), 'w.bin': weights })
  vi.stubEnv('XDG_CACHE_HOME', home)
  vi.stubEnv('HF_ENDPOINT', hub.endpoint)
  vi.stubEnv('HF_TOKEN', '')
})
afterEach(async () => {
  vi.unstubAllEnvs()
  expect(hub.leaks).toEqual([])
  await hub.close()
  await rm(home, { recursive: true, force: true })
})

const open = (place: string, options: FolderOptions = {}) =>
  openFolder(place, { blockBytes: BLOCK, retryMs: 1, ...options })
async function readAll(source: Source): Promise<Uint8Array> {
  try {
    const bytes = await source.read(0, source.size)
    await source.verify?.()
    return bytes
  } finally {
    await source.close()
  }
}
async function read(place: string, file: string, options: FolderOptions = {}): Promise<Uint8Array> {
  return readAll(await open(place, options).open(file))
}

describe('files', () => {
  test.each([
    ['hf:me/deep/stage 3/größe/模型', 'stage 3/größe/模型/w.bin', 'main'],
    ['hf:me/deep/50% #1?&=+@main', '50% #1?&=+/w.bin', 'main'],
    ["hf:me/deep/it's (new)!*~", "it's (new)!*~/w.bin", 'main'],
    ['hf:me/deep/a@b@main', 'a@b/w.bin', 'main'],
    ['hf:me/deep/x@refs/pr/1', 'x/w.bin', 'refs/pr/1'],
    ['hf:me/deep/x@feature/größe', 'x/w.bin', 'feature/größe'],
  ])('in %s', async (place, path, revision) => {
    hub.commit('me/deep', { [path]: weights }, revision)
    expect(await read(place, 'w.bin')).toEqual(weights)
    expect(hub.asked[0]).toBe(`${path} ${revision}`)
  })

  test.each(['größe (2).bin', 'größe'.normalize('NFD'), '模型 1.bin'])('named %s', async (name) => {
    hub.commit('me/nano', { [`a/${name}`]: weights })
    expect(await read('hf:me/nano/a', name)).toEqual(weights)
  })

  test('of a repository that was renamed', async () => {
    hub.renamed.set('old/name', 'me/nano')
    const folder = open('hf:old/name')
    expect(await folder.readText('config.json')).toBe('{}')
    expect(await readAll(await folder.open('w.bin'))).toEqual(weights)
  })

  test('that need not be there are not there; the others are named, with what there is instead', async () => {
    hub.commit('me/nano', { 'a b/w.bin': weights, 'a b/c/d.json': text('{}'), 'e.json': text('{}') })
    const missing = (place: string): Promise<unknown> => open(place).open('config.json')
    expect(await open('hf:me/nano').find('manifest.json')).toBeUndefined()
    const listed = `Its files are listed at ${hub.endpoint}/me/nano/tree/main`
    await expect(missing('hf:me/nano/a b')).rejects.toThrow(
      `There is no config.json in hf:me/nano/a b, which has c/, w.bin. ${listed}/a%20b.`,
    )
    await expect(missing('hf:me/nano')).rejects.toThrow(`in hf:me/nano, which has a b/, e.json. ${listed}.`)
    await expect(missing('hf:me/nano/none')).rejects.toThrow(`in hf:me/nano/none. ${listed}/none.`)
  })
})

describe('one commit', () => {
  test('is that of the first answer, also if the branch moves on and many ask at once', async () => {
    const commit = hub.repositories.get('me/nano')?.revisions.get('main')
    hub.beforeAnswer = () => {
      const isFirst = hub.asked.length === 1
      if (!isFirst) hub.commit('me/nano', { 'config.json': text('"new"'), 'w.bin': text('new') })
    }
    const folder = open('hf:me/nano')
    const [missing, config, file] = await Promise.all([
      folder.find('manifest.json'),
      folder.readText('config.json'),
      folder.open('w.bin').then(readAll),
    ])
    expect([missing, config, file]).toEqual([undefined, '{}', weights])
    const { asked } = hub.taken()
    expect(asked.filter((request) => request.endsWith(' main'))).toHaveLength(1)
    expect(asked.filter((request) => request.endsWith(` ${commit}`))).toHaveLength(asked.length - 1)
  })

  test('that a hub does not name is done without, and other contents are noticed', async () => {
    hub.namesCommits = false
    const source = await open('hf:me/nano', { cache: 'none' }).open('w.bin')
    await source.read(0, BLOCK)
    hub.signatureLasts = 0
    hub.commit('me/nano', { 'w.bin': weights.map((byte) => byte ^ 1) })
    for (const file of hub.signed.values()) file.left = 0
    hub.signatureLasts = Infinity
    await expect(source.read(8 * BLOCK, BLOCK)).rejects.toThrow(
      'changed on the server while it was being read',
    )
    await source.close()
  })

  test('whose first answer fails is asked for by the next one', async () => {
    hub.busy = { count: 1, headers: { 'retry-after': '0' } }
    const folder = open('hf:me/nano')
    const both = Promise.all([folder.readText('config.json'), folder.open('w.bin').then(readAll)])
    expect(await both).toEqual(['{}', weights])
  })
})

describe('a second visit', () => {
  test('downloads nothing, and needs no hub', async () => {
    expect(await read('hf:me/nano', 'w.bin')).toEqual(weights)
    expect(hub.taken().contents).toHaveLength(12)
    expect(await read('hf:me/nano', 'w.bin')).toEqual(weights)
    expect(hub.taken().contents).toEqual(['w.bin 0-1'])
    hub.isDown = true
    const folder = open('hf:me/nano')
    expect(await readAll(await folder.open('w.bin'))).toEqual(weights)
    expect(folder.notes).toEqual([
      'The server can not be reached: the weights are those of an earlier visit.',
    ])
  })

  test('downloads nothing after a commit that left the file as it was, and all after one that changed it', async () => {
    await read('hf:me/nano', 'w.bin')
    hub.taken()
    hub.commit('me/nano', { 'README.md': text('new'), 'w.bin': weights })
    expect(await read('hf:me/nano', 'w.bin')).toEqual(weights)
    expect(hub.taken().contents).toEqual(['w.bin 0-1'])
    const other = weights.map((byte) => byte ^ 1)
    hub.commit('me/nano', { 'w.bin': other })
    expect(await read('hf:me/nano', 'w.bin')).toEqual(other)
    expect(hub.taken().contents).toHaveLength(12)
  })

  test('goes on where the first one stopped', async () => {
    const source = await open('hf:me/nano').open('w.bin')
    await source.read(0, 4 * BLOCK)
    await source.verify?.()
    await source.close()
    const { length } = hub.taken().contents
    expect(await read('hf:me/nano', 'w.bin')).toEqual(weights)
    expect(hub.taken().contents.length + length - 2).toBe(11)
  })

  test('is listed, and cleared, by place', async () => {
    await read('hf:me/nano', 'w.bin')
    const url = `${hub.endpoint}/me/nano/resolve/main/w.bin`
    expect(await cachedWeights('hf:me/nano')).toEqual([{ url, bytes: weights.length, size: weights.length }])
    expect(await cachedWeights('hf:me/other')).toEqual([])
    expect(await clearCachedWeights('hf:me/nano/w.bin')).toBe(weights.length)
    await expect(cachedWeights('hf:me')).rejects.toThrow(UsageError)
  })
})

describe('a signed address', () => {
  test('is used for all of a file, so that the hub is asked once', async () => {
    expect(await read('hf:me/nano', 'w.bin', { cache: 'none' })).toEqual(weights)
    expect(hub.taken().asked).toEqual(['w.bin main'])
  })

  test('that expires is signed again', async () => {
    hub.signatureLasts = 4
    expect(await read('hf:me/nano', 'w.bin', { cache: 'none', maxRequests: 1 })).toEqual(weights)
    expect(hub.taken().asked).toHaveLength(3)
  })

  test('that is refused although it is new is told, and not asked for again and again', async () => {
    hub.signatureLasts = 0
    const reading = read('hf:me/nano', 'w.bin')
    await expect(reading).rejects.toThrow(WeightsError)
    await expect(reading).rejects.toThrow(
      `hf:me/nano: the hub redirects to ${hub.contentOrigin}, which answers 403 to an address that was signed just now.`,
    )
    expect(hub.taken().asked).toHaveLength(1)
  })
})

test('what a listing says is not taken for more than it is', async () => {
  for (const listing of ['', '{}', '[1, null, {"path": 7}]', '[', `["${'x'.repeat(5 * 2 ** 20)}"]`]) {
    hub.listing = listing
    await expect(open('hf:me/nano').open('none')).rejects.toThrow(
      /^There is no none in hf:me\/nano(, which has nothing)?\. /,
    )
  }
})

describe('the hash that the hub says', () => {
  test('is compared where all of a file is read', async () => {
    hub.contentOf = (bytes) => bytes.map((byte, i) => (i === 5000 ? byte ^ 1 : byte))
    const reading = read('hf:me/nano', 'w.bin')
    await expect(reading).rejects.toThrow(DamagedError)
    await expect(reading).rejects.toThrow(`the server says ${sha256}`)
    hub.contentOf = undefined
    expect(await read('hf:me/nano', 'w.bin')).toEqual(weights)
  })

  test('is no reason to download the rest of one', async () => {
    for (const isTold of [false, true]) {
      const source = await open('hf:me/nano', { cache: 'none' }).open('w.bin')
      if (isTold) source.willRead?.([[0, 10]])
      await source.read(0, 10)
      await source.verify?.()
      await source.close()
      expect(hub.taken().contents.length).toBeLessThan(3)
    }
  })

  test('with a size that is not that of what is sent', async () => {
    hub.contentOf = (bytes) => bytes.subarray(1)
    await expect(read('hf:me/nano', 'w.bin')).rejects.toThrow(
      "the file has 10500 bytes by the server's own account, and 10499 bytes are sent for it",
    )
  })

  test('a pointer of Git LFS is none of the files', async () => {
    hub.sendsPointers = true
    const reading = read('hf:me/nano', 'w.bin')
    await expect(reading).rejects.toThrow(WeightsError)
    await expect(reading).rejects.toThrow('sends the pointer that Git LFS keeps in a repository')
  })
})

describe('a token', () => {
  beforeEach(() => {
    hub.commit('me/secret', { 'w.bin': weights })
    const repository = hub.repositories.get('me/secret')
    if (repository) repository.readers = ['hf_mine']
  })

  test.each([
    ['HF_TOKEN', { HF_TOKEN: 'hf_mine' }, {}],
    ['HF_TOKEN with a line feed at its end', { HF_TOKEN: 'hf_mine\n' }, {}],
    ['the option', {}, { token: 'hf_mine' }],
    ['the option, before HF_TOKEN', { HF_TOKEN: 'hf_other' }, { token: 'hf_mine' }],
    [
      'a header, before both',
      { HF_TOKEN: 'hf_other' },
      { token: 'hf_x', headers: { Authorization: 'Bearer hf_mine' } },
    ],
  ] as const)('by %s reaches the hub alone', async (_, env, options) => {
    for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value)
    expect(await read('hf:me/secret', 'w.bin', options)).toEqual(weights)
    expect(new Set(hub.authorizations)).toEqual(new Set(['Bearer hf_mine']))
    expect(hub.contents.length).toBeGreaterThan(10)
  })

  test('that is empty is none', async () => {
    vi.stubEnv('HF_TOKEN', 'hf_mine')
    await expect(read('hf:me/secret', 'w.bin', { token: '' })).rejects.toThrow('or it is private')
    expect(new Set(hub.authorizations)).toEqual(new Set([undefined]))
  })

  test('does not go to other addresses', async () => {
    vi.stubEnv('HF_TOKEN', 'hf_mine')
    const url = `${hub.endpoint}/me/nano/resolve/main`
    expect(await read(url, 'w.bin')).toEqual(weights)
    expect(new Set(hub.authorizations)).toEqual(new Set([undefined]))
  })

  test.each([
    [{ token: 'hf_mi\u0000ne' }, {}, 'token has characters that no token has'],
    [{}, { HF_TOKEN: 'hf_mi ne' }, 'HF_TOKEN has characters that no token has'],
    [{ endpoint: 'huggingface.co' }, {}, 'endpoint is "huggingface.co", expected the address of a hub'],
    [{ endpoint: 'ftp://huggingface.co' }, {}, 'expected the address of a hub'],
    [{}, { HF_ENDPOINT: 'https://me:secret@mirror/?key=secret' }, 'HF_ENDPOINT is "https://mirror/"'],
  ] as const)('or an endpoint that can be none is refused, and no secret shown', (options, env, message) => {
    for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value)
    const refusal = (): unknown => open('hf:me/nano', options)
    expect(refusal).toThrow(UsageError)
    expect(refusal).toThrow(message)
    expect(refusal).not.toThrow(/secret|hf_mi/)
  })

  test('an endpoint may be below a path, with a slash at its end, and be given as an option', async () => {
    vi.stubEnv('HF_ENDPOINT', 'http://nowhere.invalid')
    expect(await read('hf:me/nano', 'w.bin', { endpoint: `${hub.endpoint}//` })).toEqual(weights)
  })
})

describe('a refusal says what to do', () => {
  const gated = 'me/gated is gated'
  test.each([
    [
      'no such repository',
      'hf:me/nothing',
      undefined,
      /there is no repository me\/nothing, or it is private: the hub answers 401 \(Repository not found\)\. Check the spelling; if it is private, set HF_TOKEN/,
    ],
    [
      'no such repository',
      'hf:me/nothing',
      'hf_mine',
      /or it is private and the account of the token may not read it: the hub answers 404/,
    ],
    ['a private one', 'hf:me/private', 'hf_other', /the account of the token may not read it/],
    [
      'a wrong token',
      'hf:me/nano',
      'hf_wrong',
      /the hub does not accept the token: the hub answers 401 \(Invalid credentials.*It may have expired: set HF_TOKEN/,
    ],
    [
      'a gated one',
      'hf:me/gated',
      undefined,
      new RegExp(
        `${gated}: the hub answers 401 \\(Access to model me/gated is restricted.*Accept its conditions at http.*/me/gated, then set HF_TOKEN`,
      ),
    ],
    [
      'a gated one',
      'hf:me/gated',
      'hf_other',
      new RegExp(`${gated}, and the account of the token has not been let in: the hub answers 403`),
    ],
    ['a closed one', 'hf:me/closed', undefined, /the hub has closed me\/closed: the hub answers 403/],
    ['no such revision', 'hf:me/nano@v9/a b', undefined, UsageError],
    [
      'no such revision',
      'hf:me/nano@v9/a',
      undefined,
      /me\/nano has no revision "v9\/a": .*Its branches and tags.*behind the path/,
    ],
  ] as const)('%s: %s with the token %s', async (_, place, token, message) => {
    for (const [name, more] of [
      ['me/private', { readers: ['hf_mine'] }],
      ['me/gated', { readers: ['hf_mine'], isGated: true }],
      ['me/closed', { isClosed: true }],
    ] as const) {
      hub.commit(name, { 'w.bin': weights })
      Object.assign(hub.repositories.get(name) ?? {}, more)
    }
    const options = token === undefined ? {} : { token }
    if (message === UsageError) {
      expect(() => open(place, options)).toThrow(UsageError)
      return
    }
    for (const ask of ['find', 'open'] as const) {
      // Also where the file need not be there: it is no matter of the file
      const asking = open(place, options)[ask]('w.bin')
      await expect(asking).rejects.toThrow(WeightsError)
      await expect(asking).rejects.toThrow(message)
      await expect(asking).rejects.not.toThrow(/hf_(mine|other|wrong)/)
    }
  })

  test('what the hub says is made printable', async () => {
    hub.commit('me/closed', { 'w.bin': weights })
    Object.assign(hub.repositories.get('me/closed') ?? {}, {
      isClosed: true,
      says: `\u009b31m${'x'.repeat(5000)}`,
    })
    const message = await read('hf:me/closed', 'w.bin').catch(String)
    expect(message).toContain('\\x9b31mxxx')
    expect(message.length).toBeLessThan(600)
  })
})

describe('a hub that is asked too often', () => {
  test.each([
    ['retry-after', { 'retry-after': '7' }, 7],
    [
      'ratelimit',
      { ratelimit: '"resolvers";r=0;t=42', 'ratelimit-policy': '"fixed window";"resolvers";q=3000;w=300' },
      42,
    ],
  ])('is waited for as long as it says: %s', async (_, headers, seconds) => {
    hub.busy = { count: 1, headers }
    const waits: number[] = []
    const clock = new FastClock()
    const onWait = ({ reason, seconds: left }: { reason: string; seconds: number }): void => {
      if (reason === 'busy') waits.push(left)
    }
    expect(await read('hf:me/nano', 'w.bin', { clock, onWait })).toEqual(weights)
    expect(waits).toEqual([seconds])
  })

  test('for too long is left, with the time', async () => {
    hub.busy = { count: 99, headers: { ratelimit: '"resolvers";r=0;t=250' } }
    const reading = read('hf:me/nano', 'w.bin', { clock: new FastClock() })
    await expect(reading).rejects.toThrow(UnreachableError)
    await expect(reading).rejects.toThrow(/answers 429 .*asks to wait 250 seconds/)
  })
})
