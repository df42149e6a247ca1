// The command's drawings, files and figures, without a model: outlines, previews, labels, files, metrics.

import { mkdirSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { Drafts } from '../../../src/cli/files.ts'
import { iouOf, metricsOf, overlap } from '../../../src/cli/metrics.ts'
import { textWidth, write } from '../../../src/cli/output/font.ts'
import { preview } from '../../../src/cli/output/preview.ts'
import { ProgressLine } from '../../../src/cli/output/progress-line.ts'
import { maskFromLogits } from '../../../src/cli/output/resample.ts'
import type { Output, Terminal } from '../../../src/cli/output/terminal.ts'
import type { Image } from '../../../src/io/image/image.ts'
import { makeFolders } from '../../../src/make-folders.ts'
import type { Mask } from '../../../src/masks/mask.ts'
import { boxOf, overlay, scale } from '../../../src/masks/picture.ts'
import { onlyOnLinux } from '../../where.ts'
import { filesIn, temporaryFolder } from '../cli-harness.ts'

// ---- Pictures

test('an overlay marks a line inside of the edge, a white one outside, and leaves the rest alone', () => {
  const image = plain(40, 30, [200, 30, 30])
  const mask = rectangle(40, 30, [10, 8, 20, 18])
  const picture = overlay(image, mask)
  const at = (x: number, y: number): number[] => [
    ...picture.rgb.subarray(3 * (y * 40 + x), 3 * (y * 40 + x) + 3),
  ]
  expect(at(9, 12)).toEqual([255, 255, 255])
  expect(at(20, 12)).toEqual([255, 255, 255])
  const line = at(10, 12)
  expect(at(19, 12)).toEqual(line)
  expect(distance(line, [200, 30, 30])).toBeGreaterThan(200) // a colour unlike the object's
  expect(distance(at(15, 13), [200, 30, 30])).toBeGreaterThan(50) // tinted
  expect(at(7, 12)).toEqual([200, 30, 30])
  expect(at(9, 7)).toEqual([200, 30, 30]) // corners stay sharp
  expect(image.rgb).toEqual(plain(40, 30, [200, 30, 30]).rgb)
})

test('a mask on the whole image, and an empty one, have no edge', () => {
  const image = plain(8, 6, [0, 0, 0])
  expect(overlay(image, rectangle(8, 6, [0, 0, 0, 0])).rgb).toEqual(image.rgb)
  const { rgb } = overlay(image, rectangle(8, 6, [0, 0, 8, 6]))
  expect(new Set(rgb.filter((_, i) => i % 3 === 0)).size).toBe(1)
})

test('on large images lines grow thicker', () => {
  const mask = rectangle(3200, 20, [100, 0, 200, 20])
  const picture = overlay(plain(3200, 20, [0, 0, 0]), mask)
  const white = [...Array(3200).keys()].filter(
    (x) => picture.rgb[3 * x + 1] === 255 && picture.rgb[3 * x] === 255,
  )
  expect(white).toEqual([96, 97, 98, 99, 200, 201, 202, 203])
})

test('boxOf is around the mask, or null', () => {
  expect(boxOf(rectangle(9, 7, [2, 3, 5, 4]))).toEqual([2, 3, 5, 4])
  expect(boxOf(rectangle(9, 7, [0, 0, 9, 7]))).toEqual([0, 0, 9, 7])
  expect(boxOf(rectangle(9, 7, [0, 0, 0, 0]))).toBeNull()
})

test('scale averages what it makes smaller and repeats what it makes larger', () => {
  const image = {
    width: 4,
    height: 2,
    rgb: Uint8Array.from({ length: 24 }, (_, i) => 10 * Math.floor(i / 3)),
  }
  expect([...scale(image, 2, 1).rgb]).toEqual([25, 25, 25, 45, 45, 45])
  expect(scale(scale(image, 8, 4), 4, 2).rgb).toEqual(image.rgb)
})

test('labels are cut to their room, and never written past the picture', () => {
  const picture = plain(30, 12, [0, 0, 0])
  write(picture, 2, 2, 'Wörterbuch', [255, 255, 255])
  write(picture, 25, 9, 'x', [255, 255, 255])
  expect(picture.rgb.some((v) => v === 255)).toBe(true)
  expect([textWidth('abc'), textWidth('äbc'), textWidth('')]).toEqual([17, 17, 0])
})

test('a preview is half blocks in 24 bits, and nothing where they cannot be shown', () => {
  const output = (isTTY: boolean, colourBits: number): Output => ({
    write() {},
    isTTY,
    columns: 10,
    colourBits,
  })
  const lines = preview(plain(100, 50, [1, 2, 3]), output(true, 24))
  expect(lines).toHaveLength(2)
  expect(lines[0]).toBe(`${'\x1b[38;2;1;2;3m\x1b[48;2;1;2;3m▀'.repeat(8)}\x1b[0m`)
  expect(preview(plain(100, 50, [1, 2, 3]), output(true, 8))).toEqual([])
  expect(preview(plain(100, 50, [1, 2, 3]), output(false, 1))).toEqual([])
})

test('the progress line stays on one line and goes away', () => {
  let text = ''
  const progress = new ProgressLine(terminalIn('.', (more) => (text += more)))
  progress.on({ phase: 'upload', what: 'x'.repeat(200), loaded: 37, total: 100 })
  // oxlint-disable-next-line no-control-regex
  const shown = text.replace(/\x1b\[[\d;]*[mK]|\r/g, '')
  expect(shown.length).toBeLessThan(60)
  expect(shown).toMatch(/upload +█+.?·+ +37 % +x+…/)
  // That a server is waited for is shown at once, as it may be the last for a minute
  const waiting = { reason: 'busy', seconds: 25 } as const
  progress.on({ phase: 'download', what: 'w.bin', loaded: 0, total: 0, waiting })
  expect(text).toContain('retry in 25 s: serve')
  progress.clear()
  expect(text.endsWith('\r\x1b[K')).toBe(true)
})

// ---- Files

test('drafts are written all together or not at all', async () => {
  const folder = await temporaryFolder()
  await mkdir(join(folder, 'taken.png'))
  const drafts = new Drafts(terminalIn(folder))
  drafts.add('new/deep/a.png', 'a')
  drafts.add('taken.png', 'b')
  await expect(drafts.commit()).rejects.toThrow(/taken\.png can't be written: a folder of this name is there/)
  expect(await filesIn(folder)).toEqual(['taken.png'])

  const fine = new Drafts(terminalIn(folder))
  fine.add('new/deep/a.png', 'a')
  fine.add('b.png', 'b')
  await fine.commit()
  expect(await filesIn(folder)).toEqual(['b.png', 'new', 'new/deep', 'new/deep/a.png', 'taken.png'])
  expect(await readFile(join(folder, 'b.png'), 'utf8')).toBe('b')
})

test('drafts that were moved to their place go again when a later one fails', async () => {
  const folder = await temporaryFolder()
  await writeFile(join(folder, 'old.png'), 'old')
  const { signal } = new AbortController()
  const drafts = new Drafts(terminalIn(folder, () => undefined, signal))
  for (const name of ['new/a.png', 'old.png', 'b.png']) drafts.add(name, 'new')

  // Asked before anything is written, and again before anything is moved: then somebody takes the last name
  vi.spyOn(signal, 'throwIfAborted')
    .mockImplementationOnce(() => undefined)
    .mockImplementationOnce(() => mkdirSync(join(folder, 'b.png')))
  await expect(drafts.commit()).rejects.toThrow(/b\.png can't be written/)
  expect(await filesIn(folder)).toEqual(['b.png', 'old.png'])
  expect(await readFile(join(folder, 'old.png'), 'utf8')).toBe('new') // what was replaced is gone
})

test('no draft takes the place of another', async () => {
  const drafts = new Drafts(terminalIn(await temporaryFolder()))
  drafts.add('a/b.png', 'a')
  expect(() => drafts.add('a/./b.png', 'b')).toThrow('a/./b.png would be written twice')
})

test('a draft whose name was free never replaces what came there meanwhile', async () => {
  const folder = await temporaryFolder()
  const drafts = new Drafts(terminalIn(folder))
  drafts.add('new/a.png', 'a')
  drafts.add('b.png', 'mine', true)
  await writeFile(join(folder, 'b.png'), 'theirs')
  await expect(drafts.commit()).rejects.toThrow(/b\.png can't be written: a file of this name has appeared/)
  expect(await filesIn(folder)).toEqual(['b.png'])
  expect(await readFile(join(folder, 'b.png'), 'utf8')).toBe('theirs')

  await rm(join(folder, 'b.png'))
  const again = new Drafts(terminalIn(folder))
  again.add('b.png', 'mine', true)
  await again.commit()
  expect(await filesIn(folder)).toEqual(['b.png'])
  expect(await readFile(join(folder, 'b.png'), 'utf8')).toBe('mine')
})

test('folders are made only where they can be', async () => {
  const folder = await temporaryFolder()
  expect(makeFolders(join(folder, 'a/b'))).toEqual([join(folder, 'a'), join(folder, 'a/b')])
  expect(makeFolders(join(folder, 'a/b'))).toEqual([])
  await writeFile(join(folder, 'file'), '')
  expect(() => makeFolders(join(folder, 'file/c'))).toThrow()
  expect(() => makeFolders(join(folder, `d/${'x'.repeat(300)}`))).toThrow('ENAMETOOLONG')
  expect(await filesIn(folder)).toEqual(['a', 'a/b', 'file']) // d is gone again
})

test.skipIf(onlyOnLinux)(`a file system that makes no folders is told at once${onlyOnLinux}`, () => {
  expect(() => makeFolders('/proc/nowhere/deep')).toThrow('ENOENT')
})

test('drafts are not written once interrupted, nor where that is forbidden', async () => {
  const folder = await temporaryFolder()
  const stopped = new Drafts(terminalIn(folder, () => undefined, AbortSignal.abort(new Error('enough'))))
  stopped.add('new/a.png', 'a')
  await expect(stopped.commit()).rejects.toThrow('enough')
  expect(await filesIn(folder)).toEqual([])

  await writeFile(join(folder, 'file'), '')
  const under = new Drafts(terminalIn(folder))
  under.add('file/a.png', 'a')
  await expect(under.commit()).rejects.toThrow(/can't be written/)
})

// ---- Numbers

test('metrics: cIoU sums, gIoU averages, and two empty masks agree', () => {
  const a = overlap([1, 1, 0, 0], [1, 0, 0, 0])
  const b = overlap([0, 0, 0, 0], [0, 0, 0, 0])
  const c = overlap([0, 1, 1, 1], [1, 1, 1, 1])
  expect([iouOf(a), iouOf(b), iouOf(c)]).toEqual([0.5, 1, 0.75])
  expect(metricsOf([a, b, c])).toEqual({ sentences: 3, cIoU: 4 / 6, gIoU: 2.25 / 3, half: 1 })
  expect(metricsOf([overlap([1, 1, 1], [1, 0, 0])])).toMatchObject({ half: 0 })
})

test('masks from logits: two bilinear steps with a crop between them, by the formula', () => {
  const [h, w, side] = [3, 4, 12]
  const logits = Float32Array.from({ length: h * w }, (_, i) => Math.sin(3.7 * i + 1))
  const crop = [9, 12] as const
  const size = [7, 10] as const
  const canvas = (y: number, x: number): number =>
    sample((v, u) => logits[v * w + u]!, [h, w], [side, side], y, x)
  const mask = maskFromLogits(logits, [h, w], side, crop, size)
  let area = 0
  for (let y = 0; y < size[0]; y++) {
    for (let x = 0; x < size[1]; x++) {
      const value = sample(canvas, crop, size, y, x)
      if (Math.abs(value) > 1e-6) expect(mask.data[y * size[1] + x]).toBe(value > 0 ? 1 : 0)
      area += mask.data[y * size[1] + x]!
    }
  }
  expect(mask).toMatchObject({ width: 10, height: 7, area })
  expect(area).toBeGreaterThan(5)
})

type Map2 = (y: number, x: number) => number
type Size = readonly [number, number]

/** Bilinear, align_corners false. */
function sample(from: Map2, [h, w]: Size, [H, W]: Size, y: number, x: number): number {
  const v = Math.min(Math.max(((y + 0.5) * h) / H - 0.5, 0), h - 1)
  const u = Math.min(Math.max(((x + 0.5) * w) / W - 0.5, 0), w - 1)
  const [top, left] = [Math.floor(v), Math.floor(u)]
  const [bottom, right] = [Math.min(top + 1, h - 1), Math.min(left + 1, w - 1)]
  const above = from(top, left) * (1 - u + left) + from(top, right) * (u - left)
  const below = from(bottom, left) * (1 - u + left) + from(bottom, right) * (u - left)
  return above * (1 - v + top) + below * (v - top)
}

function plain(width: number, height: number, colour: readonly number[]): Image {
  return { width, height, rgb: Uint8Array.from({ length: width * height * 3 }, (_, i) => colour[i % 3]!) }
}

function rectangle(
  width: number,
  height: number,
  [x0, y0, x1, y1]: readonly [number, number, number, number],
): Mask {
  const data = Uint8Array.from({ length: width * height }, (_, i) => {
    const [x, y] = [i % width, Math.floor(i / width)]
    return x >= x0 && x < x1 && y >= y0 && y < y1 ? 1 : 0
  })
  return { width, height, data, area: (x1 - x0) * (y1 - y0) }
}

function distance(a: readonly number[], b: readonly number[]): number {
  return Math.hypot(...a.map((v, i) => v - b[i]!))
}

function terminalIn(
  cwd: string,
  onWrite: (text: string) => void = () => undefined,
  signal: AbortSignal = new AbortController().signal,
): Terminal {
  const output: Output = { write: onWrite, isTTY: true, columns: 60, colourBits: 24 }
  return { out: output, err: output, cwd, env: {}, signal }
}
