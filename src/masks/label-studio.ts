// Label Studio: masks as the results of a prediction, to be imported and corrected there, and annotations back as
// masks.
//
// A mask is a region of the brush, which has every pixel, or one region per polygon, whose points are percent of the
// image; polygons have no holes there, so a mask with holes is a brush unless it is asked for otherwise.

import { describe, expectFinite, isObject } from '../check.ts'
import { MaskError, UsageError } from '../errors.ts'
import {
  expectOptions,
  NAME,
  SECONDS as NOT_NEGATIVE,
  type OptionKinds,
  oneOf,
  POSITIVE,
} from '../options.ts'
import { decodeBrush, encodeBrush } from './brush.ts'
import { polygonsOf } from './contour.ts'
import { expectMask, expectSize, type Mask, type MaskPixels, type PixelLimit, type Size } from './mask.ts'
import { expectPolygons, type Point, rasterizePolygons } from './polygon.ts'

/** Options of {@link toLabelStudio}. */
export interface LabelStudioOptions {
  /** The label, one of the labelling interface; 'object' by default. */
  readonly label?: string | undefined
  /** The kind of regions, which the labelling interface must have: 'brush', by default, or 'polygon'. */
  readonly as?: 'brush' | 'polygon' | undefined
  /** Name of the labels in the labelling interface; 'label' by default. */
  readonly from?: string | undefined
  /** Name of the image in the labelling interface; 'image' by default. */
  readonly to?: string | undefined
  /** Identity of the region; that of a second polygon is followed by -2. 'flowseg' by default. */
  readonly id?: string | undefined
  /** The model's confidence, from 0 to 1. */
  readonly score?: number | undefined
  /** Tolerance of the outline in pixels, as of {@link polygonsOf}. */
  readonly tolerance?: number | undefined
}

const KINDS: OptionKinds<LabelStudioOptions> = {
  label: NAME,
  as: oneOf('brush', 'polygon'),
  from: NAME,
  to: NAME,
  id: NAME,
  score: NOT_NEGATIVE,
  tolerance: NOT_NEGATIVE,
}
const LIMIT_KINDS: OptionKinds<PixelLimit> = { maxPixels: POSITIVE }

/** A region of Label Studio, an entry of `result`. */
export interface LabelStudioResult {
  /** Unique among the regions of a task. */
  readonly id: string
  /** The kind of region. */
  readonly type: 'brushlabels' | 'polygonlabels'
  /** Name of the labels in the labelling interface. */
  readonly from_name: string
  /** Name of the image in it. */
  readonly to_name: string
  /** Width in pixels. */
  readonly original_width: number
  /** Height in pixels. */
  readonly original_height: number
  /** Degrees. */
  readonly image_rotation: number
  /** The model's confidence. */
  readonly score?: number
  /** Its pixels, or its points. */
  readonly value: BrushValue | PolygonValue
}

/** A region of the brush. */
export interface BrushValue {
  /** Always 'rle'. */
  readonly format: 'rle'
  /** Bytes, as of {@link encodeBrush}. */
  readonly rle: readonly number[]
  /** The label. */
  readonly brushlabels: readonly string[]
}

/** A region that is a polygon. */
export interface PolygonValue {
  /** The polygon's points, in percent of the image's width and height. */
  readonly points: readonly Point[]
  /** Always true. */
  readonly closed: true
  /** The label. */
  readonly polygonlabels: readonly string[]
}

/** A region with its labels. */
export interface LabelledMask {
  /** The labels of the region. */
  readonly labels: readonly string[]
  /** The mask at the size of the original image. */
  readonly mask: Mask
}

/**
 * A mask as results of Label Studio, to be put into `predictions` of a task:
 * `{ data: { image }, predictions: [{ result: toLabelStudio(mask, { label }) }] }`.
 *
 * @throws MaskError if polygons are asked for and the mask has holes
 */
export function toLabelStudio(mask: MaskPixels, options: LabelStudioOptions = {}): LabelStudioResult[] {
  const { width, height } = expectMask('toLabelStudio', mask)
  expectOptions('toLabelStudio', options, KINDS)
  const {
    label = 'object',
    as = 'brush',
    from = 'label',
    to = 'image',
    id = 'flowseg',
    score,
    tolerance,
  } = options
  const region = {
    from_name: from,
    to_name: to,
    original_width: width,
    original_height: height,
    image_rotation: 0,
    ...(score === undefined ? {} : { score }),
  }
  if (as === 'brush') {
    if (!mask.data.some(Boolean)) return []
    const value = { format: 'rle', rle: encodeBrush(mask), brushlabels: [label] } as const
    return [{ id, type: 'brushlabels', ...region, value }]
  }
  return polygonsOf(mask, { tolerance }).map(([outer = [], ...holes], i) => {
    if (holes.length > 0) {
      throw new MaskError(
        "toLabelStudio: the mask has holes, which Label Studio's polygons can't have. Use { as: 'brush' }.",
      )
    }
    const points = outer.map(([x, y]): Point => [percent(x, width), percent(y, height)])
    const value = { points, closed: true, polygonlabels: [label] } as const
    return { id: i === 0 ? id : `${id}-${i + 1}`, type: 'polygonlabels', ...region, value }
  })
}

/**
 * The masks of Label Studio's results, one per region of a brush, polygon or rectangle; other results are left out.
 *
 * @param results `result` of an annotation or a prediction
 * @throws MaskError naming the region that is damaged
 */
export function fromLabelStudio(results: unknown, options: PixelLimit = {}): LabelledMask[] {
  expectOptions('fromLabelStudio', options, LIMIT_KINDS)
  if (!Array.isArray(results)) {
    throw new UsageError(
      `fromLabelStudio: the results are ${describe(results)}, expected the list \`result\` of an annotation or a prediction.`,
    )
  }
  return results.flatMap((result: unknown, i): LabelledMask[] => {
    if (!isObject(result)) {
      throw new MaskError(`fromLabelStudio: result ${i} is ${describe(result)}, expected an object.`)
    }
    if (!isObject(result['value'])) return []
    const { value } = result
    const call = `fromLabelStudio: result ${i}`
    const isRegion = 'rle' in value || 'points' in value || result['type'] === 'rectanglelabels'
    if (!isRegion) return []
    const size = expectSize(call, result['original_width'], result['original_height'], options.maxPixels)
    const labels = [value['brushlabels'], value['polygonlabels'], value['rectanglelabels'], value['labels']]
      .flat()
      .filter((label) => typeof label === 'string')
    return [{ labels, mask: maskOfValue(call, value, size, options) }]
  })
}

function maskOfValue(call: string, value: Record<string, unknown>, size: Size, options: PixelLimit): Mask {
  if ('rle' in value) return decodeBrush(value['rle'] as number[], size, options)
  const points = 'points' in value ? value['points'] : cornersOf(call, value)
  const percents: unknown = [[points]]
  expectPolygons(call, percents)
  const ring = percents.flat(2).map(([x, y]): Point => [(x / 100) * size.width, (y / 100) * size.height])
  return rasterizePolygons([[ring]], size.width, size.height, options)
}

function cornersOf(call: string, { x, y, width, height, rotation = 0 }: Record<string, unknown>): Point[] {
  for (const [name, side] of Object.entries({ x, y, width, height })) expectFinite(call, name, side)
  if (rotation !== 0) {
    throw new MaskError(
      `${call} is a rectangle rotated by ${describe(rotation)} degrees. Turn it into a polygon first.`,
    )
  }
  const [x0, y0, x1, y1] = [Number(x), Number(y), Number(x) + Number(width), Number(y) + Number(height)]
  return [
    [x0, y0],
    [x1, y0],
    [x1, y1],
    [x0, y1],
  ]
}

/** Less than a thousandth of a pixel is lost. */
function percent(value: number, side: number): number {
  return Number(((100 * value) / side).toFixed(Math.max(4, Math.ceil(Math.log10(side)) + 2)))
}
