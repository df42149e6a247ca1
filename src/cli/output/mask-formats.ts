// The files that --mask can write: a format per name, by the file's extension or --format.

import { listed } from '../../check.ts'
import { UsageError } from '../../errors.ts'
import { encodePng, type Image } from '../../io/image/image.ts'
import { cocoBox } from '../../masks/coco.ts'
import { polygonsOf } from '../../masks/contour.ts'
import { toGeoJson } from '../../masks/geojson.ts'
import { encodeIndexedPng } from '../../masks/indexed-png.ts'
import { toLabelStudio } from '../../masks/label-studio.ts'
import { type Mask, maskOf } from '../../masks/mask.ts'
import { boxOf, cutOut } from '../../masks/picture.ts'
import { encodeRle } from '../../masks/rle.ts'
import { toSvgPath } from '../../masks/svg-path.ts'
import { toYolo } from '../../masks/yolo.ts'
import type { Option } from '../args.ts'

/** An object whose mask is written. */
export interface WrittenObject {
  /** In the size of the image. */
  readonly mask: Mask
  /** The model's confidence in it, from 0 to 1; absent where it has none. */
  readonly score?: number | undefined
  /** What it is: the name of its category, or a phrase. */
  readonly name?: string | undefined
  /** Its place, from 0, in the list that was asked for: of categories, or of regions. */
  readonly classIndex?: number | undefined
}

/** An answer whose masks are written, with its image and sentence. */
export interface Answered {
  /** The image, whose pixels some formats hold and whose size the others need. */
  readonly image: Image
  /** The image's name, as the user wrote it. */
  readonly name: string
  /** As the user typed it; absent where no sentence was asked. */
  readonly sentence?: string | undefined
  /** One, which may be empty; or with `all` any number of them. */
  readonly objects: readonly WrittenObject[]
  /** A list of objects was asked for, rather than one. */
  readonly all: boolean
}

interface MaskFormat {
  /** The end of the file's name. */
  readonly extension: string
  write(answer: Answered): Uint8Array | string
}

const FORMATS = {
  png: { extension: '.png', write: (answer) => (answer.all ? indexed(answer) : encodePng(grey(answer))) },
  indexed: { extension: '.png', write: indexed },
  cutout: {
    extension: '.png',
    // The whole picture, all of it transparent, where there is nothing to cut out
    write: (answer) => {
      const mask = union(answer)
      return encodePng(cutOut(answer.image, mask, { crop: mask.area > 0 }))
    },
  },
  rle: {
    extension: '.json',
    write: (answer) =>
      json(answer, ({ mask, score, name, classIndex }) => ({
        category_id: categoryId(classIndex),
        name,
        segmentation: encodeRle(mask),
        area: mask.area,
        bbox: cocoBox(boxOf(mask)),
        score,
      })),
  },
  polygons: { extension: '.json', write: (answer) => json(answer, ({ mask }) => polygonsOf(mask)) },
  geojson: {
    extension: '.geojson',
    write: (answer) => {
      const { sentence, all, objects } = answer
      const feature = ({ mask, score, name, classIndex }: WrittenObject): object => {
        const category_id = categoryId(classIndex)
        return toGeoJson(polygonsOf(mask), { sentence, category_id, name, score, area: mask.area })
      }
      if (!all) return json(answer, feature)
      return `${JSON.stringify({ type: 'FeatureCollection', features: objects.map(feature) })}\n`
    },
  },
  svg: { extension: '.svg', write: svgOf },
  yolo: {
    extension: '.txt',
    write: ({ objects }) => {
      const lines = objects.map(({ mask, classIndex }) => toYolo(polygonsOf(mask), mask, classIndex))
      return lines.map((line) => line && `${line}\n`).join('')
    },
  },
  'label-studio': {
    extension: '.json',
    write: ({ objects, name }) => {
      const result = objects.flatMap(({ mask, score, name: label }, k) =>
        toLabelStudio(mask, { label: label || undefined, id: k > 0 ? `flowseg-${k + 1}` : undefined, score }),
      )
      const scores = objects.flatMap(({ score }) => score ?? [])
      const score = scores.length > 0 || objects.length === 0 ? Math.max(0, ...scores) : undefined
      return `${JSON.stringify([{ data: { image: name }, predictions: [{ score, result }] }])}\n`
    },
  },
} as const satisfies Readonly<Record<string, MaskFormat>>

/** The name of a format. */
export type MaskFormatName = keyof typeof FORMATS

/** The names of all formats, for --help. */
export const FORMAT_NAMES: readonly MaskFormatName[] = Object.keys(FORMATS) as MaskFormatName[]

/** `--format` of the commands that have `--mask`. */
export const FORMAT_OPTION: Option & { readonly value: string } = {
  value: 'NAME',
  help: `what --mask writes: ${listed(FORMAT_NAMES, 'or')}; by default what the file's extension says (.png, .json for COCO's RLE, .geojson, .svg, .txt for YOLO)`,
}

/** The format by the file's extension, used without --format. */
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

/** COCO counts its categories from 1. */
function categoryId(classIndex: number | undefined): number | undefined {
  return classIndex === undefined ? undefined : classIndex + 1
}

/** One object as it is, several as a list. */
function json({ objects, all }: Answered, write: (object: WrittenObject) => unknown): string {
  const values = objects.map(write)
  return `${JSON.stringify(all ? values : values[0])}\n`
}

/** A PNG with a palette; where there is no object, a grey one with nothing inside. */
function indexed(answer: Answered): Uint8Array {
  const { objects } = answer
  return objects.length > 0 ? encodeIndexedPng(objects.map(({ mask }) => mask)) : encodePng(grey(answer))
}

/** The pixels of all objects together. */
function union({ image: { width, height }, objects }: Answered): Mask {
  const [first, ...more] = objects
  const data = first ? first.mask.data.slice() : new Uint8Array(width * height)
  for (const { mask } of more) {
    for (const [i, bit] of mask.data.entries()) if (bit) data[i] = 1
  }
  return maskOf(width, height, data)
}

/** 255 inside, 0 outside. */
function grey(answer: Answered): { width: number; height: number; grey: Uint8Array } {
  const { width, height, data } = union(answer)
  return { width, height, grey: data.map((bit) => 255 * bit) }
}

function svgOf({ image: { width, height }, objects }: Answered): string {
  const paths = objects.map(({ mask, name }) => {
    const path = `<path fill-rule="evenodd" d="${toSvgPath(polygonsOf(mask))}"`
    return name ? `${path}><title>${xmlText(name)}</title></path>` : `${path}/>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">${paths.join('')}</svg>\n`
}

/** What XML 1.0 can't have, not even escaped: control characters and lone surrogates. */
const NOT_IN_XML = /[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu

function xmlText(text: string): string {
  const known = text.replace(NOT_IN_XML, '\u{FFFD}')
  return known.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
