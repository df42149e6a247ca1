// The path of an SVG: a subpath per ring, to be filled with fill-rule="evenodd". One unit is a pixel.

import { describe } from '../check.ts'
import { MaskError, UsageError } from '../errors.ts'
import { expectPolygons, type Point, type Polygon } from './polygon.ts'

/** Thousandths of a pixel are kept. */
const DIGITS = 3

/** The `d` of a path: `<path fill-rule="evenodd" d="...">`. Empty if there are no polygons. */
export function toSvgPath(polygons: readonly Polygon[]): string {
  expectPolygons('toSvgPath', polygons)
  const places = (ring: readonly Point[]): string => ring.map((point) => point.map(short).join(' ')).join('L')
  return polygons.flatMap((polygon) => polygon.map((ring) => `M${places(ring)}Z`)).join('')
}

/**
 * The rings of a path of straight lines, as one polygon by the even-odd rule.
 *
 * @param d with the commands M, L, H, V and Z, large or small
 * @throws MaskError if it has curves, or isn't a path
 */
export function fromSvgPath(d: string): Polygon[] {
  if (typeof d !== 'string') throw new UsageError(`fromSvgPath: the path is ${describe(d)}, expected a string.`)
  const rings: Point[][] = []
  let [x, y] = [0, 0]
  let ring: Point[] = []
  for (const { command, numbers } of commandsOf(d)) {
    const isRelative = command === command.toLowerCase()
    const kind = command.toUpperCase()
    if (kind === 'Z') {
      ;[x, y] = ring[0] ?? [x, y]
      ring = []
      continue
    }
    const step = kind === 'H' || kind === 'V' ? 1 : 2
    for (let at = 0; at < numbers.length; at += step) {
      const [a = 0, b = 0] = numbers.slice(at, at + step)
      const [dx, dy] = isRelative ? [x, y] : [0, 0]
      if (kind !== 'V') x = dx + a
      if (kind === 'V') y = dy + a
      if (step === 2) y = dy + b
      const begins = (kind === 'M' && at === 0) || ring.length === 0
      if (begins) rings.push((ring = []))
      ring.push([x, y])
    }
  }
  if (rings.length === 0) return []
  const polygons: Polygon[] = [rings]
  expectPolygons('fromSvgPath', polygons)
  return polygons
}

interface PathCommand {
  readonly command: string
  readonly numbers: readonly number[]
}

const PART = /\s*([MLHVZmlhvz])((?:[\s,]*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)*)[\s,]*/y
const NUMBER = /[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?/g

function* commandsOf(d: string): Generator<PathCommand> {
  const part = new RegExp(PART)
  while (part.lastIndex < d.length) {
    const at = part.lastIndex
    const [, command, text] = part.exec(d) ?? []
    const numbers = text?.match(NUMBER)?.map(Number) ?? []
    const takes = command === undefined ? 0 : (TAKES[command.toUpperCase()] ?? 0)
    const isWhole = takes === 0 ? numbers.length === 0 : numbers.length > 0 && numbers.length % takes === 0
    if (command === undefined || !isWhole || (at === 0 && command.toUpperCase() !== 'M')) {
      throw new MaskError(
        `fromSvgPath: ${describe(d.slice(at, at + 20))} at character ${at} is no straight line. ` +
          'A path begins with M and has M, L, H, V and Z alone: flatten its curves first.',
      )
    }
    yield { command, numbers }
  }
}

/** The numbers of a command. */
const TAKES: Readonly<Record<string, number>> = { M: 2, L: 2, H: 1, V: 1, Z: 0 }

function short(value: number): string {
  return String(Number(value.toFixed(DIGITS)))
}
