// flowseg demo, which is `npm start`: a sample scene of the package, with sentences about one object, about several,
// and about one that isn't there.

import { readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { listed } from '../../check.ts'
import { encodePng, type Image } from '../../io/image/image.ts'
import type { Mask } from '../../masks/mask.ts'
import { copy, overlay } from '../../masks/picture.ts'
import type { Segmentation } from '../../model/flowseg.ts'
import { caveatFields } from '../../model/knows/caveats.ts'
import type { ImageWorld } from '../../model/knows/world.ts'
import { printable, slug } from '../../printable.ts'
import { viewOf } from '../../view.ts'
import { type Command, expectOperands, type Given, type Page, SHARED } from '../args.ts'
import { Drafts, stem } from '../files.ts'
import { imagePlace, readImage } from '../image-files.ts'
import { jsonLine } from '../json.ts'
import { iouOf, overlap } from '../metrics.ts'
import { inputsOf, loadModel } from '../model.ts'
import { caveatLines, introduce } from '../output/knows.ts'
import { expectApart } from '../output/outputs.ts'
import { preview } from '../output/preview.ts'
import { ProgressLine } from '../output/progress-line.ts'
import { painter, type Terminal } from '../output/terminal.ts'
import { timesText } from '../output/times.ts'
import { packagePath } from '../package.ts'

const page: Page = {
  name: 'demo',
  operands: '',
  summary: 'find things in a sample scene',
  details:
    'The scene is of the test split: the model has never seen it. Its true masks are known, so that the answers ' +
    'can be scored. One of the things that it is asked for is not there.',
  options: {
    out: { value: 'DIR', help: 'folder for the outlined images; by default out/ in the current folder' },
    weights: SHARED.weights,
    quantize: SHARED.quantize,
    adapter: SHARED.adapter,
    'no-tune': SHARED['no-tune'],
    json: {
      help: 'one JSON array of {image, sentence, found, score, instances, iou, overlay} instead of text; errors as well',
    },
  },
  examples: [
    ['demo', 'writes images into out/, with what was found outlined'],
    ['demo --json', 'the same, told for programs'],
  ],
}

/** `flowseg demo` */
export const demo: Command = { page, run }

/** examples/scene.json */
interface Example {
  readonly image: string
  readonly sentences: readonly {
    readonly text: string
    /** True if it means several objects. */
    readonly all?: boolean
    /** A grey PNG, 255 inside of what it means; absent if that isn't there. */
    readonly truth?: string
  }[]
}

interface Shown {
  readonly sentence: string
  readonly result: Segmentation
  /** The pixels that were found; none where nothing was. */
  readonly mask: Mask
  /** Absent if what it means isn't there. */
  readonly iou?: number
  readonly picture: Image
  readonly overlay: string
}

async function run(args: Given, terminal: Terminal): Promise<number> {
  expectOperands(page, args, 0)
  const folder = args.text('out') ?? 'out'

  // 1. The sample
  const example = JSON.parse(await readFile(packagePath('examples', 'scene.json'), 'utf8')) as Example
  const file = packagePath('examples', example.image)
  const image = await readImage(imagePlace(file, terminal), terminal)
  const nameOf = (text: string): string => join(folder, `${stem(file)}-${slug(text)}.png`)
  const names = example.sentences.map(({ text }) => nameOf(text))
  const kept = inputsOf(args, terminal, [{ path: file, what: 'the sample itself' }])
  await expectApart(kept, names, terminal)

  // 2. Look once, ask several times
  const progress = new ProgressLine(terminal)
  const model = await loadModel(args, terminal, progress)
  const { config } = model
  introduce(config, args, terminal)
  try {
    const options = { onProgress: progress.on, signal: terminal.signal }
    const scene = await model.look(image, options)
    const drafts = new Drafts(terminal)
    const shown: Shown[] = []
    for (const { text, all = false, truth } of example.sentences) {
      const result = await scene.segment(text, { ...options, all })
      const mask = maskFound(result)
      const expected =
        truth === undefined ? undefined : await readTruth(packagePath('examples', truth), terminal)
      const picture = result.found ? overlay(image, mask) : copy(image)
      shown.push({
        sentence: text,
        result,
        mask,
        ...(expected && { iou: iouOf(overlap(mask.data, expected)) }),
        picture,
        overlay: drafts.add(nameOf(text), encodePng(picture)),
      })
    }
    scene.close()
    progress.clear()
    await drafts.commit()

    // 3. Tell
    if (args.has('json')) {
      const account = shown.map(({ sentence, result, iou, overlay }) => ({
        image: file,
        sentence,
        found: result.found,
        score: result.score,
        ...(result.instances && { instances: result.instances.length }),
        ...(iou !== undefined && { iou }),
        overlay,
        ...caveatFields(config, { world: scene.world, unknownWords: result.unknownWords }),
      }))
      terminal.out.write(jsonLine(account))
    } else {
      tell(file, image, shown, scene.world, model.gpu.name, terminal)
    }
    return 0
  } finally {
    progress.clear()
    model.close()
  }
}

async function readTruth(path: string, terminal: Terminal): Promise<Uint8Array> {
  const { width, height, rgb } = await readImage(imagePlace(path, terminal), terminal)
  const view = viewOf(rgb)
  return Uint8Array.from({ length: width * height }, (_, i) => (view.getUint8(3 * i) > 127 ? 1 : 0))
}

function maskFound({ found, mask, union = mask }: Segmentation): Mask {
  return found ? union : { ...mask, data: new Uint8Array(mask.data.length), area: 0 }
}

/** 'score 0.998', '2 objects, scores 0.998 and 0.987', 'Not found, score 0.012'. */
function finding({ found, score, instances }: Segmentation, terminal: Terminal): string {
  if (!found) return `${painter(terminal.out)('yellow', 'Not found')}, score ${score.toFixed(3)}`
  if (!instances) return `score ${score.toFixed(3)}`
  const scores = listed(instances.map((instance) => instance.score.toFixed(3)))
  const [objects, each] = instances.length === 1 ? ['object', 'score'] : ['objects', 'scores']
  return `${instances.length} ${objects}, ${each} ${scores}`
}

function tell(
  file: string,
  image: Image,
  shown: readonly Shown[],
  world: ImageWorld | undefined,
  adapter: string,
  terminal: Terminal,
): void {
  const { out, cwd } = terminal
  const paint = painter(out)
  const place = (path: string): string => {
    const near = relative(cwd, path)
    return printable(near.startsWith('..') ? path : near, Infinity)
  }
  const lines = [
    `${place(file)}, ${image.width} x ${image.height} pixels, on ${adapter}`,
    ...shown.flatMap(({ sentence, result, iou, picture, overlay }) => [
      '',
      ...preview(picture, out),
      paint('bold', sentence),
      `  ${finding(result, terminal)}, ${iou === undefined ? "and it isn't there" : `IoU with the truth ${iou.toFixed(3)}`}`,
      ...caveatLines({ world, unknownWords: result.unknownWords }, terminal),
      `  ${timesText(result.times)}`,
      `  ${place(overlay)}`,
    ]),
    '',
    'The image was looked at once: each further sentence cost only read and segment.',
    'Try your own: flowseg segment IMAGE "SENTENCE"',
  ]
  out.write(`${lines.join('\n')}\n`)
}
