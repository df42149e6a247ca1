// flowseg segment: a mask for every image and every sentence. The model is loaded once, and an image looked at once.

import { join } from 'node:path'
import { entryOf } from '../../check.ts'
import { FlowSegError, ImageError, NumericError, UsageError } from '../../errors.ts'
import { encodePng, type Image } from '../../io/image/image.ts'
import { maskOf } from '../../masks/mask.ts'
import { boxOf, copy, overlay } from '../../masks/picture.ts'
import type { Config } from '../../model/checkpoint/config.ts'
import type { FlowSeg, Instance, Mask, Scene, Segmentation } from '../../model/flowseg.ts'
import { caveatFields } from '../../model/knows/caveats.ts'
import { printable } from '../../printable.ts'
import { type Command, EXIT_NOTHING, type Given, type Page, shareOption } from '../args.ts'
import { Drafts } from '../files.ts'
import { expectReadable, type ImagePlace, readImage } from '../image-files.ts'
import { accountOfError, jsonLine } from '../json.ts'
import { askOptions, checkSentences, inputsOf, loadModel, MODEL_OPTIONS } from '../model.ts'
import { flowFiles, flowNames, SHEET } from '../output/flow.ts'
import { caveatLines, introduce } from '../output/knows.ts'
import { legend } from '../output/legend.ts'
import {
  extensionOf,
  FORMAT_NAMES,
  FORMAT_OPTION,
  type MaskFormatName,
  maskFile,
  maskFormatOf,
  type WrittenObject,
} from '../output/mask-formats.ts'
import { expectApart, type Names, namesFor } from '../output/outputs.ts'
import { preview } from '../output/preview.ts'
import { ProgressLine } from '../output/progress-line.ts'
import { grouped, painter, type Terminal, visible } from '../output/terminal.ts'
import { timesText } from '../output/times.ts'
import { type Request, requestOf } from '../request.ts'
import { isPointing, REGION_OPTIONS, segmentPointed } from '../tasks/region.ts'

const page: Page = {
  name: 'segment',
  operands: 'IMAGE "SENTENCE"',
  summary: 'find in an image what a sentence means',
  details:
    'Writes the image with the object outlined. IMAGE is a PNG, JPEG, WebP, AVIF or GIF file, an address (https:), or - for standard input. ' +
    'Several images, or several sentences, are told with -s: flowseg segment IMAGE... -s "SENTENCE" -s "SENTENCE" ' +
    'gives every image every sentence. All of an answer is written, or nothing of it; when one of several images ' +
    "can't be decoded, the others are answered and the exit code is 1. No file is replaced unless it is named with " +
    '--out, --mask or --flow. Where nothing is found, the picture has no outline (of a region there is none), the mask is ' +
    'empty, and the exit code is 3.',
  options: {
    out: {
      value: 'FILE',
      help: 'the outlined image, or a folder for several; by default IMAGE-SENTENCE.png, here',
    },
    mask: {
      value: 'FILE',
      help: 'also write the mask: a grey PNG of the same size, 255 inside, 0 outside; or a folder',
    },
    format: FORMAT_OPTION,
    flow: {
      value: 'DIR',
      help: 'also write what happened in every layer: flow.png, flow.json, a PNG per layer',
    },
    sentence: { value: 'TEXT', short: 's', many: true, help: 'what to find; may be given several times' },
    all: { help: 'every object that the sentence means, a colour each; --mask has a palette then' },
    threshold: {
      value: 'SCORE',
      help: "the least score of what counts as found, from 0 to 1; by default the model's own",
    },
    ...REGION_OPTIONS,
    ...MODEL_OPTIONS,
    json: { help: 'one line of JSON per answer on standard output instead of text; errors as well' },
  },
  examples: [
    ['segment scene.png "the umbrella left of the clock"', 'writes scene-the-umbrella-left-of-the-clock.png'],
    ['segment a.png b.png -s "the umbrella" -s "the dotted shape"', 'four answers, from two looks'],
    ['segment scene.png "the red shapes" --all', 'all of them'],
    ['segment photo.jpg --point 120,80 --weights xsam', 'what is there, with a model that knows regions'],
    ['segment photo.jpg --point 120,80 --mask object.json', "also its mask as COCO's RLE"],
    ['segment scene.png "what keeps you dry" --mask umbrella.png', 'also writes the mask'],
    ['segment photo.png "the cat" --mask cat.svg', 'also its outline, as a path; see --format for more'],
    ['segment photo.png "the cat" --flow flow/', 'also shows layer by layer how it was found'],
    ['segment photo.png "the cat" --weights hf:owner/name', 'with a model from Hugging Face, or from a URL'],
    ['segment - "the cat" --json < photo.png', 'score, box, area, times and all candidates, for programs'],
  ],
}

/** The command. */
export const segment: Command = { page, run }

/** The things that all answers of a run share. */
interface SegmentRun {
  readonly request: Request
  readonly names: readonly (readonly Names[])[]
  readonly format: MaskFormatName
  readonly args: Given
  readonly config: Config
  readonly model: FlowSeg
  readonly progress: ProgressLine
  readonly terminal: Terminal
}

async function run(args: Given, terminal: Terminal): Promise<number> {
  if (isPointing(args)) return segmentPointed(args, terminal)
  for (const option of ['like', 'hit'] as const) {
    if (args.has(option)) throw new UsageError(`--${option} goes with a region: --point, --box or --region.`)
  }

  // 1. What is asked
  const request = requestOf(args, terminal)
  const { images, sentences } = request
  const { prompt } = askOptions(args)
  shareOption(args, 'threshold')
  const format = maskFormatOf(args.oneOf('format', FORMAT_NAMES), args.text('mask'))
  const wanted = {
    overlay: args.text('out'),
    mask: args.text('mask'),
    flow: args.text('flow'),
    maskExtension: extensionOf(format),
  }
  const names = namesFor(images, sentences, wanted, terminal)

  // 2. What can be known to fail, fails before anything large is loaded: of a single image everything
  for (const image of images) await expectReadable(image)
  const single = images.length === 1 ? await readImage(entryOf(images, 0), terminal) : undefined
  const config = await checkSentences(sentences, prompt, args, terminal)
  const files = images.flatMap(({ kind, location, name }) =>
    kind === 'file' ? [{ path: location, what: single ? 'the image itself' : `the image ${name}` }] : [],
  )
  const outputs = names.flat().flatMap((one) => filesOf(one, config))
  await expectApart(inputsOf(args, terminal, files), outputs, terminal)

  // 3. The answers
  const progress = new ProgressLine(terminal)
  const model = await loadModel(args, terminal, progress)
  introduce(config, args, terminal)
  const all: SegmentRun = { request, names, format, args, config, model, progress, terminal }
  let failures = 0
  let isFound = false
  try {
    for (const [i, place] of images.entries()) {
      try {
        if (await answer(all, i, single ?? (await readImage(place, terminal)))) isFound = true
      } catch (error) {
        progress.clear()
        const isItsOwn = error instanceof ImageError || error instanceof NumericError
        if (images.length === 1 || !isItsOwn || terminal.signal.aborted) throw error
        failures++
        tellFailure(place, error, args, terminal)
      }
    }
  } finally {
    progress.clear()
    model.close()
  }
  if (failures > 0 && !args.has('json')) {
    terminal.err.write(`flowseg: ${failures} of ${images.length} images failed.\n`)
  }
  if (failures > 0) return 1
  return isFound ? 0 : EXIT_NOTHING
}

/** Looks at an image once and answers every sentence about it. @returns whether any of them found anything */
async function answer(
  { request, names, format, args, config, model, progress, terminal }: SegmentRun,
  i: number,
  image: Image,
): Promise<boolean> {
  const { images, sentences } = request
  const task = { onProgress: progress.on, signal: terminal.signal }
  const { look, prompt } = askOptions(args)
  const scene: Scene = await model.look(image, { ...task, ...look })
  const threshold = shareOption(args, 'threshold')
  const all = args.has('all')
  let isFound = false
  try {
    for (const [j, sentence] of sentences.entries()) {
      const name = entryOf(entryOf(names, i), j)
      const flow = name.flow !== undefined || undefined
      const result = await scene.segment(sentence, { ...task, ...prompt, flow, all, threshold })
      progress.clear()
      isFound ||= result.found

      const picture = pictureOf(image, result)
      const place = entryOf(images, i)
      const contents = (): Uint8Array | string =>
        maskFile(format, { image, name: place.typed, sentence, objects: objectsOf(result), all })
      const files = await write(image, picture, contents, result, name, config, terminal)
      if (args.has('json')) {
        const caveats = caveatFields(config, { world: scene.world, unknownWords: result.unknownWords })
        terminal.out.write(jsonLine({ ...accountOf(place, result, files), ...caveats }))
      } else {
        const caveats = caveatLines({ world: scene.world, unknownWords: result.unknownWords }, terminal)
        const shown = {
          overlay: name.overlay.path,
          mask: name.mask?.path,
          flow: name.flow && join(name.flow, SHEET),
        }
        tell(picture, images.length > 1 ? place : undefined, result, caveats, shown, model.gpu.name, terminal)
      }
    }
  } finally {
    scene.close()
  }
  return isFound
}

/** The object outlined, or all of them; nothing is, where nothing was found. */
function pictureOf(image: Image, { found, mask, instances }: Segmentation): Image {
  if (instances) return legend(image, instances.map(labelled))
  return found ? overlay(image, mask) : copy(image)
}

/** The masks that are written: of all objects, or of the best one, which is empty where nothing was found. */
function objectsOf({ found, mask, score, instances }: Segmentation): readonly WrittenObject[] {
  if (instances) return instances
  const { width, height, data } = mask
  return [{ score, mask: found ? mask : maskOf(width, height, new Uint8Array(data.length)) }]
}

function labelled({ mask, score }: Instance): { mask: Mask; label: string } {
  return { mask, label: score.toFixed(2) }
}

/** Paths, as the user named them, of all files of an answer. */
function filesOf({ overlay, mask, flow }: Names, config: Config): string[] {
  const layers = flow === undefined ? [] : flowNames(config).map((name) => join(flow, name))
  return [overlay.path, ...(mask ? [mask.path] : []), ...layers]
}

interface Written {
  readonly overlay: string
  readonly mask: string | null
  readonly flow: string | null
}

/** All files of an answer, or none. */
async function write(
  image: Image,
  picture: Image,
  maskContents: () => Uint8Array | string,
  result: Segmentation,
  { overlay, mask, flow }: Names,
  config: Config,
  terminal: Terminal,
): Promise<Written> {
  const drafts = new Drafts(terminal)
  const files = {
    overlay: drafts.add(overlay.path, encodePng(picture), overlay.isDerived),
    mask: mask ? drafts.add(mask.path, maskContents(), mask.isDerived) : null,
    flow: flow ?? null,
  }
  if (flow !== undefined) {
    for (const { name, contents } of flowFiles(image, result, config)) drafts.add(join(flow, name), contents)
  }
  await drafts.commit()
  return files
}

function tellFailure(
  { typed: image }: ImagePlace,
  error: FlowSegError,
  args: Given,
  { out, err }: Terminal,
): void {
  if (args.has('json')) out.write(jsonLine({ image, error: accountOfError(error) }))
  else err.write(`${painter(err)('red', 'flowseg')}: ${visible(error.message)}\n`)
}

/** The object that `--json` prints. */
function accountOf(
  { typed: image }: ImagePlace,
  { sentence, found, score, query, mask, instances, times, candidates }: Segmentation,
  files: Written,
): object {
  return {
    image,
    sentence,
    found,
    score,
    query,
    area: found ? mask.area : 0,
    box: found ? boxOf(mask) : null,
    ...(instances && {
      instances: instances.map(({ score, query, area, box }) => ({ score, query, area, box })),
    }),
    times,
    candidates: candidates.map(({ query, score }) => ({ query, score })),
    ...files,
  }
}

function tell(
  picture: Image,
  place: ImagePlace | undefined,
  { sentence, found, score, mask, instances, times }: Segmentation,
  caveats: readonly string[],
  files: Readonly<Record<string, string | undefined>>,
  adapter: string,
  { out }: Terminal,
): void {
  const paint = painter(out)
  const lineOf = (area: number): string =>
    `${grouped(area)} pixels, ${((100 * area) / (mask.width * mask.height)).toFixed(1)} % of the image`
  const objects = instances
    ? instances.map(({ score, area }) => `  ${score.toFixed(3)}    ${lineOf(area)}`)
    : [`  area     ${lineOf(mask.area)}`]
  const lines = [
    ...preview(picture, out),
    paint('bold', printable(sentence, Infinity)),
    ...(place ? [`  image    ${place.name}`] : []),
    `  score    ${score.toFixed(3)}`,
    ...(found
      ? objects
      : [`  ${paint('yellow', 'Not found')}: nothing in the image has a score that is high enough.`]),
    ...caveats,
    `  time     ${timesText(times)}   ${paint('dim', adapter)}`,
    ...Object.entries(files).flatMap(([name, file]) =>
      file ? [`  ${name.padEnd(8)} ${printable(file, Infinity)}`] : [],
    ),
    ...(found && mask.area === 0
      ? ['  Nothing in the image reached a probability of one half: the mask is empty.']
      : []),
  ]
  out.write(`${lines.join('\n')}\n`)
}
