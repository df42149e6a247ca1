// The studio's plain functions: turns of a wheel, files that come together, and masks of layers.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { FlowSeg } from '../../src/index.ts'
import { wheelZoom } from '../../web/canvas/wheel.ts'
import { sorted } from '../../web/inputs/files.ts'
import { nameOf } from '../../web/inputs/links.ts'
import { maskOf } from '../../web/pixels/mask-of.ts'
import { NANO, ROOT } from '../e2e/cli-harness.ts'
import { anyGpu } from '../support.ts'
import { pixelsOf } from './house/house.ts'

test('a notch of a mouse is the same step in every browser; fingers zoom by how far they spread', () => {
  const turn = (deltaY: number, deltaMode = 0, ctrlKey = false): number =>
    wheelZoom({ deltaY, deltaMode, ctrlKey })
  const notch = turn(-100)
  expect(notch).toBeGreaterThan(1.1)
  expect(notch).toBeLessThan(1.3)
  for (const same of [
    turn(-120),
    turn(-150),
    turn(-3, 1),
    turn(-1, 2),
    turn(-100, 0, true),
    turn(-120, 0, true),
  ]) {
    expect(same).toBeCloseTo(notch, 12)
  }
  expect(turn(100) * notch).toBeCloseTo(1, 12)
  // A touchpad: the steps of one notch, one by one, come to the same
  let pad = 1
  for (let i = 0; i < 25; i++) pad *= turn(-4)
  expect(pad).toBeCloseTo(notch, 9)
  // Fingers twice as far apart
  let fingers = 1
  for (let i = 0; i < 100; i++) fingers *= turn((-100 * Math.LN2) / 100, 0, true)
  expect(fingers).toBeCloseTo(2, 9)
  expect(turn(0)).toBe(1)
})

test('files that come together are sorted', () => {
  const named = (files: Readonly<Record<string, string>>) => {
    const { images, weights, others } = sorted(
      Object.entries(files).map(([name, type]) => new File(['x'], name, { type })),
    )
    const names = (some: readonly File[]): string[] => some.map(({ name }) => name)
    return [names(images), names(weights), names(others)]
  }
  expect(named({ 'a.png': 'image/png', 'b.HEIC': '', 'c.txt': 'text/plain' })).toEqual([
    ['a.png', 'b.HEIC'],
    [],
    ['c.txt'],
  ])
  expect(named({ 'config.json': '', 'tokenizer.json': '', 'x.safetensors': '', 'a.jpg': '' })).toEqual([
    ['a.jpg'],
    ['config.json', 'tokenizer.json', 'x.safetensors'],
    [],
  ])
  for (const name of ['pytorch_model.bin', 'epoch_3.PTH', 'last.pt', 'pytorch_model.bin.index.json']) {
    expect(named({ [name]: '', 'tokenizer.json': '' })).toEqual([[], [name, 'tokenizer.json'], []])
  }
  // Nothing says what it is: the first is tried as an image
  expect(named({ scan: '', 'notes.txt': 'text/plain' })).toEqual([['scan'], [], ['notes.txt']])
  expect(named({ 'answer.json': 'application/json', 'a.png': '' })).toEqual([['a.png'], [], ['answer.json']])
})

test('linked images have names', () => {
  expect(nameOf('https://some.where/a/b%20c.png?size=1#x')).toBe('b c.png')
  expect(nameOf('https://some.where/100%.png')).toBe('100%.png')
  expect(nameOf('https://some.where/')).toBe('linked image')
  expect(nameOf('data:image/png;base64,AAAA')).toBe('linked image')
})

test("a layer's mask is interpolated twice: to the canvas, then from its part that holds the image", () => {
  // Left half inside; a canvas of 8 by 8, of which the image has the upper 4 rows, at twice their size
  const data = Float32Array.from({ length: 16 }, (_, i) => (i % 4 < 2 ? 1 : -1))
  const mask = maskOf({ width: 4, height: 4, data }, 8, [4, 8], 16, 8)
  expect([mask.width, mask.height, mask.area]).toEqual([16, 8, 64])
  expect(Array.from(mask.data.subarray(0, 16))).toEqual([1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0])
  // Rows below the image on the canvas don't reach into it: the edge repeats
  const rows = Float32Array.from({ length: 16 }, (_, i) => (i < 8 ? 1 : -9))
  expect(maskOf({ width: 4, height: 4, data: rows }, 8, [3, 8], 8, 6).area).toBe(48)
})

test("the answer's mask, made here of its logits, is the engine's", async () => {
  const model = await FlowSeg.load(NANO, { gpu: await anyGpu() })
  const scene = await model.look(await pixelsOf(await readFile(join(ROOT, 'examples/scene.png'))))
  const { mask, logits, canvas } = await scene.segment('the dotted shape')
  const { width, height, refined: data } = logits
  const ours = maskOf({ width, height, data }, model.config.sam.image, canvas, mask.width, mask.height)
  let differing = 0
  for (let i = 0; i < mask.data.length; i++) if (mask.data[i] !== ours.data[i]) differing++
  expect(mask.area).toBeGreaterThan(0)
  expect(differing).toBeLessThanOrEqual(2) // logits within rounding of zero
  model.close()
})
