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
  if (typeof d !== 'string')
    throw new UsageError(`fromSvgPath: the path is ${describe(d)}, expected a string.`)
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

/** A command, a number, or the end. */
const TOKEN = /[\s,]*(?:([MLHVZ])|([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)|$)/iy

function* commandsOf(d: string): Generator<PathCommand> {
  const token = new RegExp(TOKEN)
  let [command, begin] = ['', 0]
  let numbers: number[] = []
  const expectWhole = (): void => {
    const takes = TAKES[command.toUpperCase()] ?? 0
    if (takes === 0 ? numbers.length === 0 : numbers.length > 0 && numbers.length % takes === 0) return
    throw notStraight(d, begin)
  }
  for (;;) {
    const at = token.lastIndex
    const match = token.exec(d)
    const [, letter, number] = match ?? []
    if (number !== undefined && command !== '') {
      numbers.push(Number(number))
      continue
    }
    if (!match || number !== undefined) throw notStraight(d, at)
    if (command !== '') {
      expectWhole()
      yield { command, numbers }
    } else if (letter !== undefined && letter.toUpperCase() !== 'M') throw notStraight(d, at)
    if (letter === undefined) return
    ;[command, begin, numbers] = [letter, at, []]
  }
}

function notStraight(d: string, at: number): MaskError {
  return new MaskError(
    `fromSvgPath: ${describe(d.slice(at, at + 20))} at character ${at} is no straight line. ` +
      'A path begins with M and has M, L, H, V and Z alone: flatten its curves first.',
  )
}

/** The numbers of a command. */
const TAKES: Readonly<Record<string, number>> = { M: 2, L: 2, H: 1, V: 1, Z: 0 }

function short(value: number): string {
  return String(Number(value.toFixed(DIGITS)))
}
