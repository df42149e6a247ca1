// The files that --mask can write: a format per name, by the file's extension or --format.

import { UsageError } from '../../errors.ts'
import { encodePng, type Image } from '../../io/image/image.ts'
import { cocoBox } from '../../masks/coco.ts'
import { polygonsOf } from '../../masks/contour.ts'
import { toGeoJson } from '../../masks/geojson.ts'
import { encodeIndexedPng } from '../../masks/indexed-png.ts'
import { toLabelStudio } from '../../masks/label-studio.ts'
import type { Mask } from '../../masks/mask.ts'
import { boxOf, cutOut } from '../../masks/picture.ts'
import { encodeRle } from '../../masks/rle.ts'
import { toSvgPath } from '../../masks/svg-path.ts'
import { toYolo } from '../../masks/yolo.ts'

/** What is known of a mask that is written. */
export interface Answered {
  readonly image: Image
  readonly mask: Mask
  /** The image's name, as the user wrote it. */
  readonly name: string
  readonly sentence: string
  readonly score: number
}

interface MaskFormat {
  /** The end of the file's name. */
  readonly extension: string
  write(answer: Answered): Uint8Array | string
}

const json = (value: unknown): string => `${JSON.stringify(value)}\n`

const FORMATS = {
  png: { extension: '.png', write: ({ mask }) => encodePng(greyMask(mask)) },
  indexed: { extension: '.png', write: ({ mask }) => encodeIndexedPng([mask]) },
  cutout: {
    extension: '.png',
    // The whole picture, all of it transparent, where there is nothing to cut out
    write: ({ image, mask }) => encodePng(cutOut(image, mask, { crop: mask.area > 0 })),
  },
  rle: {
    extension: '.json',
    write: ({ mask, score }) =>
      json({ segmentation: encodeRle(mask), area: mask.area, bbox: cocoBox(boxOf(mask)), score }),
  },
  polygons: { extension: '.json', write: ({ mask }) => json(polygonsOf(mask)) },
  geojson: {
    extension: '.geojson',
    write: ({ mask, sentence, score }) =>
      json(toGeoJson(polygonsOf(mask), { sentence, score, area: mask.area })),
  },
  svg: { extension: '.svg', write: ({ mask }) => svgOf(mask) },
  yolo: {
    extension: '.txt',
    write: ({ mask }) => {
      const line = toYolo(polygonsOf(mask), mask)
      return line && `${line}\n`
    },
  },
  'label-studio': {
    extension: '.json',
    write: ({ mask, name, score }) =>
      json([{ data: { image: name }, predictions: [{ score, result: toLabelStudio(mask, { score }) }] }]),
  },
} as const satisfies Readonly<Record<string, MaskFormat>>

/** The name of a format. */
export type MaskFormatName = keyof typeof FORMATS

/** The names of all formats, for --help. */
export const FORMAT_NAMES: readonly MaskFormatName[] = Object.keys(FORMATS) as MaskFormatName[]

/** What the end of a file's name says, where --format isn't used. */
const BY_EXTENSION: readonly (readonly [extension: string, MaskFormatName])[] = [
  ['.png', 'png'],
  ['.json', 'rle'],
  ['.geojson', 'geojson'],
  ['.svg', 'svg'],
  ['.txt', 'yolo'],
]

/**
 * The format of --mask.
 *
 * @param format of --format
 * @param path   of --mask; a folder has PNGs
 * @throws UsageError for a format without a file to be written
 */
export function maskFormatOf(format: MaskFormatName | undefined, path: string | undefined): MaskFormatName {
  if (format === undefined) {
    return BY_EXTENSION.find(([extension]) => path?.toLowerCase().endsWith(extension))?.[1] ?? 'png'
  }
  if (path === undefined) throw new UsageError('--format is of the file that --mask names: add --mask FILE.')
  return format
}

/** The end of the names of a format's files. */
export function extensionOf(format: MaskFormatName): string {
  return FORMATS[format].extension
}

/** The contents of a mask's file. */
export function maskFile(format: MaskFormatName, answer: Answered): Uint8Array | string {
  return FORMATS[format].write(answer)
}

/** 255 inside, 0 outside. */
function greyMask({ width, height, data }: Mask): { width: number; height: number; grey: Uint8Array } {
  return { width, height, grey: data.map((bit) => 255 * bit) }
}

function svgOf(mask: Mask): string {
  const { width, height } = mask
  const path = `<path fill-rule="evenodd" d="${toSvgPath(polygonsOf(mask))}"/>`
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">${path}</svg>\n`
}
