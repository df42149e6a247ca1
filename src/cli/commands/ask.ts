// flowseg ask, flowseg describe: an answer in words, as they come, and a picture of what the words point out.

import { boxOf } from '../../masks/picture.ts'
import type { Config } from '../../model/checkpoint/config.ts'
import type { Answer, AskOptions, GroundedPhrase } from '../../model/flowseg.ts'
import { clean } from '../../model/input/prompt.ts'
import { cleanQuestion } from '../../model/input/questions.ts'
import { type Caveats, caveatFields } from '../../model/knows/caveats.ts'
import { MOST_ANSWER_TOKENS } from '../../model/words/generate.ts'
import { printable } from '../../printable.ts'
import {
  type Command,
  EXIT_NOTHING,
  expectOperands,
  type Given,
  type Options,
  type Page,
  shareOption,
  UsageError,
} from '../args.ts'
import { jsonLine } from '../json.ts'
import { caveatLines } from '../output/knows.ts'
import { preview } from '../output/preview.ts'
import { painter, type Terminal, visible } from '../output/terminal.ts'
import { ms } from '../output/times.ts'
import { looksLikeImage } from '../request.ts'
import { askOneImage, IMAGE_OPTIONS, type Looked, writeObjects } from '../tasks/one-image.ts'

const OPTIONS = {
  'max-tokens': {
    value: 'N',
    help: 'most tokens of the answer; by default 512, or what the model has room for',
  },
  'allow-repeats': { help: 'go on when the model only repeats itself, as X-SAM does' },
  temperature: { value: 'T', help: 'above 0, tokens are drawn at random: the higher, the wilder' },
  'top-p': { value: 'P', help: 'with --temperature: among the likeliest tokens whose probabilities make P' },
  'top-k': { value: 'N', help: 'with --temperature: among the N likeliest tokens' },
  seed: { value: 'N', help: 'with --temperature: the same seed draws the same answer' },
  ...IMAGE_OPTIONS,
} as const satisfies Options

const ASK: Page = {
  name: 'ask',
  operands: 'IMAGE "QUESTION"',
  summary: 'answer a question about an image, in words',
  details:
    'The words are printed as they are written. Where they point something out, a picture shows it: a colour for each ' +
    'phrase. With --explain the text is a sentence to be found, as for `flowseg segment`, and the answer says why. ' +
    'The model must have been trained to answer, as X-SAM and the embedded one were; --explain needs one that ' +
    'was trained on `reasoning` as well, as X-SAM was.',
  options: {
    explain: { help: 'the text says what to find; the answer explains what was found' },
    ...OPTIONS,
  },
  examples: [
    ['ask photo.jpg "What is the man holding?" --weights xsam', 'prints the answer'],
    [
      'ask photo.jpg "what keeps the rain off" --explain --weights xsam',
      'also writes photo-what-keeps-the-rain-off.png',
    ],
    [
      'ask photo.jpg "Who is left?" --json --weights xsam',
      'text, phrases with masks, tokens and times, for programs',
    ],
  ],
}

const DESCRIBE: Page = {
  name: 'describe',
  operands: 'IMAGE',
  summary: 'describe an image, with a mask for each thing that is named',
  details:
    'The description is printed as it is written, and a picture shows a colour for each of its phrases. The model must ' +
    'have been trained to describe, as X-SAM and the embedded one were.',
  options: OPTIONS,
  examples: [
    ['describe photo.jpg --weights xsam', 'writes photo-description.png'],
    [
      'describe photo.jpg --mask things.json --weights xsam',
      "also a list of phrases, with their masks as COCO's RLE",
    ],
  ],
}

/** `flowseg ask` */
export const ask: Command = {
  page: ASK,
  run(args, terminal) {
    expectOperands(ASK, args, 2)
    const [typed = '', question = ''] = args.operands
    if (looksLikeImage(question, terminal)) {
      throw new UsageError(
        `${printable(question)} is an image or a file, where the question is expected. Usage: flowseg ask ${ASK.operands}`,
      )
    }
    const explain = args.has('explain')
    const tasks = explain ? (['reasoning', 'chat'] as const) : (['chat'] as const)
    const check = ({ prompt }: Config): void => {
      if (explain) clean(question, 'reasoning', prompt.maxTokens)
      else cleanQuestion(question)
    }
    return answerInWords(
      args,
      terminal,
      { typed, words: question, tasks, question, isInWords: true, check },
      (scene, options) => (explain ? scene.explain(question, options) : scene.ask(question, options)),
    )
  },
}

/** `flowseg describe` */
export const describe: Command = {
  page: DESCRIBE,
  run(args, terminal) {
    expectOperands(DESCRIBE, args, 1)
    const [typed = ''] = args.operands
    const what = {
      typed,
      words: 'description',
      tasks: ['grounded'] as const,
      question: null,
      isInWords: false,
    }
    return answerInWords(args, terminal, what, (scene, options) => scene.describe(options))
  },
}

/** The question of `--json`. */
interface Asked {
  readonly typed: string
  readonly words: string
  readonly tasks: readonly ('reasoning' | 'chat' | 'grounded')[]
  readonly question: string | null
  readonly isInWords: boolean
  readonly check?: (config: Config) => void
}

function answerInWords(
  args: Given,
  terminal: Terminal,
  { question, ...what }: Asked,
  askScene: (scene: Looked['scene'], options: AskOptions) => Promise<Answer>,
): Promise<number> {
  const sampling = {
    maxTokens: args.number('max-tokens', 1, MOST_ANSWER_TOKENS),
    allowRepeats: args.has('allow-repeats') || undefined,
    temperature: args.positive('temperature'),
    topP: args.positive('top-p') && shareOption(args, 'top-p'),
    topK: args.number('top-k', 1),
    seed: args.number('seed', 0),
  }
  for (const option of ['top-p', 'top-k', 'seed'] as const) {
    if (args.has(option) && !args.has('temperature')) {
      throw new UsageError(
        `--${option} goes with --temperature: without, the likeliest token is always taken.`,
      )
    }
  }
  return askOneImage(args, terminal, what, async (looked) => {
    const { scene, progress, task, place, model } = looked
    const { out } = terminal
    const isJson = args.has('json')
    let isWriting = false
    const answer = await askScene(scene, {
      ...sampling,
      signal: task.signal,
      // The line of progress would be drawn into the answer
      onProgress: (event) => isWriting || task.onProgress?.(event),
      onText: (text) => {
        if (!isWriting) progress.clear()
        isWriting = true
        if (!isJson) out.write(visible(text))
      },
    })
    progress.clear()
    const found = answer.phrases.filter((phrase) => phrase.found)
    const files = await writeObjects(
      looked,
      found.map(({ mask, text, score }) => ({
        mask,
        score,
        name: text,
        label: `${text} ${score.toFixed(2)}`,
      })),
    )
    const caveats: Caveats = {
      world: scene.world,
      ...(what.isInWords && { unknownWords: answer.unknownWords }),
    }
    if (isJson) {
      const account = accountOf(place.typed, question, answer, files)
      out.write(jsonLine({ ...account, ...caveatFields(model.config, caveats) }))
    } else tell(answer, caveatLines(caveats, terminal), files, model.gpu.name, terminal)
    return answer.phrases.length > 0 && found.length === 0 ? EXIT_NOTHING : 0
  })
}

/** The note below an answer, by what ended it. */
const END_NOTES: Readonly<Record<Answer['end'], string | undefined>> = {
  stop: undefined,
  length: 'The answer was cut off: give --max-tokens more.',
  repeat: 'The model repeated itself, so the answer was ended. Ask in other words.',
}

function tell(
  { phrases, end, forced, tokens, times }: Answer,
  caveats: readonly string[],
  { picture, overlay, mask }: Awaited<ReturnType<typeof writeObjects>>,
  adapter: string,
  { out }: Terminal,
): void {
  const paint = painter(out)
  const perToken = times.write / Math.max(1, tokens.length)
  const lines = [
    '',
    ...(overlay === null ? [] : preview(picture, out)),
    ...(END_NOTES[end] === undefined ? [] : [paint('yellow', `  ${END_NOTES[end]}`)]),
    ...(forced
      ? [paint('dim', '  The answer had no <SEG>, and was given one, so that there are masks.')]
      : []),
    ...phrases.map(
      ({ text, score, found }) =>
        `  ${found ? score.toFixed(3) : paint('yellow', 'not found')}  ${printable(text, Infinity)}`,
    ),
    ...caveats,
    `  time     look ${ms(times.look)}, ${tokens.length} tokens ${ms(times.write)} (${ms(perToken)} each), masks ${ms(times.segment)}   ${paint('dim', adapter)}`,
    ...(overlay === null ? [] : [`  picture  ${printable(overlay, Infinity)}`]),
    ...(mask === null ? [] : [`  mask     ${printable(mask, Infinity)}`]),
  ]
  out.write(`${lines.join('\n')}\n`)
}

/** The object that `--json` prints. */
function accountOf(
  image: string,
  question: string | null,
  { text, phrases, end, forced, tokens, times }: Answer,
  { overlay, mask }: Awaited<ReturnType<typeof writeObjects>>,
): object {
  return {
    image,
    ...(question === null ? {} : { question }),
    text,
    phrases: phrases.map(accountOfPhrase),
    end,
    forced,
    tokens: tokens.length,
    times,
    overlay,
    mask,
  }
}

function accountOfPhrase({ text, span, found, score, query, mask }: GroundedPhrase): object {
  return { text, span: span ?? null, found, score, query, area: mask.area, box: boxOf(mask) }
}
