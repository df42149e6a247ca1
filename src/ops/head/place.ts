// The place of mask logits on the image, for kernels that resize to the image's pixels without storing the canvas in
// between.

import { ShapeError } from '../../errors.ts'
import { expectPair } from '../../tensor/check.ts'

/** The place of an image: the map of logits is resized to the canvas, whose corner `crop` is resized to the image. */
export interface CanvasPlace {
  /** Rows and columns of a map of logits. */
  readonly map: readonly [H: number, W: number]
  /** Size of the model's canvas, in pixels. */
  readonly canvas: readonly [height: number, width: number]
  /** The corner of the canvas that holds the image. */
  readonly crop: readonly [height: number, width: number]
  /** Size of the image, in pixels. */
  readonly size: readonly [height: number, width: number]
}

/** @throws ShapeError if a size is none, or the crop isn't inside of the canvas */
export function expectPlace(op: string, { map, canvas, crop, size }: CanvasPlace): void {
  for (const [name, pair] of Object.entries({ map, canvas, crop, size })) expectPair(op, name, pair)
  if (crop[0] > canvas[0] || crop[1] > canvas[1]) {
    throw new ShapeError(
      `${op}: the crop [${crop.join(', ')}] is not inside of the canvas [${canvas.join(', ')}].`,
    )
  }
}

/** The place on the canvas itself, of which only the corner that holds the image counts. */
export function onCanvas(place: CanvasPlace): CanvasPlace {
  return { ...place, size: place.crop }
}

/** The fields of a kernel's sizes. */
export function placeSizes({ map, canvas, crop, size }: CanvasPlace): Readonly<Record<string, number>> {
  return {
    map_height: map[0],
    map_width: map[1],
    canvas_height: canvas[0],
    canvas_width: canvas[1],
    crop_height: crop[0],
    crop_width: crop[1],
    height: size[0],
    width: size[1],
  }
}

/** Pixels of the image. */
export function pixelsOf({ size: [height, width] }: CanvasPlace): number {
  return height * width
}
