// Whatever stops `flowseg convert`, the same command goes on, and ends with the same bytes; and what can't be converted
// says why and leaves nothing.

import { spawn } from 'node:child_process'
import { copyFile, cp, mkdir, open, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import type { TensorData } from '../../../src/io/safetensors.ts'
import { upToDate } from '../../built.ts'
import { onlyOnLinux } from '../../where.ts'
import {
  copySmallFiles,
  flowseg,
  hashes,
  NANO,
  type Outcome,
  ROOT,
  rewriteNano,
  spawnFlowseg,
  temporaryFolder,
} from '../cli-harness.ts'

const TORCH = join(ROOT, 'test/fixtures/io/torch')
const QUERY = 'llm.model.layers.0.self_attn.q_proj.weight'

async function convert(cwd: string, ...args: string[]): Promise<Outcome> {
  return flowseg(['convert', ...args], { cwd })
}

describe('an interrupted conversion', () => {
  let expected: Record<string, string> = {}
  let bin = ''
  beforeAll(async () => {
    bin = join(await upToDate(), 'cli/main.js')
    const folder = await temporaryFolder()
    const { code } = await spawnFlowseg(
      ['convert', NANO, 'out', '--shard-size', '1MiB', '--quantize', 'int4'],
      { cwd: folder },
    )
    expect(code).toBe(0)
    expected = await hashes(join(folder, 'out'))
  }, 120_000)

  /** Starts it, and kills it after some milliseconds. @returns whether it ended by itself */
  function killedAfter(ms: number, cwd: string, signal: NodeJS.Signals): Promise<number | null> {
    const args = [bin, 'convert', NANO, 'out', '--shard-size', '1MiB', '--quantize', 'int4']
    const child = spawn(process.execPath, args, { cwd, stdio: 'ignore' })
    const timer = setTimeout(() => child.kill(signal), ms)
    return new Promise((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code) => {
        clearTimeout(timer)
        resolve(code)
      })
    })
  }

  test.each(['SIGKILL', 'SIGINT'] as const)(
    'by %s at twelve points ends with the same bytes when it is run again',
    async (signal) => {
      const cwd = await temporaryFolder()
      let interrupted = 0
      let answered = 0
      const begun = performance.now()
      expect(await killedAfter(60_000, cwd, signal)).toBe(0)
      let whole = performance.now() - begun
      expect(await hashes(join(cwd, 'out'))).toEqual(expected)
      await rm(join(cwd, 'out'), { recursive: true })

      // From before it begins to after its end. One that ended first starts anew and is given less time, since how long
      // it takes depends on what else runs.
      for (let i = 0; i < 60 && interrupted < 12; i++) {
        const code = await killedAfter(whole * (0.2 + (0.85 * ((i * 7) % 20)) / 20), cwd, signal)
        if (code === 0) {
          whole *= 0.9
          await rm(join(cwd, 'out'), { recursive: true })
        }
        if (code !== 0) interrupted++
        if (signal === 'SIGINT' && code !== 0) {
          // Null: before the command was listening
          expect([130, null]).toContain(code)
          if (code === 130) answered++
          // Whole shards, or nothing at all
          const names = await readdir(join(cwd, 'out')).catch(() => [])
          expect(names.filter((name) => !(name in expected))).toEqual([])
          for (const [name, hash] of Object.entries(names.length > 0 ? await hashes(join(cwd, 'out')) : {})) {
            expect(hash, name).toBe(expected[name])
          }
        }
      }
      expect(interrupted).toBe(12)
      if (signal === 'SIGINT') expect(answered).toBeGreaterThan(3)
      expect(await killedAfter(60_000, cwd, signal)).toBe(0)
      expect(await hashes(join(cwd, 'out'))).toEqual(expected)
    },
    300_000,
  )

  test('keeps the shards that are whole, says so, and writes damaged ones again', async () => {
    const cwd = await temporaryFolder()
    const args = [NANO, 'out', '--shard-size', '1MiB', '--quantize', 'int4']
    expect((await convert(cwd, ...args)).code).toBe(0)
    const out = join(cwd, 'out')
    const shards = (await readdir(out)).filter((name) => name.startsWith('model-')).sort()
    const [first = '', second = '', third = ''] = shards
    const file = await open(join(out, first), 'r+')
    await file.write(Buffer.from([0x5a, 0xa5]), 0, 2, (await file.stat()).size - 300)
    await file.close()
    await rm(join(out, second))
    await writeFile(join(out, third), (await readFile(join(out, third))).subarray(0, -1000))
    await rm(join(out, 'model.safetensors.index.json'))
    const { code, err } = await convert(cwd, ...args)
    expect(code).toBe(0)
    expect(err).toContain(`Kept ${shards.length - 3} shard`)
    expect(err).toContain(`Wrote damaged ones again: ${first}, ${third}.`)
    expect(await hashes(out)).toEqual(expected)
  })

  test.each<[string, string[]]>([
    ['another type', ['--shard-size', '1MiB', '--quantize', 'int8']],
    ['another size of shards', ['--shard-size', '3MiB', '--quantize', 'int4']],
    ['none but the largest shard', ['--quantize', 'int4']],
  ])('is not mixed with one of %s, unless it is replaced', async (_, args) => {
    const cwd = await temporaryFolder()
    expect((await convert(cwd, NANO, 'out', '--shard-size', '1MiB', '--quantize', 'int4')).code).toBe(0)
    const refused = await convert(cwd, NANO, 'out', ...args)
    expect([refused.code, refused.err]).toEqual([
      2,
      expect.stringContaining('out holds shards of a conversion with other settings'),
    ])
    expect(await hashes(join(cwd, 'out'))).toEqual(expected)
    expect((await convert(cwd, NANO, 'out', '--force', ...args)).code).toBe(0)
    expect((await convert(cwd, NANO, 'new', ...args)).code).toBe(0)
    expect(await hashes(join(cwd, 'out'))).toEqual(await hashes(join(cwd, 'new')))
  })

  test('is not mixed with one of other weights of the same shapes', async () => {
    const cwd = await temporaryFolder()
    await mkdir(join(cwd, 'other'))
    await rewriteNano(join(cwd, 'other'), (tensors) => tensors.map(trained))
    expect((await convert(cwd, NANO, 'out', '--shard-size', '1MiB')).code).toBe(0)
    const { code, err } = await convert(cwd, 'other', 'out', '--shard-size', '1MiB')
    expect([code, err]).toEqual([2, expect.stringContaining('of another checkpoint')])
  })
})

/** A step later: every value is a little larger. */
function trained(tensor: TensorData): TensorData {
  const values = new Float32Array(tensor.bytes.slice().buffer).map((value) => value * 1.001)
  return { ...tensor, bytes: new Uint8Array(values.buffer) }
}

test('of an original that is not what its manifest lists, nothing stays, also not for the next run', async () => {
  const cwd = await temporaryFolder()
  await mkdir(join(cwd, 'm'))
  // Without checksums of its own
  await rewriteNano(join(cwd, 'm'), (tensors) => tensors)
  expect((await flowseg(['manifest', 'm'], { cwd })).code).toBe(0)
  const file = await open(join(cwd, 'm/model.safetensors'), 'r+')
  await file.write(Buffer.from([1, 2]), 0, 2, (await file.stat()).size - 70_000)
  await file.close()
  for (let i = 0; i < 2; i++) {
    const { code, err } = await convert(cwd, 'm', 'out', '--shard-size', '2MiB')
    expect([code, err]).toEqual([1, expect.stringContaining('model.safetensors')])
    expect(await readdir(cwd)).toEqual(['m'])
  }
})

test('what systems and people leave in OUT is in no way, and stays', async () => {
  const [cwd, names] = [await temporaryFolder(), ['.DS_Store', '.gitattributes', 'LICENSE.txt', 'README.md']]
  await mkdir(join(cwd, 'out'))
  for (const name of names) await writeFile(join(cwd, 'out', name), 'mine')
  for (let i = 0; i < 2; i++) {
    const { code, err } = await convert(cwd, NANO, 'out', '--shard-size', '4MiB')
    expect(code, err).toBe(0)
    if (i === 1) expect(err).toMatch(/Kept \d+ shards/)
  }
  for (const name of names) expect(await readFile(join(cwd, 'out', name), 'utf8')).toBe('mine')
  expect((await flowseg(['manifest', 'out', '--check'], { cwd })).code).toBe(0)
})

describe('what it says', () => {
  test.each<[string, (cwd: string) => Promise<string[]>, number, string | RegExp]>([
    ['nothing to convert', async () => ['nowhere', 'out'], 1, 'There is nothing at nowhere'],
    [
      'a folder without weights',
      async (cwd) => [await folderOf(cwd, 'empty'), 'out'],
      1,
      'There are no weights in',
    ],
    ['OUT that is a file', async (cwd) => [NANO, await fileOf(cwd, 'out')], 2, 'OUT is out, which is a file'],
    [
      'OUT that is SOURCE',
      async (cwd) => [await copyOf(cwd, 'model'), 'model'],
      2,
      'OUT is SOURCE, model: nothing is converted in place',
    ],
    [
      'OUT that is SOURCE by a link',
      async (cwd) => [await copyOf(cwd, 'model'), await linkTo(cwd, 'model')],
      2,
      'OUT is SOURCE',
    ],
    [
      'OUT with other files',
      async (cwd) => [NANO, await folderOf(cwd, 'out', 'holiday.jpg')],
      2,
      'out holds other files (holiday.jpg)',
    ],
    [
      'OUT with a config of something',
      async (cwd) => [NANO, await folderOf(cwd, 'out', 'config.json')],
      2,
      'out holds config.json, which a conversion would replace',
    ],
    [
      'OUT that is an address',
      async () => [NANO, 'https://example.org/out'],
      2,
      'OUT is https://example.org/out, expected a folder on disk',
    ],
    [
      'a type that there is not',
      async () => [NANO, 'out', '--quantize', 'int2'],
      2,
      '--quantize: "int2" is not understood',
    ],
    [
      'a part that there is not',
      async () => [NANO, 'out', '--quantize', 'llm=int4,decoder=int8'],
      2,
      '--quantize: "decoder=int8" is not understood',
    ],
    [
      'a part twice',
      async () => [NANO, 'out', '--quantize', 'llm=int4,llm=int8'],
      2,
      '"llm=int8" is not understood, or names a part twice',
    ],
    [
      'shards too small',
      async () => [NANO, 'out', '--shard-size', '1kB'],
      2,
      "--shard-size is '1kB', expected a size of at least 1 MiB",
    ],
    ['a size that is none', async () => [NANO, 'out', '--shard-size', 'big'], 2, "--shard-size is 'big'"],
    [
      'a config of another model',
      async (cwd) => [await copyOf(cwd, 'm', (c) => ({ ...c, model: 'other' })), 'out'],
      1,
      'model is "other", expected',
    ],
    [
      'a config that does not fit',
      async (cwd) => [
        await copyOf(cwd, 'm', (c) => ({ ...c, sam: { ...(c['sam'] as object), mlp: 516 } })),
        'out',
      ],
      1,
      /segmentor\.encoder\.layers\.0\.mlp\.lin1\.weight is \[512, 128\], expected \[516, 128\]/,
    ],
    [
      'a damaged file',
      async (cwd) => [await damagedCopy(cwd), 'out', '--all'],
      1,
      /bytes are damaged|SHA-256/,
    ],
    [
      'a shard that is missing',
      async (cwd) => {
        await convert(cwd, NANO, 'm', '--shard-size', '8MiB')
        await rm(join(cwd, 'm/model-00002-of-00003.safetensors'))
        await rm(join(cwd, 'm/manifest.json'))
        return ['m', 'out']
      },
      1,
      /There is no model-00002-of-00003\.safetensors in .*m, which has .*Copy or download it to there\./,
    ],
    [
      'a compressed file of PyTorch',
      async (cwd) => [await torchFile(cwd, 'refused/compressed.bin'), 'out'],
      1,
      /m\.bin, entry ".*" of the zip archive: it is compressed \(method 8\)\. Write it again with torch\.save/,
    ],
    [
      'a file of PyTorch that was cut off',
      async (cwd) => [await torchFile(cwd, 'phi3.bin', -1000), 'out'],
      1,
      /m\.bin.*(completely downloaded|download it again)/,
    ],
    [
      'a shard of PyTorch that is missing',
      async (cwd) => {
        await cp(join(TORCH, 'shards'), join(cwd, 'm'), { recursive: true })
        await rm(join(cwd, 'm/pytorch_model-00002-of-00002.bin'))
        return ['m', 'out']
      },
      1,
      /There is no pytorch_model-00002-of-00002\.bin in .*m, which has .*Copy or download it to there\./,
    ],
    [
      'no tokenizer',
      async (cwd) => [await without(cwd, 'tokenizer.json'), 'out'],
      1,
      'There is no tokenizer.json in',
    ],
  ])('of %s', async (_, prepare, code, message) => {
    const cwd = await temporaryFolder()
    const args = await prepare(cwd)
    const before = await hashes(cwd)
    const outcome = await convert(cwd, ...args)
    expect([outcome.code, outcome.err]).toEqual([
      code,
      expect.stringMatching(message instanceof RegExp ? message : literal(message)),
    ])
    // Nothing new is left, nothing old is touched
    expect(await hashes(cwd)).toEqual(before)
  })

  test('of values that are not finite: the tensor, the place, and that nothing is left', async () => {
    const cwd = await temporaryFolder()
    await mkdir(join(cwd, 'bad'))
    await rewriteNano(join(cwd, 'bad'), (tensors) =>
      tensors.map((tensor) => {
        if (tensor.name !== QUERY) return tensor
        const values = new Float32Array(tensor.bytes.slice().buffer)
        values[162] = Number.NaN
        return { ...tensor, bytes: new Uint8Array(values.buffer) }
      }),
    )
    for (const args of [[], ['--quantize', 'int4']]) {
      const { code, err } = await convert(cwd, 'bad', 'out', ...args)
      expect([code, err]).toEqual([1, expect.stringContaining(`"${QUERY}": the value at [1, 2] is NaN`)])
      expect(await readdir(cwd)).toEqual(['bad'])
    }
  })

  test(`of a file system that takes no folders${onlyOnLinux}`, async (context) => {
    if (onlyOnLinux) context.skip(onlyOnLinux)
    const { code, err } = await convert('/', NANO, '/proc/out')
    expect([code, err]).toEqual([1, expect.stringContaining("/proc/out can't be written")])
  })
})

function literal(text: string): RegExp {
  return new RegExp(text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'))
}

async function folderOf(cwd: string, name: string, file?: string): Promise<string> {
  await mkdir(join(cwd, name))
  if (file !== undefined) await writeFile(join(cwd, name, file), '{}')
  return name
}

async function fileOf(cwd: string, name: string): Promise<string> {
  await writeFile(join(cwd, name), '')
  return name
}

async function linkTo(cwd: string, name: string): Promise<string> {
  await symlink(name, join(cwd, 'link'))
  return 'link'
}

/** Nano in a folder, with another config. */
async function copyOf(
  cwd: string,
  name: string,
  change: (config: Record<string, unknown>) => Record<string, unknown> = (config) => config,
): Promise<string> {
  await mkdir(join(cwd, name))
  await copySmallFiles(join(cwd, name))
  await copyFile(join(NANO, 'model.safetensors'), join(cwd, name, 'model.safetensors'))
  const config = JSON.parse(await readFile(join(NANO, 'config.json'), 'utf8')) as Record<string, unknown>
  await writeFile(join(cwd, name, 'config.json'), JSON.stringify(change(config)))
  return name
}

/** A file of PyTorch's, without its end. */
async function torchFile(cwd: string, name: string, end?: number): Promise<string> {
  await writeFile(join(cwd, 'm.bin'), (await readFile(join(TORCH, name))).subarray(0, end))
  return 'm.bin'
}

async function without(cwd: string, file: string): Promise<string> {
  const name = await copyOf(cwd, 'm')
  await rm(join(cwd, name, file))
  return name
}

async function damagedCopy(cwd: string): Promise<string> {
  const name = await copyOf(cwd, 'm')
  await copyFile(join(NANO, 'config.json'), join(cwd, name, 'config.json'))
  await copyFile(join(NANO, 'manifest.json'), join(cwd, name, 'manifest.json'))
  const file = await open(join(cwd, name, 'model.safetensors'), 'r+')
  await file.write(Buffer.from([1, 2, 3, 4]), 0, 4, (await file.stat()).size - 5000)
  await file.close()
  return name
}
