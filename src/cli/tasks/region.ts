// flowseg segment with a place instead of a sentence: --point, --box, --region.

import { entryOf } from '../../check.ts'
import type { Size } from '../../io/image/image-kind.ts'
import { maskOf } from '../../masks/mask.ts'
import { boxOf } from '../../masks/picture.ts'
import type { Config } from '../../model/checkpoint/config.ts'
import type { RegionInstances, RegionSegmentation } from '../../model/flowseg.ts'
import { gesturesOf, type Region } from '../../model/input/region.ts'
import { caveatFields } from '../../model/knows/caveats.ts'
import { printable } from '../../printable.ts'
import { EXIT_NOTHING, type Given, type Options, shareOption, UsageError } from '../args.ts'
import { type ImagePlace, imagePlace, readImage } from '../image-files.ts'
import { jsonLine } from '../json.ts'
import { caveatLines } from '../output/knows.ts'
import type { Answered } from '../output/mask-formats.ts'
import { preview } from '../output/preview.ts'
import { painter, type Terminal } from '../output/terminal.ts'
import { timesText } from '../output/times.ts'
import { type AnswerFiles, askOneImage, type FoundObject, writeObjects } from './one-image.ts'

/** The options that make a region of `flowseg segment`. */
export const REGION_OPTIONS = {
  point: {
    value: 'X,Y',
    many: true,
    help: 'instead of a sentence: what is at this pixel; several are on one object',
  },
  box: {
    value: 'X0,Y0,X1,Y1',
    many: true,
    help: 'instead of a sentence: what is in this rectangle of pixels; several go with --like',
  },
  region: {
    value: 'FILE',
    many: true,
    help: 'instead of a sentence: what this mask covers, a PNG of the same size, light inside; several go with --like',
  },
  like: {
    help: 'with a region: everything like it; several --box, or several --region, are an example each. --mask has a palette then',
  },
  hit: {
    help: 'with --point: the surest mask that holds the pixel, rather than the one that fits the click best',
  },
} as const satisfies Options

/** A region is meant rather than a sentence. */
export function isPointing(args: Given): boolean {
  return ['point', 'box', 'region'].some((option) => args.has(option))
}

/** `flowseg segment IMAGE --point X,Y` */
export async function segmentPointed(args: Given, terminal: Terminal): Promise<number> {
  const [typed, ...more] = args.operands
  if (typed === undefined || more.length > 0 || args.has('sentence')) {
    const what =
      typed === undefined ? 'An image is missing' : 'A region is asked for without a sentence, in one image'
    throw new UsageError(`${what}: flowseg segment IMAGE --point X,Y.`)
  }
  for (const option of ['all', 'flow', 'task', 'template', 'answer'] as const) {
    if (args.has(option))
      throw new UsageError(`--${option} is for sentences, and a region is asked for. Leave it out.`)
  }
  if (args.has('hit') && !args.has('point')) {
    throw new UsageError('--hit needs a --point: the place that the mask must hold.')
  }
  if (args.has('hit') && args.has('like')) {
    throw new UsageError('--hit chooses one mask, --like asks for all. Leave one of them out.')
  }
  expectOneKind(args)
  const masks = args.all('region').map((file) => imagePlace(file, terminal))
  const piped = masks.filter(({ kind }) => kind === 'stdin')
  if (typed === '-' ? piped.length > 0 : piped.length > 1) {
    const what = typed === '-' ? 'the image and the --region' : `${piped.length} times a --region`
    throw new UsageError(`Standard input (-) is ${what}, and can be read once.`)
  }
  const regions = await regionsOf(args, masks, terminal)
  const like = args.has('like')
  const options = { hit: args.has('hit') || undefined, threshold: shareOption(args, 'threshold') }
  const what = {
    typed,
    words: wordsOf(args),
    tasks: ['regions'] as const,
    isInWords: false,
    inputs: masks.flatMap(({ kind, location: path }) =>
      kind === 'file' ? [{ path, what: 'the mask of the region' }] : [],
    ),
    check: (_: Config, image: Size) => {
      for (const region of regions) gesturesOf('flowseg segment', region, image)
    },
  }
  return askOneImage(args, terminal, what, async (looked) => {
    const { scene, task, progress, place, model } = looked
    const answer = like
      ? await scene.segmentRegion(regions, { ...task, ...options, like })
      : await scene.segmentRegion(entryOf(regions, 0), { ...task, ...options })
    progress.clear()
    const objects = objectsOf(answer, regions.length)
    const { picture, ...files } = await writeObjects(looked, objects, writtenOf(answer, objects))
    const { out } = terminal
    if (args.has('json')) {
      const caveats = caveatFields(model.config, { world: scene.world })
      out.write(jsonLine({ ...accountOf(place.typed, answer, objects, files), ...caveats }))
    } else {
      const lines = [
        ...(objects.length > 0 ? preview(picture, out) : []),
        ...textOf(
          answer,
          objects,
          caveatLines({ world: scene.world }, terminal),
          files,
          model.gpu.name,
          terminal,
        ),
      ]
      out.write(`${lines.join('\n')}\n`)
    }
    return objects.length > 0 ? 0 : EXIT_NOTHING
  })
}

/** @throws UsageError for several boxes or masks that aren't the examples of --like, and nothing else */
function expectOneKind(args: Given): void {
  for (const option of ['box', 'region'] as const) {
    const count = args.all(option).length
    if (count < 2) continue
    if (!args.has('like')) {
      throw new UsageError(
        `--${option} is given ${count} times, and one object is asked for. Give it once, or add --like for everything like any of them.`,
      )
    }
    const other = ['point', 'box', 'region'].find((name) => name !== option && args.has(name))
    if (other !== undefined) {
      throw new UsageError(`Several --${option} are an example each. Leave --${other} out.`)
    }
  }
}

/** One region of all that is given, or one for each of several boxes or masks. */
async function regionsOf(
  args: Given,
  places: readonly ImagePlace[],
  terminal: Terminal,
): Promise<readonly Region[]> {
  const points = args.all('point').map((text): [number, number] => {
    const [x = 0, y = 0] = numbersOf('point', text, 2)
    return [x, y]
  })
  const boxes = args.all('box').map(boxFrom)
  const masks: Region['mask'][] = []
  for (const place of places) masks.push(await maskFrom(place, terminal))
  if (boxes.length > 1) return boxes.map((box) => ({ box }))
  if (masks.length > 1) return masks.map((mask) => ({ mask }))
  return [{ point: points.length > 0 ? points : undefined, box: boxes[0], mask: masks[0] }]
}

function boxFrom(text: string): [number, number, number, number] {
  const [x0 = 0, y0 = 0, x1 = 0, y1 = 0] = numbersOf('box', text, 4)
  return [x0, y0, x1, y1]
}

const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i

function numbersOf(option: string, text: string, count: number): number[] {
  const parts = text.split(',').map((part) => part.trim())
  const values = parts.map(Number)
  if (
    parts.length !== count ||
    !parts.every((part) => DECIMAL.test(part)) ||
    !values.every(Number.isFinite)
  ) {
    const wanted = count === 2 ? '120,80' : '40,30,200,160'
    throw new UsageError(`--${option} is '${printable(text)}', expected ${count} numbers such as ${wanted}.`)
  }
  return values
}

/** A picture whose light pixels are inside: above 128, as in X-SAM. */
async function maskFrom(place: ImagePlace, terminal: Terminal): Promise<Region['mask']> {
  const { width, height, rgb } = await readImage(place, terminal)
  const data = Uint8Array.from({ length: width * height }, (_, i) => {
    const [r = 0, g = 0, b = 0] = rgb.subarray(3 * i, 3 * i + 3)
    return r + g + b > 3 * 128 ? 1 : 0
  })
  return { width, height, data }
}

function wordsOf(args: Given): string {
  const places = [
    ...args.all('point').map((text) => `point ${text}`),
    ...args.all('box').map((text) => `box ${text}`),
  ]
  return places.length > 0 ? places.join(' ') : 'region'
}

type AnyRegionAnswer = RegionSegmentation | RegionInstances

interface PointedObject extends FoundObject {
  readonly score: number
  readonly query: number
  /** With --like the region that it is like, from 0. */
  readonly region?: number
}

/** The objects that were found, by falling score. Of several regions, each is a class of its own. */
function objectsOf(answer: AnyRegionAnswer, regions: number): readonly PointedObject[] {
  if (!answer.found) return []
  if (!('instances' in answer)) {
    const { mask, score, query } = answer
    return [{ mask, score, query, label: score.toFixed(2) }]
  }
  return answer.instances.map(({ mask, score, query, region }) => {
    const classIndex = regions > 1 ? region : undefined
    return { mask, score, query, region, classIndex, label: score.toFixed(2) }
  })
}

/** The masks that are written: of all objects, or of the one, which is empty where nothing was found. */
function writtenOf(
  answer: AnyRegionAnswer,
  objects: readonly PointedObject[],
): Pick<Answered, 'objects' | 'all'> {
  if ('instances' in answer) return { objects, all: true }
  const { found, score, mask } = answer
  const { width, height } = mask
  const empty = maskOf(width, height, new Uint8Array(width * height))
  return { objects: [{ score, mask: found ? mask : empty }], all: false }
}

function textOf(
  { times }: AnyRegionAnswer,
  objects: readonly PointedObject[],
  caveats: readonly string[],
  { overlay, mask }: AnswerFiles,
  adapter: string,
  { out }: Terminal,
): string[] {
  const paint = painter(out)
  return [
    ...(objects.length === 0
      ? [`${paint('yellow', 'Not found')}: nothing there has a score that is high enough.`]
      : []),
    ...objects.map(({ score, mask }) => {
      const share = (100 * mask.area) / (mask.width * mask.height)
      return `  score    ${score.toFixed(3)}   ${share.toFixed(1)} % of the image`
    }),
    ...caveats,
    `  time     ${timesText(times)}   ${paint('dim', adapter)}`,
    ...(overlay === null ? [] : [`  picture  ${printable(overlay, Infinity)}`]),
    ...(mask === null ? [] : [`  mask     ${printable(mask, Infinity)}`]),
  ]
}

/** The object that `--json` prints. */
function accountOf(
  image: string,
  { found, times }: AnyRegionAnswer,
  objects: readonly PointedObject[],
  files: AnswerFiles,
): object {
  const list = objects.map(({ score, query, region, mask }) => ({
    score,
    query,
    ...(region === undefined ? {} : { region }),
    area: mask.area,
    box: boxOf(mask),
  }))
  return { image, found, objects: list, times, ...files }
}
