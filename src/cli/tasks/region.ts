// flowseg segment with a place instead of a sentence: --point, --box, --region.

import type { Size } from '../../io/image/image-kind.ts'
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
import type { Labelled } from '../output/legend.ts'
import { preview } from '../output/preview.ts'
import { painter, type Terminal } from '../output/terminal.ts'
import { timesText } from '../output/times.ts'
import { type AnswerFiles, askOneImage, writeObjects } from './one-image.ts'

/** The options that make a region of `flowseg segment`. */
export const REGION_OPTIONS = {
  point: {
    value: 'X,Y',
    many: true,
    help: 'instead of a sentence: what is at this pixel; several are on one object',
  },
  box: { value: 'X0,Y0,X1,Y1', help: 'instead of a sentence: what is in this rectangle of pixels' },
  region: {
    value: 'FILE',
    help: 'instead of a sentence: what this mask covers, a PNG of the same size, light inside',
  },
  like: { help: 'with a region: everything like it' },
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
  for (const option of ['all', 'flow', 'format', 'task', 'template', 'answer'] as const) {
    if (args.has(option))
      throw new UsageError(`--${option} is for sentences, and a region is asked for. Leave it out.`)
  }
  if (args.has('hit') && !args.has('point')) {
    throw new UsageError('--hit needs a --point: the place that the mask must hold.')
  }
  if (args.has('hit') && args.has('like')) {
    throw new UsageError('--hit chooses one mask, --like asks for all. Leave one of them out.')
  }
  const file = args.text('region')
  const mask = file === undefined ? undefined : imagePlace(file, terminal)
  if (typed === '-' && mask?.kind === 'stdin') {
    throw new UsageError('Standard input (-) is the image and the --region, and can be read once.')
  }
  const region = await regionOf(args, mask, terminal)
  const like = args.has('like')
  const options = { hit: args.has('hit') || undefined, threshold: shareOption(args, 'threshold') }
  const what = {
    typed,
    words: wordsOf(args),
    tasks: ['regions'] as const,
    isInWords: false,
    inputs: mask?.kind === 'file' ? [{ path: mask.location, what: 'the mask of the region' }] : [],
    check: (_: Config, image: Size) => void gesturesOf('flowseg segment', region, image),
  }
  return askOneImage(args, terminal, what, async (looked) => {
    const { scene, task, progress, place, model } = looked
    const answer = like
      ? await scene.segmentRegion([region], { ...task, ...options, like })
      : await scene.segmentRegion(region, { ...task, ...options })
    progress.clear()
    const objects = objectsOf(answer)
    const { picture, ...files } = await writeObjects(looked, objects)
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

async function regionOf(args: Given, mask: ImagePlace | undefined, terminal: Terminal): Promise<Region> {
  const points = args.all('point').map((text): [number, number] => {
    const [x = 0, y = 0] = numbersOf('point', text, 2)
    return [x, y]
  })
  const box = args.text('box')
  return {
    ...(points.length > 0 && { point: points }),
    ...(box !== undefined && { box: boxFrom(box) }),
    ...(mask && { mask: await maskFrom(mask, terminal) }),
  }
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

/** The objects that were found, by falling score. */
function objectsOf(
  answer: AnyRegionAnswer,
): (Labelled & { readonly score: number; readonly query: number })[] {
  if (!answer.found) return []
  const found = 'instances' in answer ? answer.instances : [answer]
  return found.map(({ mask, score, query }) => ({ mask, score, query, label: score.toFixed(2) }))
}

function textOf(
  { times }: AnyRegionAnswer,
  objects: ReturnType<typeof objectsOf>,
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
  objects: ReturnType<typeof objectsOf>,
  files: AnswerFiles,
): object {
  const list = objects.map(({ score, query, mask }) => ({ score, query, area: mask.area, box: boxOf(mask) }))
  return { image, found, objects: list, times, ...files }
}
