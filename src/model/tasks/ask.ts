// Questions that are answered in words: the language model writes, and what its words point out gets a mask.
//
// An answer may have phrases, <p>…</p>, and one <SEG>: then each phrase has a mask, as if the answer had been part of
// the prompt. C and S are taken from the states of the tokens as they were written (spec of the tasks, section 6).
//
// An answer is one turn of the model: its keys and values are in the scene's cache until it is complete.

import { expectDefined } from '../../check.ts'
import {
  COUNT,
  expectOptions,
  FLAG,
  FUNCTION,
  type OptionKind,
  type OptionKinds,
  SECONDS,
} from '../../options.ts'
import type { TaskOptions } from '../../progress.ts'
import { callScene } from '../calls.ts'
import type { TaskName } from '../checkpoint/task-config.ts'
import { clean, frameQuestion, type PromptQuestion, type Span } from '../input/prompt.ts'
import { cleanQuestion, EXPLAIN_TEMPLATES, GROUNDED_TEMPLATES } from '../input/questions.ts'
import type { LoadedModel } from '../load.ts'
import type { SceneState } from '../look.ts'
import { type Match, presenceOf, rank } from '../matching.ts'
import {
  type FlowLayer,
  flowLayers,
  type MaskOptions,
  type MaskOutput,
  type RefinedMask,
} from '../segmentation.ts'
import {
  type AnswerPart,
  type AnswerPhrase,
  AnswerReader,
  type AnswerText,
  type Marks,
  marksOf,
} from '../words/answer.ts'
import { captionOf } from '../words/caption.ts'
import {
  type AnswerEnd,
  answerLength,
  type Generated,
  generate,
  MOST_ANSWER_TOKENS,
  type OngoingAnswer,
} from '../words/generate.ts'
import { Repetition } from '../words/repetition.ts'
import type { SamplingOptions } from '../words/sample.ts'
import { type Decoded, decodeLanguage, languageOfStates } from './decode.ts'
import { expectTask } from './expect-task.ts'
import { finish, MASK_KINDS } from './finish.ts'

/** Options of {@link Scene.ask}, {@link Scene.describe} and {@link Scene.explain}. */
export interface AskOptions<O extends MaskOutput = 'host'> extends MaskOptions<O>, SamplingOptions {
  /**
   * Called with each new piece of the answer's text, in whole characters and without markers; and with the number of
   * the phrase that it belongs to, if it does. All pieces together are the answer's `text`.
   */
  readonly onText?: ((text: string, phrase?: number) => void) | undefined
  /**
   * Most tokens of the answer, up to 65,536. By default 512 (2,048 for models of X-SAM's main branch), or fewer where
   * the model has no room for them.
   */
  readonly maxTokens?: number | undefined
  /**
   * true: go on to `maxTokens` where the model only repeats itself. By default the answer ends when its last 64 tokens
   * are white space, or the same 1 to 16 tokens over and over, as small models write for ever; X-SAM goes on.
   */
  readonly allowRepeats?: boolean | undefined
  /** The semantic flow, as in {@link SegmentOptions}: report every layer of it (true), or decode without it (false). */
  readonly flow?: boolean | undefined
}

/** A phrase that has a mask. */
export interface GroundedPhrase<O extends MaskOutput = 'host'> extends Match, RefinedMask<O> {
  /** Its words. */
  readonly text: string
  /** [begin, end) in the answer's text, as `slice` takes it; absent if it is the question's. */
  readonly span?: readonly [begin: number, end: number]
  /**
   * Softmax of this phrase against the background alone, in [0, 1], as if nothing else had been named: two phrases may
   * mean the same object. The query is X-SAM's, the best one by the softmax over all phrases and the background.
   */
  readonly score: number
  /**
   * True if its score reaches the config's `presence.threshold`. If it is false, the mask is still that of the best
   * candidate.
   */
  readonly found: boolean
}

/** The rows of C that stand for a phrase. */
export interface PhraseRows {
  /** Index of the phrase in the answer's `phrases`. */
  readonly phrase: number
  /** [begin, end) among the rows of C. */
  readonly rows: readonly [begin: number, end: number]
}

/** The flow of an answer in words. */
export interface AnswerFlow {
  /** The predictions of each decoder layer. */
  readonly layers: readonly FlowLayer[]
  /** The phrases in the order in which they were written. */
  readonly phrases: readonly PhraseRows[]
}

/** An answer in words, and the masks of its phrases. */
export interface Answer<O extends MaskOutput = 'host'> {
  /** The question as the model read it, from the header of the user's turn to that of the answer. */
  readonly prompt: string
  /** The words, without markers and without the sentence that only hands out the mask. */
  readonly text: string
  /**
   * The text in parts. A part's `phrase` is its index in `phrases`, if the phrase is the answer's own and masks were
   * asked for.
   */
  readonly parts: readonly AnswerPart[]
  /** The phrases with their masks: the answer's own, or else the question's. Empty if the answer only speaks. */
  readonly phrases: readonly GroundedPhrase<O>[]
  /** The description without markers, as X-SAM's evaluation takes it from the answer. */
  readonly caption: string
  /** Words of the question that the checkpoint doesn't know; none where its config has no `knows.words`. */
  readonly unknownWords: readonly string[]
  /** All token ids that were written. */
  readonly tokens: readonly number[]
  /**
   * 'stop' if the model ended its answer, 'length' if it was cut off at `maxTokens`, 'repeat' if it was ended because
   * the model only repeated itself.
   */
  readonly end: AnswerEnd
  /** True if the answer lacked a <SEG> that it should have had: it was added, so that there are masks. */
  readonly forced: boolean
  /** The part of SAM's square that holds the image, [height, width] in its pixels. */
  readonly canvas: readonly [number, number]
  /** The flow through the decoder's layers, if it was asked for and there are masks, and the rows of each phrase. */
  readonly flow?: AnswerFlow
  /** Milliseconds of each step; `look` is that of the scene, paid once. */
  readonly times: {
    /** Both encoders, the pixel decoder, and the language model over the image. */
    readonly look: number
    /** All tokens, and the head's loading the first time. */
    readonly write: number
    /** The decoder, and all masks. */
    readonly segment: number
  }
}

const SHARE: OptionKind = {
  is: (value) => typeof value === 'number' && value > 0 && value <= 1,
  what: 'a number above 0, at most 1',
}
const SEED: OptionKind = { is: (value) => Number.isSafeInteger(value), what: 'a whole number' }
const LIMIT: OptionKind = {
  is: (value) =>
    Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= MOST_ANSWER_TOKENS,
  what: `a whole number from 1 to ${MOST_ANSWER_TOKENS}`,
}

const ASK_KINDS: OptionKinds<AskOptions<MaskOutput>> = {
  ...MASK_KINDS,
  onText: FUNCTION,
  maxTokens: LIMIT,
  allowRepeats: FLAG,
  flow: FLAG,
  temperature: SECONDS,
  topP: SHARE,
  topK: COUNT,
  seed: SEED,
}

/** See Scene.ask. */
export async function ask<O extends MaskOutput = 'host'>(
  model: LoadedModel,
  scene: SceneState,
  question: string,
  options: AskOptions<O>,
): Promise<Answer<O>> {
  expectOptions('ask', options, ASK_KINDS)
  const { config } = model.parts
  expectTask(config, 'chat')
  const framed = frameQuestion(model.tokenizer, config, cleanQuestion(question))
  return answer(model, scene, framed, { ...options, task: 'chat', words: question })
}

/** See Scene.describe. */
export async function describe<O extends MaskOutput = 'host'>(
  model: LoadedModel,
  scene: SceneState,
  options: AskOptions<O>,
): Promise<Answer<O>> {
  expectOptions('describe', options, ASK_KINDS)
  const { config } = model.parts
  expectTask(config, 'grounded')
  const framed = frameQuestion(model.tokenizer, config, GROUNDED_TEMPLATES[1])
  return answer(model, scene, framed, { ...options, task: 'grounded', words: '' })
}

/** See Scene.explain. */
export async function explain<O extends MaskOutput = 'host'>(
  model: LoadedModel,
  scene: SceneState,
  sentence: string,
  options: AskOptions<O>,
): Promise<Answer<O>> {
  expectOptions('explain', options, ASK_KINDS)
  const { config } = model.parts
  for (const task of ['reasoning', 'chat'] as const) expectTask(config, task)
  const phrase = clean(sentence, 'reasoning', config.prompt.maxTokens)
  const question = EXPLAIN_TEMPLATES[0].replace('{phrase}', () => `<p>${phrase}</p>`)
  const framed = frameQuestion(model.tokenizer, config, question)
  return answer(model, scene, framed, { ...options, task: 'reasoning', words: sentence })
}

// ---------------------------------------------------------------------------------------------------------

/** The tokens that end an answer, where a tokenizer has them. */
const ENDS = {
  qwen3: ['<|im_end|>', '<|endoftext|>'],
  'qwen3-no-think': ['<|im_end|>', '<|endoftext|>'],
  phi3: ['<|end|>', '<|endoftext|>'],
} as const

interface AnswerOptions<O extends MaskOutput> extends AskOptions<O> {
  readonly task: TaskName
  /** The caller's question, in the caller's words. */
  readonly words: string
}

async function answer<O extends MaskOutput>(
  model: LoadedModel,
  scene: SceneState,
  question: PromptQuestion,
  options: AnswerOptions<O>,
): Promise<Answer<O>> {
  const { onProgress, signal, onText, task: name, flow, output } = options
  const task: TaskOptions = { onProgress, signal }
  signal?.throwIfAborted()
  const { tokenizer, embeddings, parts } = model
  const { config } = parts
  const marks = marksOf(tokenizer, ENDS[config.prompt.chat])
  const maxTokens = answerLength(model, question.after.length, options.maxTokens)

  return callScene(model, scene, task, async () => {
    const started = performance.now()
    const reader = new AnswerReader(tokenizer, marks)
    const repetition = new Repetition((id) => tokenizer.decode([id]).trim() === '')
    const tell = teller(onText)
    const text = await embeddings.rows(question.after, question.after.length, signal)
    const writer = await generate(model, scene, text, {
      ...options,
      maxTokens,
      stops: marks.stops,
      repeats: options.allowRepeats ? undefined : (id) => repetition.push(id),
      onToken: (id) => {
        reader.push(id)
        tell(() => reader.textSoFar())
      },
    })
    const whole = reader.whole()
    tell(() => whole)

    const { generated } = writer
    const { phrases, seg, forced } = await target(model, question, writer, reader, marks, name)
    const written = performance.now()
    const common = {
      prompt: question.text,
      ...whole,
      caption: captionOf(tokenizer, generated.ids, config.compat),
      unknownWords: model.words.unknownIn(options.words),
      tokens: generated.ids,
      end: generated.end,
      forced,
      canvas: scene.size.scaled,
    }
    const times = { look: scene.lookMs, write: written - started, segment: 0 }
    if (seg === undefined) return { ...common, phrases: [], times }

    // Each phrase has the query that fits it best
    const spans = phrases.map((phrase) => phrase.rows)
    const language = await languageOfStates(model, generated.states, spans, seg, task)
    const decoded = await decodeLanguage(model, scene, language, { task: name, flow, every: flow }, task)
    const grounded: GroundedPhrase<O>[] = []
    for (const [k, { text: words, place }] of phrases.entries()) {
      const [best] = rank(decoded.logits, decoded.baseline, { phrases: phrases.length, phrase: k })
      const { query } = expectDefined(best, 'a query')
      const score = presenceOf(decoded.logits, { phrases: phrases.length, phrase: k, query })
      const refined = await finish(model, scene, decoded, query, { ...task, output })
      grounded.push({
        text: words,
        ...(place && { span: place }),
        found: score >= config.presence.threshold,
        query,
        score,
        ...refined,
      })
    }
    return {
      ...common,
      phrases: grounded,
      ...(flow ? { flow: flowOf(model, decoded) } : {}),
      times: { ...times, segment: performance.now() - written },
    }
  })
}

/** The flow through the layers, and the rows of C of each phrase. */
function flowOf({ parts }: LoadedModel, { read, language, baseline, phrases }: Decoded): AnswerFlow {
  const { decoderLayers, hidden } = parts.config.head
  return {
    layers: flowLayers(read, decoderLayers + 1, language.length * hidden, baseline, phrases),
    phrases: language.spans.map((rows, phrase): PhraseRows => ({ phrase, rows })),
  }
}

/** Tells of what is new in a text that grows. */
function teller(onText: AskOptions['onText']): (text: () => AnswerText) => void {
  let emitted = 0
  return (text) => {
    if (!onText) return
    let at = 0
    for (const { text: piece, phrase } of text().parts) {
      const fresh = piece.slice(Math.max(0, emitted - at))
      at += piece.length
      if (fresh === '') continue
      emitted = at
      if (phrase === undefined) onText(fresh)
      else onText(fresh, phrase)
    }
  }
}

interface Target {
  /** The phrases that get masks, with their rows among the states and their place in the answer's text. */
  readonly phrases: readonly {
    readonly text: string
    readonly rows: Span
    readonly place?: readonly [begin: number, end: number]
  }[]
  /** The row of <SEG>; undefined if the answer only speaks. */
  readonly seg: number | undefined
  readonly forced: boolean
}

const NOTHING: Target = { phrases: [], seg: undefined, forced: false }

/**
 * The phrases and the <SEG> of an answer. Its own phrases come before the question's; of several <SEG> the last counts;
 * and an answer with phrases, or an explanation, that has none gets one.
 */
async function target(
  { tokenizer, parts }: LoadedModel,
  question: PromptQuestion,
  { generated, force }: OngoingAnswer,
  reader: AnswerReader,
  marks: Marks,
  task: TaskName,
): Promise<Target> {
  const { ids, states } = generated
  const T = question.after.length
  const own = ownPhrases(reader, generated, T)
  const asked = question.spans.map((rows) => ({
    text: tokenizer.decode(question.after.slice(rows[0] + 1, rows[1] - 1)).trim(),
    rows,
  }))
  const phrases = own.length > 0 ? own : asked
  if (phrases.length === 0) return NOTHING

  const at = ids.slice(0, states.length - T).lastIndexOf(marks.seg)
  if (at >= 0) return { phrases, seg: T + at, forced: false }
  // The last token was not read: unless it ended the answer, it belongs before what is added
  const last = generated.end === 'stop' ? [] : ids.slice(-1)
  const space = parts.config.prompt.chat === 'phi3' ? '' : ' ' // Phi-3's tokenizer puts one there itself
  const words = task === 'reasoning' ? 'It is <SEG>' : '<SEG>'
  await force(last.includes(marks.seg) ? last : [...last, ...tokenizer.encode(space + words)])
  return { phrases, seg: states.length - 1, forced: true }
}

/** The phrases of an answer that were read to their end. */
function ownPhrases(reader: AnswerReader, { states }: Generated, T: number): Target['phrases'] {
  const { phrases } = reader.whole()
  return reader.spans.flatMap(([begin, end], k) => {
    const phrase: AnswerPhrase = expectDefined(phrases[k], 'the text of a phrase')
    if (T + end > states.length) return []
    return [
      { text: phrase.text, rows: [T + begin, T + end] as const, place: [phrase.begin, phrase.end] as const },
    ]
  })
}
