// The masks and polygons that pycocotools was asked about: the twin of training/golden/masks.py.

import { expect } from 'vitest'
import { type Mask, maskOf } from '../../src/masks/mask.ts'
import type { Polygon } from '../../src/masks/polygon.ts'
import { counterBits, streamSeed } from '../../src/model/convert/counter.ts'
import { readFixture } from '../fixtures/golden.ts'
import { counterBytes } from '../fixtures/random.ts'
import { readText } from '../runtime.ts'

interface Recorded {
  readonly kinds: readonly string[]
  /** Area, box [x, y, width, height], and counts of each mask. */
  readonly masks: readonly (readonly [number, readonly number[], string])[]
  /** Counts of each list of polygons. */
  readonly polygons: readonly string[]
  /** The first 13 masks as Label Studio's brush, in base64. */
  readonly brushes: readonly string[]
}

/** Answers of pycocotools. */
export const recorded: Recorded = readFixture('masks.json') as Recorded

class Draws {
  readonly #seed: number
  #at = 0

  constructor(name: string) {
    this.#seed = streamSeed(name)
  }

  below(end: number): number {
    return counterBits(this.#seed, this.#at++) % end
  }
}

/** Answers of a model, as lengths of runs, zeros first. */
const runsOfMasks = JSON.parse(readText('test/fixtures/real-masks.json')) as readonly (readonly number[])[]
const realMasks: readonly Uint8Array[] = runsOfMasks.map((runs) => {
  const data = new Uint8Array(256 * 256)
  let at = 0
  for (const [i, length] of runs.entries()) data.fill(i % 2, at, (at += length))
  return data
})

/** The kind of mask n. */
export function kindOf(n: number): string {
  return recorded.kinds[n % recorded.kinds.length]!
}

/** Mask n. */
export function drawMask(n: number): Mask {
  const draw = new Draws(`mask.${n}`)
  const kind = kindOf(n)
  if (kind === 'real') {
    return maskOf(256, 256, realMasks[Math.floor(n / recorded.kinds.length) % realMasks.length]!)
  }
  const [w, h] = [1 + draw.below(64), 1 + draw.below(64)]
  const data = new Uint8Array(w * h)
  const paint = (level: (x: number, y: number, before: number) => number | boolean): void => {
    for (let i = 0; i < data.length; i++) data[i] = Number(level(i % w, Math.floor(i / w), data[i]!))
  }
  const square = (x: number): number => x * x
  if (kind === 'noise') {
    const [noise, density] = [counterBytes(`mask.${n}.noise`, [h, w]), draw.below(256)]
    paint((x, y) => noise[y * w + x]! < density)
  }
  if (kind === 'full') data.fill(1)
  if (kind === 'pixels') {
    for (let i = 1 + draw.below(3); i > 0; i--) {
      const [y, x] = [draw.below(h), draw.below(w)]
      data[y * w + x] = 1
    }
  }
  if (kind === 'line') {
    const [way, at] = [draw.below(4), draw.below(Math.max(w, h))]
    paint((x, y) => [y === at % h, x === at % w, x - y === at - Math.floor(h / 2), x + y === at][way]!)
  }
  if (kind === 'discs') {
    for (let i = 1 + draw.below(6); i > 0; i--) {
      const [cx, cy, r] = [draw.below(w), draw.below(h), 1 + draw.below(24)]
      paint((x, y, before) => before ^ Number(square(x - cx) + square(y - cy) < r * r))
    }
  }
  if (kind === 'rectangles') {
    const count = 1 + draw.below(8)
    for (let i = 0; i < count; i++) {
      const [x0, y0, dx, dy] = [draw.below(w), draw.below(h), 1 + draw.below(32), 1 + draw.below(32)]
      const isIn = (x: number, y: number): boolean => x >= x0 && x < x0 + dx && y >= y0 && y < y0 + dy
      paint((x, y, before) => (isIn(x, y) ? Number(i % 3 !== 2) : before))
    }
  }
  if (kind === 'spiral') {
    let [x, y] = [0, 0]
    data[0] = 1
    for (let turn = 0; turn < w + h; turn++) {
      const [dx, dy] = (
        [
          [1, 0],
          [0, 1],
          [-1, 0],
          [0, -1],
        ] as const
      )[turn % 4]!
      const steps = (turn % 2 ? h : w) - 1 - 2 * Math.floor(Math.max(0, turn - 1) / 2)
      for (let i = 0; i < steps; i++) {
        x += dx
        y += dy
        data[y * w + x] = 1
      }
    }
  }
  if (kind === 'checks') {
    const [a, b] = [1 + draw.below(8), 1 + draw.below(8)]
    paint((x, y) => (Math.floor(x / a) + Math.floor(y / b)) % 2)
  }
  if (kind === 'comb') {
    const [a, back] = [1 + draw.below(5), draw.below(h)]
    paint((x, y) => x % (a + 1) < a || y === back)
  }
  if (kind === 'slope') {
    const [a, b] = [draw.below(41) - 20, draw.below(41) - 20]
    const c = a * draw.below(w) + b * draw.below(h)
    paint((x, y) => a * x + b * y < c)
  }
  if (kind === 'rings') {
    const [cx, cy, k] = [draw.below(w), draw.below(h), 1 + draw.below(200)]
    paint((x, y) => Math.floor((square(x - cx) + square(y - cy)) / k) % 2)
  }
  return maskOf(w, h, data)
}

/** Case n: polygons of one ring each, the size of their mask, and the parts of a pixel that coordinates are. */
export function drawPolygons(n: number): {
  polygons: Polygon[]
  width: number
  height: number
  step: number
} {
  const draw = new Draws(`polygons.${n}`)
  const [width, height] = [1 + draw.below(48), 1 + draw.below(48)]
  const step = [16, 10, 1, 2][n % 4]!
  const beyond = [0, 8, 0, 400][Math.floor(n / 4) % 4]!
  const place = (size: number): number => (draw.below(step * (size + 2 * beyond) + 1) - step * beyond) / step
  const polygons: Polygon[] = []
  for (let p = 1 + draw.below(3); p > 0; p--) {
    const ring: [number, number][] = []
    for (let i = 3 + draw.below(10); i > 0; i--) {
      const point: [number, number] = [place(width), place(height)]
      ring.push(point)
      if (draw.below(8) === 0) ring.push(point)
    }
    polygons.push([ring])
  }
  return { polygons, width, height, step }
}

/** Holds two masks against each other; at once, which of arrays of 65,536 bytes `toEqual` isn't. */
export function expectSameMask(got: Mask, expected: Mask, what: string): void {
  const sizes = ({ width, height, area }: Mask): object => ({ width, height, area })
  expect(sizes(got), what).toEqual(sizes(expected))
  expect(
    got.data.findIndex((bit, i) => bit !== expected.data[i]),
    `first difference of ${what}`,
  ).toBe(-1)
}
