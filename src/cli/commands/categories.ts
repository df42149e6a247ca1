// flowseg categories: all that a list of names finds in an image, as a map or as objects.

import { boxOf } from '../../masks/picture.ts'
import type { CategoryAnswers, CategoryMode } from '../../model/flowseg.ts'
import { readCategories } from '../../model/input/categories.ts'
import { caveatFields } from '../../model/knows/caveats.ts'
import { printable } from '../../printable.ts'
import {
  type Command,
  EXIT_NOTHING,
  expectOperands,
  type Given,
  type Page,
  shareOption,
  UsageError,
} from '../args.ts'
import { jsonLine } from '../json.ts'
import { caveatLines } from '../output/knows.ts'
import { preview } from '../output/preview.ts'
import { grouped, painter, type Terminal } from '../output/terminal.ts'
import { timesText } from '../output/times.ts'
import {
  type AnswerFiles,
  askOneImage,
  type FoundObject,
  IMAGE_OPTIONS,
  writeObjects,
} from '../tasks/one-image.ts'

const page: Page = {
  name: 'categories',
  operands: 'IMAGE',
  summary: 'find all that a list of names means',
  details:
    'Names are separated by commas: --things for what can be counted, of which each is an object of its own; --stuff ' +
    "for what can't, such as sky. Both make a panoptic map, things alone a list of objects, stuff alone a semantic " +
    'map, unless --mode says otherwise. The names are your own. The model must have been trained on lists of ' +
    'categories, as X-SAM and the embedded one were.',
  options: {
    things: { value: 'NAMES', help: 'person, bird: each is an object of its own' },
    stuff: { value: 'NAMES', help: 'sky, wall: all of it is one segment' },
    mode: { value: 'KIND', help: 'semantic, instance or panoptic' },
    threshold: {
      value: 'SCORE',
      help: "the least score of an object, from 0 to 1; by default the model's own",
    },
    rules: {
      value: 'RULES',
      help: 'of a panoptic map: own, or xsam, where the likeliest object has each pixel and ids may collide',
    },
    shuffle: { value: 'SEED', help: "let the model read the names in a random order, as X-SAM's demo does" },
    ...IMAGE_OPTIONS,
  },
  examples: [
    [
      'categories photo.jpg --things "person, bird" --stuff "sky, sea" --weights xsam',
      'writes photo-categories.png',
    ],
    [
      'categories photo.jpg --things "person" --mask people.png --weights xsam',
      'also a PNG with a number per person',
    ],
    [
      'categories photo.jpg --things "person, bird" --mask labels.txt --weights xsam',
      "also a line of YOLO's per object, person as class 0 and bird as 1",
    ],
  ],
}

/** `flowseg categories` */
export const categories: Command = { page, run }

async function run(args: Given, terminal: Terminal): Promise<number> {
  expectOperands(page, args, 1)
  const [typed = ''] = args.operands
  const [things, stuff] = [namesOf(args, 'things'), namesOf(args, 'stuff')]
  const list = { ...(things && { things }), ...(stuff && { stuff }) }
  if (!things && !stuff) {
    throw new UsageError('flowseg categories needs names: --things "person, bird", --stuff "sky", or both.')
  }
  const mode = args.oneOf('mode', ['semantic', 'instance', 'panoptic'])
  const threshold = shareOption(args, 'threshold')
  const rules = args.oneOf('rules', ['own', 'xsam'])
  const shuffle = args.number('shuffle', 0)
  const what = {
    typed,
    words: 'categories',
    tasks: ['categories'] as const,
    isInWords: true,
    check: () => void readCategories(list),
  }
  return askOneImage(args, terminal, what, async (looked) => {
    const { scene, progress, task, place, model } = looked
    const answer = await scene.segmentCategories(list, { ...task, mode, threshold, shuffle, rules })
    progress.clear()
    const { picture, ...files } = await writeObjects(looked, objectsOf(answer))
    const caveats = { world: scene.world, unknownWords: answer.unknownWords }
    if (args.has('json')) {
      const account = { ...accountOf(place.typed, answer, files), ...caveatFields(model.config, caveats) }
      terminal.out.write(jsonLine(account))
    } else {
      const { out } = terminal
      const lines = [
        ...(answer.found ? preview(picture, out) : []),
        ...textOf(answer, caveatLines(caveats, terminal), files, model.gpu.name, terminal),
      ]
      out.write(`${lines.join('\n')}\n`)
    }
    return answer.found ? 0 : EXIT_NOTHING
  })
}

function namesOf(args: Given, option: 'things' | 'stuff'): string[] | undefined {
  const text = args.text(option)
  if (text === undefined) return undefined
  const names = text.split(',').map((name) => name.trim())
  if (names.includes('')) {
    throw new UsageError(
      `--${option} '${printable(text)}' has an empty name. Separate names by single commas.`,
    )
  }
  return names
}

type CategoryAnswer = CategoryAnswers[CategoryMode]

/** One object of an answer, whatever its mode. */
interface Found {
  readonly id: number
  readonly name: string
  /** Index of its category. */
  readonly category: number
  readonly kind: string
  readonly score?: number
  readonly area: number
  readonly mask: FoundObject['mask']
}

function foundOf(answer: CategoryAnswer): readonly Found[] {
  return answer.mode === 'instance'
    ? answer.instances.map((instance, i) => ({ ...instance, id: i + 1, mask: instance.mask }))
    : answer.segments.map((segment) => ({ ...segment, mask: segment.mask }))
}

/** Objects of one category of stuff, and of a semantic map, have the colour of their category. */
function objectsOf(answer: CategoryAnswer): FoundObject[] {
  return foundOf(answer).map(({ mask, name, category, score }) => ({
    mask,
    name,
    score,
    classIndex: category,
    label: score === undefined ? name : `${name} ${score.toFixed(2)}`,
  }))
}

function textOf(
  answer: CategoryAnswer,
  caveats: readonly string[],
  { overlay, mask }: AnswerFiles,
  adapter: string,
  { out }: Terminal,
): string[] {
  const paint = painter(out)
  const pixels = answer.width * answer.height
  const rows = foundOf(answer).map(({ id, name, score, area }) => {
    const share = `${((100 * area) / pixels).toFixed(1)} %`.padStart(7)
    return `  ${String(id).padStart(3)}  ${share}  ${score === undefined ? '' : `${score.toFixed(3)}  `}${printable(name, Infinity)}`
  })
  return [
    paint(
      'bold',
      `${answer.mode} map of ${answer.categories.length === 1 ? 'one category' : `${grouped(answer.categories.length)} categories`}`,
    ),
    ...rows,
    ...(answer.found ? [] : [`  ${paint('yellow', 'Not found')}: ${nothing(answer)}`]),
    ...caveats,
    `  time     ${timesText(answer.times)}   ${paint('dim', adapter)}`,
    ...(overlay === null ? [] : [`  picture  ${printable(overlay, Infinity)}`]),
    ...(mask === null ? [] : [`  mask     ${printable(mask, Infinity)}`]),
  ]
}

/** A semantic map has a category for every pixel, sure or not. */
function nothing({ mode }: CategoryAnswer): string {
  return mode === 'semantic'
    ? 'nothing of the list is surely there. The map shows the likeliest category of each pixel.'
    : 'nothing of the list is in the image.'
}

/** The object that `--json` prints. */
function accountOf(image: string, answer: CategoryAnswer, files: AnswerFiles): object {
  const { mode, found, categories: list, times } = answer
  const objects = foundOf(answer).map(({ id, name, kind, score, area, mask }) => ({
    id,
    name,
    kind,
    area,
    box: boxOf(mask),
    ...(score === undefined ? {} : { score }),
  }))
  return {
    image,
    mode,
    found,
    categories: list.map(({ name, kind }) => ({ name, kind })),
    objects,
    times,
    ...files,
  }
}
