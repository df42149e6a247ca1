// YOLO's labels for segmentation: a line per object, `class x1 y1 x2 y2 ...`, as shares of the image's width and
// height.
//
// A line is one ring. Several rings are joined into one along lines that are walked there and back: they enclose
// nothing, and an even-odd filling is the same as before.

import { describe, expectWhole } from '../check.ts'
import { MaskError, UsageError } from '../errors.ts'
import { expectSizeOf, type Size } from './mask.ts'
import { expectPolygons, isPlace, type Point, type Polygon } from './polygon.ts'

/** An object of a YOLO label file. */
export interface YoloObject {
  /** Index of the class, from 0. */
  readonly classId: number
  /** The outline in pixels; empty for no mask. */
  readonly polygons: readonly Polygon[]
}

/**
 * The line of one object.
 *
 * @param size of the image, in pixels
 * @returns '' if there are no polygons: a file has no line for what isn't there
 */
export function toYolo(polygons: readonly Polygon[], size: Size, classId: number = 0): string {
  expectPolygons('toYolo', polygons)
  const { width, height } = expectSizeOf('toYolo', size, Infinity)
  expectWhole('toYolo', 'the class', classId, 0)
  const share = (value: number, side: number): string => {
    // Less than a 500th of a pixel is lost
    const digits = Math.max(6, Math.ceil(Math.log10(side)) + 3)
    return String(Number(Math.min(1, Math.max(0, value / side)).toFixed(digits)))
  }
  const points = joined(polygons.flat()).map(([x, y]) => `${share(x, width)} ${share(y, height)}`)
  return points.length === 0 ? '' : `${classId} ${points.join(' ')}`
}

/**
 * The objects of a label file.
 *
 * @param text a line per object
 * @param size of the image, in pixels
 * @throws MaskError naming the line that is damaged
 */
export function fromYolo(text: string, size: Size): YoloObject[] {
  if (typeof text !== 'string')
    throw new UsageError(`fromYolo: the text is ${describe(text)}, expected a string.`)
  const { width, height } = expectSizeOf('fromYolo', size, Infinity)
  return text.split(/\r?\n/).flatMap((line, i): YoloObject[] => {
    const words = line.trim().split(/\s+/)
    if (words[0] === '') return []
    const [classId = Number.NaN, ...places] = words.map(Number)
    const isClass = Number.isInteger(classId) && classId >= 0
    if (!isClass || places.length < 6 || places.length % 2 !== 0 || !places.every(isPlace)) {
      throw new MaskError(
        `fromYolo: line ${i + 1} is ${describe(line)}, expected a class and three or more points: "0 0.1 0.1 0.9 0.1 0.5 0.8". ` +
          'A line of five numbers is a box, and no segmentation.',
      )
    }
    const ring: Point[] = []
    for (let at = 0; at < places.length; at += 2) {
      const [x = 0, y = 0] = places.slice(at, at + 2)
      ring.push([x * width, y * height])
    }
    return [{ classId, polygons: [[ring]] }]
  })
}

/** All rings as one: each is walked around, then on to the next, and at last back along the same lines. */
export function joined(rings: Polygon): readonly Point[] {
  if (rings.length < 2) return rings[0] ?? []
  const starts = rings.flatMap((ring) => ring.slice(0, 1))
  const around = rings.flatMap((ring) => [...ring, ...ring.slice(0, 1)])
  return [...around, ...starts.slice(1, -1).toReversed()]
}
