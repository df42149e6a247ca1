// COCO's annotations: boxes, and the three ways in which a segmentation is written.

import { describe } from '../check.ts'
import { MaskError, UsageError } from '../errors.ts'
import type { Mask, PixelLimit } from './mask.ts'
import type { Box } from './picture.ts'
import { type Point, rasterizePolygons } from './polygon.ts'
import { decodeRle, isRle } from './rle.ts'

/** A box as COCO has it: the corner at the top left, then the size. */
export type CocoBox = readonly [x: number, y: number, width: number, height: number]

/** The box of {@link boxOf} as COCO has it; that of an empty mask is [0, 0, 0, 0], as in pycocotools. */
export function cocoBox(box: Box | null): CocoBox {
  if (box === null) return [0, 0, 0, 0]
  if (!Array.isArray(box) || box.length !== 4 || !box.every(Number.isFinite)) {
    throw new UsageError(`cocoBox: the box is ${describe(box)}, expected four numbers, or null.`)
  }
  const [x0, y0, x1, y1] = box
  return [x0, y0, x1 - x0, y1 - y0]
}

/**
 * The mask of an annotation's `segmentation`: run lengths of either kind, or a list of polygons, [x, y, x, y, ...]
 * each, filled by pycocotools' rule.
 *
 * @param width  of the image, in pixels
 * @param height of the image, in pixels
 * @throws MaskError if it is damaged, or of an image of another size
 */
export function decodeCoco(
  segmentation: unknown,
  width: number,
  height: number,
  options: PixelLimit = {},
): Mask {
  if (isRle(segmentation)) {
    const mask = decodeRle(segmentation, options)
    if (mask.width === width && mask.height === height) return mask
    throw new MaskError(
      `decodeCoco: the RLE is of ${mask.width} x ${mask.height} pixels, the image has ${width} x ${height}. Pass the size of its own image.`,
    )
  }
  if (!Array.isArray(segmentation)) {
    throw new MaskError(
      `decodeCoco: the segmentation is ${describe(segmentation)}, expected an RLE or a list of polygons [x, y, x, y, ...].`,
    )
  }
  const polygons = segmentation.map((flat: unknown, i) => {
    if (!Array.isArray(flat) || flat.length < 6 || flat.length % 2 !== 0) {
      throw new MaskError(
        `decodeCoco: polygon ${i} is ${describe(flat)}, expected [x, y, x, y, ...] of three or more points.`,
      )
    }
    const numbers: readonly number[] = flat
    return [
      Array.from(
        { length: numbers.length / 2 },
        (_, k) => numbers.slice(2 * k, 2 * k + 2) as unknown as Point,
      ),
    ]
  })
  return rasterizePolygons(polygons, width, height, { ...options, rule: 'coco' })
}
