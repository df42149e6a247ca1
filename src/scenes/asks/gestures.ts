// Gestures at objects as people make them: off the centre, over the rim, partly outside of the picture, on what another
// object leaves free, or at the background.

import type { KeyedRandom } from '../random.ts'
import { SIZE } from '../world/canvas.ts'
import type { RegionAsk } from './ask.ts'

type GesturePoint = readonly [number, number]

/** In pixels of the picture; of a mask the lengths of runs, row by row, zeros first. */
export type Gesture =
  | { readonly point: GesturePoint }
  | { readonly box: readonly [number, number, number, number] }
  | { readonly scribble: readonly GesturePoint[] }
  | { readonly runs: readonly number[] }

/** Radii of a click and of a line of a scribble, as the model's input draws them at this size. */
const RADII = { point: 4, scribble: 2 } as const

/** A scene as gestures need it: the objects' categories and visible boxes, and the id of each pixel. */
export interface Pointable {
  /** In painting order; boxes are [x0, y0, x1, y1) in pixels. */
  readonly objects: readonly {
    readonly category: string
    readonly box: readonly [number, number, number, number]
  }[]
  /** [SIZE, SIZE]: 0 is background, i + 1 is object i. */
  readonly ids: Uint8Array
}

/** Two gestures at each object, and one or two at the background. */
export function gestures(random: KeyedRandom, { objects, ids }: Pointable): RegionAsk[] {
  const at = objects.flatMap((_, target) =>
    random
      .shuffle(KINDS)
      .slice(0, 2)
      .map((kind): RegionAsk => {
        const alike = objects.flatMap((o, i) => (o.category === objects[target]?.category ? [i] : []))
        return {
          task: 'region',
          kind,
          gesture: MAKERS[kind](random, target, { objects, ids }),
          target,
          alike,
        }
      }),
  )
  const nothing = Array.from({ length: objects.length === 0 ? 3 : 2 }, () => atBackground(random, ids))
  return [...at, ...nothing.filter((ask) => ask !== null)]
}

/** Pixels from the frame. */
const NEAR = 14
const KINDS = ['point', 'box', 'scribble', 'mask'] as const
type Maker = (random: KeyedRandom, target: number, scene: Pointable) => Gesture

const MAKERS: Record<(typeof KINDS)[number], Maker> = {
  point: (random, target, scene) => ({ point: pixelOf(random, target, scene, random.chance(0.3) ? 0 : 2) }),

  box(random, target, { objects }) {
    const [x0, y0, x1, y1] = objects[target]?.box ?? [0, 0, 1, 1]
    const most = random.chance(0.3) ? 0.02 : 0.16
    const off = (size: number) => Math.round(random.range(-most, most) * size)
    const [width, height] = [x1 - x0, y1 - y0]
    // Near the frame a hasty drag often ends outside of it
    const isHasty = random.chance(0.6)
    const low = (at: number, size: number) => (isHasty && at < NEAR ? -random.int(1, 8) : at + off(size))
    const high = (at: number, size: number) =>
      isHasty && at > SIZE - NEAR ? SIZE + random.int(1, 8) : at + off(size)
    return { box: [low(x0, width), low(y0, height), high(x1, width), high(y1, height)] }
  },

  scribble(random, target, scene) {
    const points = Array.from({ length: random.int(2, 5) }, () => pixelOf(random, target, scene, 1))
    const isOver = random.chance(0.2)
    const [last = [0, 0]] = points.slice(-1)
    const slip = (v: number) => v + random.int(-9, 9)
    return { scribble: isOver ? [...points, [slip(last[0]), slip(last[1])]] : points }
  },

  mask(random, target, { ids }) {
    const [dx, dy] = random.chance(0.5) ? [0, 0] : [random.int(-4, 4), random.int(-4, 4)]
    const grow = random.int(-2, 4)
    const inside = new Uint8Array(SIZE * SIZE)
    for (let i = ids.indexOf(target + 1); i >= 0; i = ids.indexOf(target + 1, i + 1)) {
      const [x, y] = [(i % SIZE) + dx, Math.floor(i / SIZE) + dy]
      if (x >= 0 && y >= 0 && x < SIZE && y < SIZE) inside[y * SIZE + x] = 1
    }
    const grown = grow > 0 ? spread(inside, grow, 1) : grow < 0 ? spread(inside, -grow, 0) : inside
    return { runs: runsOf(grown.includes(1) ? grown : inside) }
  },
}

const idAt = (ids: Uint8Array, x: number, y: number): number =>
  x < 0 || y < 0 || x >= SIZE || y >= SIZE ? 0 : (ids[y * SIZE + x] as number)

/** A pixel of the object whose neighbours `clear` away are the object's as well, if one turns up. */
function pixelOf(
  random: KeyedRandom,
  target: number,
  { objects, ids }: Pointable,
  clear: number,
): GesturePoint {
  const [x0, y0, x1, y1] = objects[target]?.box ?? [0, 0, 1, 1]
  const isInside = (x: number, y: number) => idAt(ids, x, y) === target + 1
  for (let draw = 0; draw < 400; draw++) {
    const [x, y] = [random.int(x0, x1 - 1), random.int(y0, y1 - 1)]
    const reach = draw < 300 ? clear : 0
    if ([-reach, 0, reach].every((d) => isInside(x + d, y) && isInside(x, y + d))) return [x, y]
  }
  const at = ids.indexOf(target + 1)
  return [at % SIZE, Math.floor(at / SIZE)]
}

/** Pixels with the value spread `steps` pixels in the four directions. */
function spread(mask: Uint8Array, steps: number, value: 0 | 1): Uint8Array {
  let from = mask
  for (let step = 0; step < steps; step++) {
    const to = from.slice()
    for (let y = 1; y < SIZE - 1; y++) {
      for (let i = y * SIZE + 1; i < y * SIZE + SIZE - 1; i++) {
        const isNext =
          from[i - 1] === value ||
          from[i + 1] === value ||
          from[i - SIZE] === value ||
          from[i + SIZE] === value
        if (isNext) to[i] = value
      }
    }
    from = to
  }
  return from
}

/** Lengths of runs of zeros and ones in turn, zeros first. */
export function runsOf(mask: Uint8Array): number[] {
  const runs: number[] = []
  let [value, begin] = [0, 0]
  for (let i = 0; i <= mask.length; i++) {
    if (i < mask.length && mask[i] === value) continue
    runs.push(i - begin)
    ;[value, begin] = [1 - value, i]
  }
  return runs
}

/** A click, a line or a box where no object is, or null where none turned up. */
function atBackground(random: KeyedRandom, ids: Uint8Array): RegionAsk | null {
  const kind = random.pick(['point', 'point', 'box', 'scribble'] as const)
  for (let draw = 0; draw < 40; draw++) {
    const [x, y] = [random.int(8, SIZE - 9), random.int(8, SIZE - 9)]
    const [width, height] = kind === 'point' ? [0, 0] : [random.int(12, 60), random.int(12, 60)]
    const [x1, y1] = [Math.min(SIZE - 1, x + width), Math.min(SIZE - 1, y + height)]
    if (isTouched(ids, x - 6, y - 6, x1 + 6, y1 + 6)) continue
    const gesture: Gesture =
      kind === 'point'
        ? { point: [x, y] }
        : kind === 'box'
          ? { box: [x, y, x1, y1] }
          : {
              scribble: [
                [x, y],
                [x1, random.int(y, y1)],
                [random.int(x, x1), y1],
              ],
            }
    return { task: 'region', kind: 'nothing', gesture, target: null, alike: [] }
  }
  return null
}

function isTouched(ids: Uint8Array, x0: number, y0: number, x1: number, y1: number): boolean {
  for (let y = y0; y <= y1; y++) for (let x = x0; x <= x1; x++) if (idAt(ids, x, y) > 0) return true
  return false
}

/** The pixels that a gesture covers, [SIZE, SIZE], 1 inside: as the model's input draws them. */
export function pixelsOf(gesture: Gesture): Uint8Array {
  const inside = new Uint8Array(SIZE * SIZE)
  if ('runs' in gesture) {
    let at = 0
    for (const [i, length] of gesture.runs.entries()) {
      if (i % 2 === 1) inside.fill(1, at, at + length)
      at += length
    }
    return inside
  }
  if ('box' in gesture) {
    const [x0, y0, x1, y1] = gesture.box
    return fill(inside, [x0, y0, x1 - 1, y1 - 1], () => true)
  }
  const points = 'point' in gesture ? [gesture.point] : gesture.scribble
  const radius = 'point' in gesture ? RADII.point : RADII.scribble
  for (const [i, to] of points.entries()) {
    const from = points[Math.max(0, i - 1)] ?? to
    const [x0, x1] = [Math.min(from[0], to[0]) - radius, Math.max(from[0], to[0]) + radius]
    const [y0, y1] = [Math.min(from[1], to[1]) - radius, Math.max(from[1], to[1]) + radius]
    fill(inside, [x0, y0, x1, y1], (x, y) => fromLine(x, y, from, to) <= radius)
  }
  return inside
}

/** Marks the pixels of a range, both ends included, that are inside of a shape and of the picture. */
function fill(
  inside: Uint8Array,
  [x0, y0, x1, y1]: readonly [number, number, number, number],
  isInside: (x: number, y: number) => boolean,
): Uint8Array {
  for (let y = Math.max(0, y0); y <= Math.min(SIZE - 1, y1); y++) {
    for (let x = Math.max(0, x0); x <= Math.min(SIZE - 1, x1); x++) {
      if (isInside(x, y)) inside[y * SIZE + x] = 1
    }
  }
  return inside
}

function fromLine(x: number, y: number, [x0, y0]: GesturePoint, [x1, y1]: GesturePoint): number {
  const [dx, dy] = [x1 - x0, y1 - y0]
  const along = dx === 0 && dy === 0 ? 0 : ((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy)
  const t = Math.min(1, Math.max(0, along))
  return Math.hypot(x - x0 - t * dx, y - y0 - t * dy)
}
