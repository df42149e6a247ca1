// Masks as others write them: every reader gets every text, whatever it was meant for.

import { FlowSegError } from '../../src/errors.ts'
import { decodeBrush, encodeBrush } from '../../src/masks/brush.ts'
import { decodeCoco } from '../../src/masks/coco.ts'
import { polygonsOf } from '../../src/masks/contour.ts'
import { fromGeoJson, toGeoJson } from '../../src/masks/geojson.ts'
import { fromLabelStudio, toLabelStudio } from '../../src/masks/label-studio.ts'
import { maskOf } from '../../src/masks/mask.ts'
import { rasterizePolygons } from '../../src/masks/polygon.ts'
import { decodeRle, encodeRle, type Rle } from '../../src/masks/rle.ts'
import { fromSvgPath, toSvgPath } from '../../src/masks/svg-path.ts'
import { fromYolo, toYolo } from '../../src/masks/yolo.ts'

const [width, height] = [12, 9]
const mask = maskOf(
  width,
  height,
  Uint8Array.from({ length: width * height }, (_, i) => Number(i % 12 > 2 && i % 7 !== 3 && i > 20)),
)
const polygons = polygonsOf(mask)
const brush = encodeBrush(mask)

/** Good ones. */
export const MASK_TEXTS: readonly string[] = [
  ...[
    encodeRle(mask),
    encodeRle(mask, { compressed: false }),
    polygons,
    polygons.map(([outer]) => outer?.flat()),
    toGeoJson(polygons),
    toLabelStudio(mask),
    toLabelStudio(maskOf(2, 2, Uint8Array.of(1, 1, 1, 1)), { as: 'polygon' }),
    brush,
  ].map((value) => JSON.stringify(value)),
  toSvgPath(polygons),
  toYolo(polygons, mask),
]

const LIMIT = { maxPixels: 1e6 }

/** Reads a text in all ways. Only errors that aren't ours come out. */
export function readMasks(text: string): void {
  const size = { width, height }
  const value = jsonOf(text)
  const readers: readonly (() => unknown)[] = [
    () => decodeRle(value as Rle, LIMIT),
    () => decodeCoco(value, width, height, LIMIT),
    () => rasterizePolygons(value as [], width, height),
    () => rasterizePolygons(fromGeoJson(value), width, height, { rule: 'coco' }),
    () => fromLabelStudio(value, LIMIT),
    () => decodeBrush(value as number[], size),
    () => rasterizePolygons(fromSvgPath(text), width, height),
    () => fromYolo(text, size).map((one) => rasterizePolygons(one.polygons, width, height)),
  ]
  for (const read of readers) {
    try {
      read()
    } catch (error) {
      if (!(error instanceof FlowSegError)) throw error
    }
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
