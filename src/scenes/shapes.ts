// The geometric shapes, as outlines inside [-1, 1] x [-1, 1] (x to the right, y down).
//
// Circle and ring are drawn as such; the others are polygons, the heart a curve of many corners.

import type { ShapeName } from './catalogue.ts'

type ShapePoint = readonly [number, number]

const RING_HOLE = 0.55

const outlines: Record<Exclude<ShapeName, 'circle' | 'ring'>, readonly ShapePoint[]> = {
  square: [
    [-0.88, -0.88],
    [0.88, -0.88],
    [0.88, 0.88],
    [-0.88, 0.88],
  ],
  triangle: [
    [0, -0.95],
    [1, 0.85],
    [-1, 0.85],
  ],
  diamond: [
    [0, -1],
    [0.68, 0],
    [0, 1],
    [-0.68, 0],
  ],
  hexagon: Array.from({ length: 6 }, (_, i) => polar(1, (Math.PI / 3) * i)),
  star: Array.from({ length: 10 }, (_, i) => polar(i % 2 ? 0.45 : 1.06, (Math.PI / 5) * i - Math.PI / 2)),
  cross: [
    [-0.36, -1],
    [0.36, -1],
    [0.36, -0.36],
    [1, -0.36],
    [1, 0.36],
    [0.36, 0.36],
    [0.36, 1],
    [-0.36, 1],
    [-0.36, 0.36],
    [-1, 0.36],
    [-1, -0.36],
    [-0.36, -0.36],
  ],
  heart: Array.from({ length: 40 }, (_, i) => heartPoint((2 * Math.PI * i) / 40)),
}

/** The shape as an SVG element centred on the origin, `radius` to its far side; `paint` are attributes. */
export function shapeElement(shape: ShapeName, radius: number, paint: string): string {
  if (shape === 'circle') return `<circle r="${fixed(radius)}" ${paint}/>`
  if (shape === 'ring') {
    const hole = radius * RING_HOLE
    const circle = (r: number) =>
      `M${fixed(-r)} 0a${fixed(r)} ${fixed(r)} 0 1 0 ${fixed(2 * r)} 0a${fixed(r)} ${fixed(r)} 0 1 0 ${fixed(-2 * r)} 0Z`
    return `<path fill-rule="evenodd" d="${circle(radius)}${circle(hole)}" ${paint}/>`
  }
  const points = outlines[shape].map(([x, y]) => `${fixed(x * radius)},${fixed(y * radius)}`)
  return `<polygon points="${points.join(' ')}" ${paint}/>`
}

/** True if the shape of radius 1 covers (x, y). */
export function shapeCovers(shape: ShapeName, x: number, y: number): boolean {
  if (shape === 'circle') return x * x + y * y <= 1
  if (shape === 'ring') return x * x + y * y <= 1 && x * x + y * y >= RING_HOLE ** 2

  // Even-odd rule: count the edges a ray to the right crosses
  if (Math.abs(x) > 1.07 || Math.abs(y) > 1.07) return false
  const outline = outlines[shape]
  let inside = false
  for (let i = 0, j = outline.length - 1; i < outline.length; j = i++) {
    const from = outline[i] as ShapePoint
    const to = outline[j] as ShapePoint
    const x0 = from[0]
    const y0 = from[1]
    const x1 = to[0]
    const y1 = to[1]
    if (y0 > y !== y1 > y && x < ((x1 - x0) * (y - y0)) / (y1 - y0) + x0) inside = !inside
  }
  return inside
}

/** Two decimals are a hundredth of a pixel, and short. */
export function fixed(value: number): string {
  return String(Math.round(value * 100) / 100)
}

function polar(r: number, angle: number): ShapePoint {
  return [r * Math.cos(angle), r * Math.sin(angle)]
}

function heartPoint(t: number): ShapePoint {
  const x = 16 * Math.sin(t) ** 3
  const y = 13 * Math.cos(t) - 5 * Math.cos(2 * t) - 2 * Math.cos(3 * t) - Math.cos(4 * t)
  return [x / 16, -(y + 2.5) / 15]
}
