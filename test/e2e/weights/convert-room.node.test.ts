// `flowseg convert` where a model can't be written: a disk that is too small or full, a limit for files, a folder that
// is locked. It says what to do, leaves nothing half, and goes on from there.

import { spawn, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import fs, { chmod, mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { bytesToCome } from '../../../src/cli/convert/download.ts'
import { openFolder } from '../../../src/io/folder.ts'
import { openCheckpoint } from '../../../src/io/open-checkpoint.ts'
import { parseConfig } from '../../../src/model/checkpoint/config.ts'
import { convertInto } from '../../../src/model/convert/convert.ts'
import { planConversion } from '../../../src/model/convert/convert-plan.ts'
import { parseRecipe } from '../../../src/model/convert/recipe.ts'
import { upToDate } from '../../built.ts'
import { replaceInNode } from '../../fixtures/builtins.ts'
import { LocalHub } from '../../io/http/hub/local-hub.ts'
import { onlyOnLinux } from '../../where.ts'
import { filesIn, flowseg, hashes, NANO, type Outcome, temporaryFolder } from '../cli-harness.ts'

/** Bytes that statfs says are free, and bytes that may be written before the disk is full. */
const disk = { free: Infinity, room: Infinity }
beforeEach(() => Object.assign(disk, { free: Infinity, room: Infinity }))
replaceInNode(
  fs,
  'statfs',
  (statfs) =>
    (async (path: string) => {
      const { blocks, bavail, bsize } = await statfs(path)
      return { blocks, bsize, bavail: Math.min(bavail, Math.floor(disk.free / bsize)) }
    }) as typeof statfs,
)
replaceInNode(fs, 'open', (open) => async (path, flags, mode) => {
  const file = await open(path, flags, mode)
  if (flags !== 'wx') return file
  const write = file.write.bind(file) as (...args: unknown[]) => Promise<{ bytesWritten: number }>
  const filling = async (...args: unknown[]): Promise<{ bytesWritten: number }> => {
    if (disk.room <= 0) {
      const facts = { errno: -28, code: 'ENOSPC', syscall: 'write' }
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), facts)
    }
    const result = await write(...args)
    disk.room -= result.bytesWritten
    return result
  }
  return Object.assign(file, { write: filling })
})

const ARGS = ['convert', NANO, 'out', '--shard-size', '4MiB']

async function ended(child: ReturnType<typeof spawn>): Promise<Outcome> {
  let err = ''
  child.stderr?.on('data', (piece: Buffer) => {
    err += piece.toString()
  })
  const code = await new Promise<number>((resolve) => child.on('close', (status) => resolve(status ?? -1)))
  return { code, out: '', err }
}

test('a disk that is too small is refused before anything is written', async () => {
  const cwd = await temporaryFolder()
  disk.free = 5e6
  const { code, err } = await flowseg(ARGS, { cwd })
  expect([code, err]).toEqual([
    1,
    expect.stringMatching(
      /out: \d+\.\d MB are needed, and the disk has 5\.0 MB left\. Make room, or give a folder on another disk/,
    ),
  ])
  expect(await readdir(cwd)).toEqual([])
  disk.free = Infinity
  expect(await flowseg(ARGS, { cwd })).toMatchObject({ code: 0 })
})

test('the advice is one that helps: none to take int4 where that is asked for', async () => {
  const cwd = await temporaryFolder()
  disk.free = 1e6
  const plain = await flowseg(ARGS, { cwd })
  expect(plain.err).toMatch(/give a folder on another disk; --quantize int4 takes less\./)
  const small = await flowseg([...ARGS, '--quantize', 'int4'], { cwd })
  expect(small.err).toMatch(/give a folder on another disk\.\n/)
  disk.free = Infinity
  expect((await flowseg(['convert', NANO, 'int8', '--quantize', 'int8'], { cwd })).code).toBe(0)
  disk.free = 1e6
  expect((await flowseg(['convert', 'int8', 'again'], { cwd })).err).toMatch(/on another disk\.\n/)
})

describe('the download', async () => {
  const checkpoint = await openCheckpoint(openFolder(NANO))
  afterAll(() => checkpoint.close())
  const config = parseConfig(JSON.parse(readFileSync(join(NANO, 'config.json'), 'utf8')), 'config.json')
  const settings = { recipe: parseRecipe('int4'), shardBytes: 2 ** 30, source: 'x', all: false }
  const plan = planConversion(checkpoint, config, settings)

  /** The conversion of nano as of one that is kept in this folder while it is read. */
  async function converted(cache: string, toCome: number): Promise<string> {
    const out = join(await temporaryFolder(), 'out')
    const { signal } = new AbortController()
    const download = { folder: cache, bytesOf: async () => toCome }
    const options = { signal, force: false, download, onProgress: () => undefined }
    return convertInto(out, checkpoint, plan, new Map(), options).then(
      () => 'done',
      (error: unknown) => String(error),
    )
  }

  test('needs room too, where the cache is on the same disk', async () => {
    // What is written would fit, and the cache's folder isn't there yet
    const cache = join(await temporaryFolder(), 'flowseg', 'weights')
    disk.free = 15e6
    expect(await converted(cache, 14e6)).toMatch(
      /out: \d\.\d MB are needed, and 14\.0 MB for the download, which is kept on the same disk \(.*weights\), and the disk has 15\.0 MB left\. .* or set XDG_CACHE_HOME to one for the download\.$/,
    )
    expect(await converted(cache, 0)).toBe('done')
    if (process.platform === 'linux') expect(await converted('/proc', 14e6)).toBe('done') // on another
  })

  test('is what the cache lacks', async () => {
    const hub = await new LocalHub().listen()
    vi.stubEnv('HF_ENDPOINT', hub.endpoint)
    vi.stubEnv('XDG_CACHE_HOME', await temporaryFolder())
    try {
      hub.commit('me/nano', {
        'model.safetensors': new Uint8Array(readFileSync(join(NANO, 'model.safetensors'))),
      })
      const entries = [...checkpoint.tensors.values()]
      const all = entries.reduce((sum, { begin, end }) => sum + end - begin, 0)
      expect(await bytesToCome('hf:me/nano', entries)).toBe(all)
      const remote = await openCheckpoint(openFolder('hf:me/nano'))
      await remote.close()
      expect(await bytesToCome('hf:me/nano', entries)).toBeLessThan(all)
      expect(await bytesToCome(NANO, entries)).toBe(0)
    } finally {
      vi.unstubAllEnvs()
      await hub.close()
    }
  })
})

test('a disk that is full meanwhile: whole shards stay, and the same command goes on', async () => {
  const [cwd, other] = [await temporaryFolder(), await temporaryFolder()]
  expect((await flowseg(ARGS, { cwd: other })).code).toBe(0)
  const expected = await hashes(join(other, 'out'))
  disk.room = 10e6
  const { code, err } = await flowseg(ARGS, { cwd })
  expect([code, err]).toEqual([
    1,
    expect.stringMatching(
      /model-\d{5}-of-\d{5}\.safetensors can't be written: .*no space left on device\. Make room and run the same command again: shards that are whole are kept\./,
    ),
  ])
  const kept = await hashes(join(cwd, 'out'))
  expect(Object.keys(kept).length).toBeGreaterThan(0)
  expect(expected).toMatchObject(kept)

  disk.room = Infinity
  const resumed = await flowseg(ARGS, { cwd })
  expect([resumed.code, resumed.err]).toEqual([
    0,
    expect.stringContaining(`Kept ${Object.keys(kept).length} shard`),
  ])
  expect(await hashes(join(cwd, 'out'))).toEqual(expected)
})

test(`a limit for the size of a file: what to do, and nothing half${onlyOnLinux}`, async (context) => {
  if (onlyOnLinux) context.skip(onlyOnLinux)
  const cwd = await temporaryFolder()
  const bin = join(await upToDate(), 'cli/main.js')
  const line = `ulimit -f 700; trap '' XFSZ; exec "${process.execPath}" "${bin}" convert "${NANO}" out --shard-size 1MiB`
  const { code, err } = await ended(spawn('/bin/sh', ['-c', line], { cwd }))
  expect([code, err]).toEqual([
    1,
    expect.stringMatching(
      /model-\d{5}-of-\d{5}\.safetensors can't be written: .*(EFBIG|too large).* Give a smaller --shard-size\./,
    ),
  ])
  expect((await filesIn(cwd)).filter((name) => name.endsWith('.part'))).toEqual([])
})

/** Root may write everywhere, so nobody takes its place. */
const NOBODY = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {}
const noLocks = process.platform === 'win32' || !isReadable(NANO) ? ' (run where files can be locked)' : ''

function isReadable(path: string): boolean {
  return (
    spawnSync('/bin/sh', ['-c', 'test -r "$0" && test -x "$1"', path, process.execPath], NOBODY).status === 0
  )
}

test(`a folder that may not be written: that it may not, and nothing is left${noLocks}`, async (context) => {
  if (noLocks) context.skip(noLocks)
  const cwd = await temporaryFolder()
  await chmod(cwd, 0o755)
  await mkdir(join(cwd, 'locked'))
  await chmod(join(cwd, 'locked'), 0o555)
  const bin = join(await upToDate(), 'cli/main.js')
  const child = spawn(process.execPath, [bin, 'convert', NANO, 'locked/out'], { cwd, ...NOBODY })
  const { code, err } = await ended(child)
  expect([code, err]).toEqual([
    1,
    expect.stringMatching(/can't be written: .*permission.*Give a folder that may be written/i),
  ])
  expect(await filesIn(cwd)).toEqual(['locked'])
})
