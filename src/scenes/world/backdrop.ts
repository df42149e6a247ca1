// Backgrounds of the second generation: gradients, textures, soft shadows below the objects, and noise.
//
// Everything that is drawn stays near one quiet colour, which differs clearly from every object's: a background may be
// rich, but never looks like an object.

import type { KeyedRandom } from '../random.ts'
import { fixed } from '../shapes.ts'
import { type Backdrop, covering, SIZE } from './canvas.ts'
import { type RgbBytes, shift, toHex } from './colour.ts'

/** The place of an object on the canvas, in pixels. */
interface Standing {
  readonly centre: readonly [number, number]
  readonly radius: number
}

/** A background around one colour for these objects. */
export function richBackground(random: KeyedRandom, objects: readonly Standing[], base: RgbBytes): Backdrop {
  const ground = random.chance(0.55) ? gradient(random, base) : covering(toHex(base))
  const texture = random.chance(0.65) ? random.pick(TEXTURES)(random, base) : ''
  const shade = random.chance(0.4) ? shadows(random, objects) : ''
  const grain = random.chance(0.4) ? random.int(2, 9) : undefined
  return { background: ground + texture + shade, grain }
}

function gradient(random: KeyedRandom, base: RgbBytes): string {
  const stops =
    `<stop offset="0" stop-color="${toHex(shift(random, base, 20))}"/>` +
    `<stop offset="1" stop-color="${toHex(shift(random, base, 20))}"/>`
  const at = () => fixed(random.next())
  const place = random.chance(0.5)
    ? `<radialGradient id="bg" cx="${at()}" cy="${at()}" r="${fixed(random.range(0.4, 0.9))}">${stops}</radialGradient>`
    : `<linearGradient id="bg" x1="${at()}" y1="${at()}" x2="${at()}" y2="${at()}">${stops}</linearGradient>`
  return place + covering('url(#bg)')
}

type Texture = (random: KeyedRandom, base: RgbBytes) => string

const TEXTURES: readonly Texture[] = [blobs, strokes, stripes, checks, waves, speckles]

function blobs(random: KeyedRandom, base: RgbBytes): string {
  return many(random, 15, 45, () => {
    const [cx, cy, r] = [random.int(0, SIZE), random.int(0, SIZE), random.int(3, 32)]
    return `<circle cx="${cx}" cy="${cy}" r="${r}" fill="${toHex(shift(random, base, 13))}"/>`
  })
}

function strokes(random: KeyedRandom, base: RgbBytes): string {
  return many(random, 20, 60, () => {
    const [x, y, dx, dy] = [
      random.int(0, SIZE),
      random.int(0, SIZE),
      random.int(-80, 80),
      random.int(-80, 80),
    ]
    const paint = `stroke="${toHex(shift(random, base, 15))}" stroke-width="${random.int(1, 6)}"`
    return `<path d="M${x} ${y}l${dx} ${dy}" ${paint}/>`
  })
}

function stripes(random: KeyedRandom, base: RgbBytes): string {
  const [step, turn] = [random.range(9, 40), random.int(0, 179)]
  const bar = `<rect width="${fixed(step)}" height="${fixed(step * 0.5)}" fill="${toHex(shift(random, base, 14))}"/>`
  return tiled(step, turn, bar)
}

function checks(random: KeyedRandom, base: RgbBytes): string {
  const [step, turn, paint] = [random.range(12, 44), random.int(0, 89), toHex(shift(random, base, 13))]
  const half = fixed(step / 2)
  const squares =
    `<rect width="${half}" height="${half}" fill="${paint}"/>` +
    `<rect x="${half}" y="${half}" width="${half}" height="${half}" fill="${paint}"/>`
  return tiled(step, turn, squares)
}

function tiled(step: number, turn: number, tile: string): string {
  const size = `width="${fixed(step)}" height="${fixed(step)}"`
  const pattern = `<pattern id="texture" ${size} patternUnits="userSpaceOnUse" patternTransform="rotate(${turn})">`
  return `${pattern}${tile}</pattern>${covering('url(#texture)')}`
}

function waves(random: KeyedRandom, base: RgbBytes): string {
  const [step, height, width] = [random.int(16, 40), random.int(4, 16), random.int(2, 8)]
  const line = (y: number) => {
    const swings = Array.from({ length: 8 }, () => `q16 ${-height} 32 0t32 0`).join('')
    return `<path d="M-16 ${y}${swings}" fill="none" stroke="${toHex(shift(random, base, 12))}" stroke-width="${width}"/>`
  }
  return Array.from({ length: Math.ceil(SIZE / step) + 1 }, (_, i) => line(i * step)).join('')
}

function speckles(random: KeyedRandom, base: RgbBytes): string {
  return many(random, 80, 200, () => {
    const [x, y, size] = [random.int(0, SIZE), random.int(0, SIZE), random.int(1, 4)]
    return `<rect x="${x}" y="${y}" width="${size}" height="${size}" fill="${toHex(shift(random, base, 22))}"/>`
  })
}

/** A soft dark ellipse below and beside each object; all fall the same way. */
function shadows(random: KeyedRandom, objects: readonly Standing[]): string {
  const [dx, dy, dark] = [random.range(-0.35, 0.35), random.range(0.25, 0.5), random.range(0.18, 0.4)]
  const soft =
    `<radialGradient id="shade"><stop offset="0.3" stop-opacity="${fixed(dark)}"/>` +
    '<stop offset="1" stop-opacity="0"/></radialGradient>'
  const each = objects.map(({ centre: [x, y], radius }) => {
    const at = `cx="${fixed(x + dx * radius)}" cy="${fixed(y + dy * radius)}"`
    return `<ellipse ${at} rx="${fixed(radius * 1.15)}" ry="${fixed(radius)}" fill="url(#shade)"/>`
  })
  return soft + each.join('')
}

function many(random: KeyedRandom, least: number, most: number, one: () => string): string {
  return Array.from({ length: random.int(least, most) }, one).join('')
}
