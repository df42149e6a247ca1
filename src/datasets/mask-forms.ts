// Masks as data sets write them: the path of a PNG, an RLE of COCO, or polygons of COCO.

import { resolve } from 'node:path'
import { describe, entryOf, isObject } from '../check.ts'
import { FlowSegError } from '../errors.ts'
import { decodeImage, sizeOfImage } from '../io/image/image.ts'
import { kindOf } from '../io/image/image-kind.ts'
import { readPngHeader } from '../io/image/png.ts'
import type { Mask } from '../masks/mask.ts'
import { type Point, type Polygon, rasterizePolygons } from '../masks/polygon.ts'
import { decodeRle, type Rle } from '../masks/rle.ts'
import { printable, reasonOf } from '../printable.ts'
import { FileProblem, readRegular } from '../regular-file.ts'
import { Fault } from './faults.ts'
import type { MaskSource } from './own-data.ts'

/** Larger files are no masks. */
const MAX_MASK_BYTES = 64 * 2 ** 20
/** No image is as wide. */
const MAX_COORDINATE = 1e6
const FORMS =
  'It takes the path of a PNG, an RLE of COCO {"size": [height, width], "counts": ...}, or polygons [[x0, y0, x1, y1, ...], ...]'

/**
 * A mask in any of its forms.
 *
 * @param what the mask's name in messages: '"mask"'
 * @param folder the one that a PNG's path begins in
 * @throws Fault
 */
export function maskOf(value: unknown, what: string, folder: string): MaskSource {
  if (typeof value === 'string') return pngMask(value, what, folder)
  if (Array.isArray(value)) return polygonMask(value, what)
  if (isObject(value) && 'counts' in value) return rleMask(value, what)
  const kind = value === undefined ? 'is missing' : `is ${describe(value)}`
  throw new Fault(`${what} ${kind}. ${FORMS}.`)
}

/** @throws Fault */
function pngMask(path: string, what: string, folder: string): MaskSource {
  if (path.trim() === '') throw new Fault(`${what} is an empty path. ${FORMS}.`)
  const full = resolve(folder, path)
  const shown = `the mask ${printable(path)}`
  return {
    async size() {
      const bytes = await maskFile(full, shown)
      const { depth, colour } = readPngHeader(bytes, shown)
      if (depth === 16)
        throw new Fault(`${shown} has 16 bits per sample. Save it with 8: 0 outside, anything else inside.`)
      if (colour >= 4)
        throw new Fault(`${shown} has an alpha channel. Save it as grey: 0 outside, anything else inside.`)
      return sizeOfImage(bytes, { name: shown })
    },
    async read(_, signal) {
      const { rgb } = await decodeImage(await maskFile(full, shown), { name: shown, signal })
      return Uint8Array.from({ length: rgb.length / 3 }, (_unused, i) =>
        rgb[3 * i] || rgb[3 * i + 1] || rgb[3 * i + 2] ? 1 : 0,
      )
    },
  }
}

/** @throws Fault unless it is a PNG */
async function maskFile(path: string, shown: string): Promise<Uint8Array<ArrayBuffer>> {
  let bytes: Uint8Array<ArrayBuffer>
  try {
    bytes = await readRegular(path, MAX_MASK_BYTES)
  } catch (error) {
    if (!(error instanceof FileProblem)) throw error
    throw new Fault(`${shown} ${error.message}. Paths begin in the folder of the file that has them.`)
  }
  const kind = kindOf(bytes)
  if (kind !== 'PNG')
    throw new Fault(`${shown} is ${kind ? `a ${kind}` : 'no PNG'}. Save it as PNG, which loses nothing.`)
  return bytes
}

function rleMask(value: Record<string, unknown>, what: string): MaskSource {
  const decode = (): Mask => {
    try {
      return decodeRle(value as unknown as Rle) // it checks all of it
    } catch (error) {
      if (!(error instanceof FlowSegError)) throw error
      throw new Fault(`${what} can't be read: ${reasonOf(error)}.`)
    }
  }
  return {
    async size() {
      const { width, height } = decode()
      return { width, height }
    },
    read: async () => decode().data,
  }
}

/** @throws Fault */
function polygonMask(value: readonly unknown[], what: string): MaskSource {
  if (value.length === 0)
    throw new Fault(
      `${what} has no polygon. A mask without a pixel is the RLE {"size": [H, W], "counts": [H * W]}.`,
    )
  const polygons = value.map((polygon: unknown, i): Polygon => {
    const name = `polygon ${i + 1} of ${what}`
    if (!Array.isArray(polygon))
      throw new Fault(
        `${name} is ${describe(polygon)}, expected [x0, y0, x1, y1, ...]: polygons are a list of lists.`,
      )
    if (!polygon.every(isCoordinate))
      throw new Fault(`${name} holds something that is no coordinate. It takes numbers, x and y in turn.`)
    if (polygon.length < 6 || polygon.length % 2 === 1)
      throw new Fault(
        `${name} has ${polygon.length} numbers. It takes x and y of at least 3 points, in turn.`,
      )
    return [ringOf(polygon)]
  })
  return {
    size: async () => undefined,
    read: async ({ width, height }) => rasterizePolygons(polygons, width, height, { rule: 'coco' }).data,
  }
}

function ringOf(numbers: readonly number[]): Point[] {
  return Array.from({ length: numbers.length / 2 }, (_, i) => [
    entryOf(numbers, 2 * i),
    entryOf(numbers, 2 * i + 1),
  ])
}

/** True if a value may be the x or y of a point, inside or outside of the image. */
export function isCoordinate(value: unknown): value is number {
  return typeof value === 'number' && Math.abs(value) <= MAX_COORDINATE
}
