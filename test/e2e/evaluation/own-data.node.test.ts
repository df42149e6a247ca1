// `flowseg eval` on data of one's own: its figures on the test split, written in other layouts, are those on the split
// itself; shards merge into the whole, to the bit; a run that was stopped goes on where it was.

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { decodeImage, encodePng } from '../../../src/io/image/image.ts'
import { encodeRle } from '../../../src/masks/rle.ts'
import { anyGpu } from '../../support.ts'
import { flowseg, ROOT, temporaryFolder } from '../cli-harness.ts'

const gpu = await anyGpu()
vi.setConfig({ testTimeout: 600_000, hookTimeout: 300_000 })

type Figures = Record<string, unknown> & { all: { sentences: number; cIoU: number }; kinds: object }
type Row = Record<string, unknown> & { answer: { intersection: number; union: number } }

/** The figures of a run, without those that differ from run to run. */
async function figures(args: readonly string[], cwd: string): Promise<Figures> {
  const { code, out, err } = await flowseg(['eval', ...args, '--json'], { cwd, gpu })
  expect(code, out + err).toBe(0)
  const { seconds: _, times: __, data: ___, shard: ____, ...rest } = JSON.parse(out) as Figures
  return rest
}

/** The rows of a file of results, without times, images and scenes' numbers. */
async function rowsOf(cwd: string, name: string): Promise<Row[]> {
  const lines = (await readFile(join(cwd, name), 'utf8')).trim().split('\n').slice(1, -1)
  const rows = lines.flatMap((line) => (JSON.parse(line) as { rows: Row[] }).rows)
  return rows.map((row) => ({ ...row, times: null, image: null }))
}

function without(row: Row, key: string): object {
  return Object.fromEntries(Object.entries(row).filter(([name]) => name !== key))
}

test('the test split, written as RefCOCO and as JSON Lines, gives the figures of the split; its shards merge', async () => {
  const cwd = await temporaryFolder()
  const own = await figures(['--limit', '2', '--results', 'own.results'], cwd)
  expect(own.all.sentences).toBeGreaterThan(15)
  const rows = await rowsOf(cwd, 'own.results')

  // RefCOCO, in two shards: floors and kinds too
  const write = await flowseg(['scenes', 'refcoco', '--count', '2', '--as', 'refcoco'], { cwd })
  expect(write.code, write.err).toBe(0)
  for (const i of ['1', '2']) {
    const shard = await figures(['refcoco', '--shard', `${i}/2`, '--results', `${i}.results`], cwd)
    expect(shard.all.sentences).toBeLessThan(own.all.sentences)
  }
  expect(await figures(['--merge', '2.results', '1.results', '--results', 'merged.results'], cwd)).toEqual(
    own,
  )
  expect(await rowsOf(cwd, 'merged.results')).toEqual(rows)
  expect(await figures(['--merge', 'merged.results'], cwd)).toEqual(own)

  // JSON Lines, stopped behind the first image
  await flowseg(['scenes', 'lines', '--count', '2', '--as', 'lines'], { cwd })
  const args = ['eval', 'lines/scenes.lines.jsonl', '--results', 'lines.results']
  const stop = new AbortController()
  const onErr = (text: string): void => {
    if (text.includes(`${rows.filter(({ scene }) => scene === 0).length} sentences,`)) stop.abort()
  }
  const stopped = await flowseg(args, { cwd, gpu, isTTY: true, signal: stop.signal, onErr })
  expect(stopped.code).toBe(130)
  expect(stopped.err).toContain(
    'The answers so far are in lines.results: the same command goes on from there.',
  )
  const kept = await readFile(join(cwd, 'lines.results'), 'utf8')
  expect(kept.split('\n')).toHaveLength(3)
  await writeFile(join(cwd, 'lines.results'), `${kept}{"ordinal": 1, "ada`) // as a power cut leaves it
  const resumed = await figures(args.slice(1), cwd)
  expect(resumed).toEqual({ ...own, floors: { shuffled: (own['floors'] as { shuffled: object }).shuffled } })
  expect((await readFile(join(cwd, 'lines.results'), 'utf8')).startsWith(kept)).toBe(true)
  expect(await rowsOf(cwd, 'lines.results')).toEqual(rows.map((row) => without(row, 'largest')))

  // Whole results need no model
  const again = await flowseg([...args, '--adapter', 'nothing', '--baseline', 'own.results'], { cwd })
  expect(again.code, again.err).toBe(1)
  expect(again.err).toContain('own.results is of other data')
  const same = await flowseg(['eval', '--merge', 'merged.results', '--baseline', '1.results'], { cwd })
  expect(same.err).toContain('1.results has no answer for image 1 of the data.')

  // Answers of another run aren't taken for these
  const other = await flowseg([...args, '--limit', '1'], { cwd })
  expect(other.err).toContain('lines.results holds the results of another run: the option limit differs.')
})

test('photographs of any size: masks in every form, kinds, ignored pixels, and a baseline', async () => {
  const cwd = await temporaryFolder()
  const { rgb } = await decodeImage(await readFile(join(ROOT, 'examples/scene.png')))
  const [width, height] = [200, 131]
  const photo = new Uint8Array(width * height * 3)
  for (let y = 0; y < height; y++) photo.set(rgb.subarray(y * 256 * 3, (y * 256 + width) * 3), y * width * 3)
  for (const name of ['a', 'b', 'c'])
    await writeFile(join(cwd, `${name}.png`), encodePng({ width, height, rgb: photo }))

  // A rectangle, which all forms can say
  const mask = new Uint8Array(width * height)
  for (let y = 10; y < 60; y++) mask.fill(1, y * width + 20, y * width + 120)
  await writeFile(join(cwd, 'mask.png'), encodePng({ width, height, grey: mask.map((one) => one * 7) }))
  const rle = encodeRle({ width, height, data: mask })
  const polygons = [
    [20, 10, 70, 10, 70, 60, 20, 60],
    [60, 10, 120, 10, 120, 60, 60, 60],
  ]
  const sentence = 'the star'
  const lines = [
    { image: 'a.png', sentence, mask: 'mask.png', kind: 'mine' },
    { image: 'b.png', sentence, mask: rle, kind: 'mine' },
    { image: './c.png', sentence, mask: polygons },
    { image: join(cwd, 'c.png'), sentence, mask: rle, ignore: rle, kind: 'yours' },
  ]
  await writeFile(join(cwd, 'd.jsonl'), lines.map((line) => `${JSON.stringify(line)}\r\n`).join('\n'))

  const whole = await figures(['d.jsonl', '--results', 'whole'], cwd)
  expect(whole['scenes']).toBe(3)
  const [png, string, polygon, ignored] = await rowsOf(cwd, 'whole')
  expect({ ...string, shuffled: null }).toEqual({ ...png, scene: 1, shuffled: null })
  expect(polygon!.answer).toEqual(png!.answer)
  // Nothing is left of the answer where the mask itself doesn't count
  expect(ignored!.answer).toEqual({
    intersection: 0,
    union: png!.answer.union - 50 * 100,
  })
  expect(Object.keys(whole.kinds)).toEqual(['mine', '', 'yours'])

  // Images with one sentence borrow the shuffled one from their neighbour, in a shard too
  for (const i of [1, 2, 3]) await figures(['d.jsonl', '--shard', `${i}/3`, '--results', `${i}`], cwd)
  expect(await figures(['--merge', '1', '2', '3'], cwd)).toEqual(whole)

  const summary = await flowseg(['eval', '--merge', 'whole', '--baseline', 'whole'], { cwd })
  expect(summary.out).toMatch(/Of \d sentences with a baseline IoU below 0.5, 0.0 % reach it now/)
  expect(summary.out).toContain('(no kind)')
  expect(summary.out).not.toContain('largest')

  // Without the oracle the rest is the same
  const dumped = async (file: string): Promise<unknown[]> =>
    (await readFile(join(cwd, file), 'utf8')).split('\n').map((line) => line && (JSON.parse(line) as unknown))
  const plain = await figures(
    ['d.jsonl', '--no-oracle', '--limit', '2', '--count', '1', '--dump', 'plain'],
    cwd,
  )
  const { oracle, ...rest } = (await figures(['d.jsonl', '--limit', '1', '--dump', 'best'], cwd))
    .all as Figures['all'] & {
    oracle: number
  }
  expect(oracle).toBeGreaterThanOrEqual(rest.cIoU)
  expect(plain.all).toEqual(rest)
  expect(await dumped('plain')).toEqual(await dumped('best'))

  // No output replaces what is read
  for (const [args, message] of [
    [['d.jsonl', '--dump', 'd.jsonl'], 'the data set itself'],
    [['d.jsonl', '--dump', 'mask.png'], 'the data set itself'],
    [['d.jsonl', '--results', 'a.png'], 'an image of the data set'],
    [['d.jsonl', '--baseline', 'whole', '--dump', 'whole'], 'the results of --baseline'],
    [['--merge', '1', '2', '3', '--baseline', 'whole', '--dump', 'whole'], 'the results of --baseline'],
    [['--merge', '1', '2', '3', '--results', '2'], 'the results themselves'],
  ] as const) {
    const { code, err } = await flowseg(['eval', ...args], { cwd, gpu })
    expect([code, err]).toEqual([2, expect.stringContaining(`would overwrite ${message}`)])
  }

  // Results that don't merge; those of version 1 may be of the baseline
  const old = (await readFile(join(cwd, 'whole'), 'utf8')).replace('"version":2', '"version":1')
  await writeFile(join(cwd, 'old'), old)
  const failures: [string[], string][] = [
    [['1', '2'], 'The results of 3/3 are missing.'],
    [['1', '1', '2'], '1 and 1 are both shard 1/3.'],
    [['1', 'whole'], 'the number of shards differs'],
    [['d.jsonl'], 'd.jsonl: it is no file of results.'],
    [['nothing'], 'nothing: is not there.'],
    [['old'], 'old: its version is "1", expected 2.'],
  ]
  for (const [files, message] of failures) {
    const { code, err } = await flowseg(['eval', '--merge', ...files], { cwd })
    expect(code).toBe(1)
    expect(err).toContain(message)
  }
})
