// A sentence becomes the ids that the language model reads, and where in them C and S are found (spec, section 5).
//
//   before   [header of the user's turn]
//            [rows of the image]
//   after    [line feed] question with <p> phrase </p> [end of turn, header of the answer] answer up to <SEG>
//
// The pieces are encoded apart and joined: what stands before the image never changes, so its keys and values
// serve every sentence. Nothing after <SEG> matters, as attention is causal; the sequence stops there.
//
// A prompt may have several phrases, and <region> where the rows of a region that the user pointed at stand.

import { PromptError } from '../../errors.ts'
import type { Tokenizer } from '../../io/text/tokenizer.ts'
import { quoted } from '../../printable.ts'
import type { Config, PromptConfig } from '../checkpoint/config.ts'
import { MOST } from '../checkpoint/config-section.ts'

/** The wording around a sentence. */
export interface PromptOptions {
  /**
   * Referring sentences ("the red mug") are lower-cased, as in training; reasoning keeps its case. Referring by
   * default.
   */
  readonly task?: 'referring' | 'reasoning' | undefined
  /** The question, with {phrase} where the sentence goes; by default the model's own. */
  readonly template?: string | undefined
  /** The answer that the model reads, with <SEG> in it; by default the model's own. */
  readonly answer?: string | undefined
}

/** <p> to </p>, both included: [begin, end) in the ids after the image. */
export type Span = readonly [begin: number, end: number]

/** The id that stands in a prompt for a row of a region. */
export const REGION = -300

/** A prompt up to where the model's answer begins, as token ids, and the places in it that matter. */
export interface PromptQuestion {
  /** Ids before the rows of the image. */
  readonly before: readonly number[]
  /** Ids after them; REGION for each row of a region. */
  readonly after: readonly number[]
  /** The phrases, in order. */
  readonly spans: readonly Span[]
  /** The index in `after` of each region's first row. */
  readonly regions: readonly number[]
  /** All of it, to show; <image> stands for the rows of the image. */
  readonly text: string
}

/** A prompt with the answer that the model reads: <SEG> is the last of the ids after the image. */
export interface Prompt extends PromptQuestion {
  /** Index of <SEG> in `after`. */
  readonly seg: number
}

/** The part of a model's config that buildPrompt reads. */
export interface PromptSettings {
  /** The branch of X-SAM whose prompts are written. */
  readonly compat: Config['compat']
  /** Rows of the prompt per region; one if undefined. */
  readonly regions?: Config['regions']
  /** `bos`: whether Phi-3's prompts begin with <s>; they do in X-SAM's training and evaluation, not in its demo. */
  readonly prompt: Omit<PromptConfig, 'vision'> & { readonly bos?: boolean }
}

// X-SAM's words. Its code picks one at random, two of the ten being the same; the default is the first reasoning form,
// and models name their own referring question and answer

/** Questions for a phrase, `{phrase}`, that names an object. */
export const REFERRING_TEMPLATES = [
  'Please identify and segment the {phrase} in this image.',
  'Please segment {phrase} in this image.',
  'What is {phrase} in this image? Please output the corresponding segmentation mask.',
  'Can you segment {phrase} in this image? Please generate the segmentation mask.',
  'Could you provide a segmentation mask for the {phrase} in this image? Please provide the segmentation mask.',
  'Where is the {phrase} in this picture? Please output the segmentation masks.',
  'Can you highlight the {phrase} in this image with a segmentation mask? Please output the segmentation mask.',
  'Could you provide a segmentation mask for the {phrase} in this image? Please respond with the segmentation mask.',
  'Where is the {phrase} in this picture? Please output the corresponding segmentation mask.',
  'Can you highlight the {phrase} in this image with a segmentation mask? Please output the segmentation mask.',
] as const
/** Questions for whole sentences. */
export const REASONING_TEMPLATES = [
  '{phrase} Please output the corresponding segmentation mask.',
  '{phrase} Please generate a segmentation mask for this image.',
  '{phrase} Please extract the segmentation mask.',
  '{phrase} Please return the segmentation predictions as masks.',
  '{phrase} Please segment the image.',
] as const
/** Questions for reasoning in a noun phrase. */
export const REASONING_PHRASE_TEMPLATES = [
  'Can you segment {phrase} in this image? Please output the segmentation mask.',
  'Can you give the segmentation mask for {phrase} in this image? Please respond with the segmentation mask.',
  'Can you highlight {phrase} and output the corresponding segmentation mask? Please provide the segmentation mask.',
  'What is {phrase} in this image? Please output the corresponding segmentation mask.',
  'What is {phrase} in this image? Please generate a segmentation mask for this image.',
] as const
/** Answers that end the prompt. `<SEG>` is the token whose state becomes S. */
export const ANSWERS = [
  '<SEG>.',
  'It is <SEG>.',
  'Sure, <SEG>.',
  'Sure, it is <SEG>.',
  'Sure, the segmentation mask is <SEG>.',
] as const

interface Frame {
  readonly before: string
  readonly after: string
}

// The system's turn is empty and left out
const QWEN3 = { before: '<|im_start|>user\n', after: '<|im_end|>\n<|im_start|>assistant\n' }
const FRAMES: Readonly<Record<PromptConfig['chat'], Frame>> = {
  qwen3: QWEN3,
  'qwen3-no-think': { ...QWEN3, after: `${QWEN3.after}<think>\n\n</think>\n\n` },
  phi3: { before: '<|user|>\n', after: '<|end|>\n<|assistant|>\n' },
}

/** Texts that a chat tokenizer may read as a token of its own. */
export const MARKER: RegExp = /<\|[^|\s]*\|>|<\/?(?:p|seg|image|region|s|unk|think|tool_call|tool_response)>/i
/** No token of any vocabulary is longer. What is much too long is refused without being encoded. */
export const MAX_TOKEN_CHARACTERS = 256

/**
 * @throws PromptError if the sentence is empty, too long or holds a marker, or a template lacks its place for it
 */
export function buildPrompt(
  tokenizer: Tokenizer,
  sentence: string,
  config: PromptSettings,
  options: PromptOptions = {},
): Prompt {
  const { maxTokens } = config.prompt
  const task = options.task ?? 'referring'
  const template = options.template ?? defaultTemplate(task, config.prompt.template)
  const answer = options.answer ?? config.prompt.answer
  expectPlace('template', template, '{phrase}')
  expectPlace('answer', answer, '<SEG>')

  const phrase = `<p>${clean(sentence, task, maxTokens)}</p>`
  const question = frameQuestion(
    tokenizer,
    config,
    template.replace('{phrase}', () => phrase),
  )
  const prompt = answered(tokenizer, question, answer)
  const tokens = tokensOf(prompt)
  if (tokens > maxTokens) {
    throw new PromptError(
      `The sentence makes a prompt of ${tokens} tokens; this model takes ${maxTokens}. Say it in fewer words.`,
    )
  }
  return prompt
}

/**
 * A question in the frame of the model's chat, up to where the answer begins.
 *
 * @param text with `<p>…</p>` around each phrase and `<region>` where the rows of a region stand; checked already
 */
export function frameQuestion(tokenizer: Tokenizer, config: PromptSettings, text: string): PromptQuestion {
  const { chat, bos = true } = config.prompt
  const frame = FRAMES[chat]
  const isAaai = config.compat === 'aaai'
  const start = chat === 'phi3' && bos ? '<s>' : ''
  const before = tokenizer.encode(frame.before)
  if (start) before.unshift(tokenizer.idOf(start))

  // Each piece between placeholders is encoded by itself: where it begins, Phi-3's tokenizer puts a word's mark
  const question = (isAaai ? '\n' : '') + text
  const after: number[] = []
  const regions: number[] = []
  for (const [i, piece] of (question + frame.after).split('<region>').entries()) {
    if (i > 0) {
      regions.push(after.length)
      for (let row = 0; row < (config.regions?.rows ?? 1); row++) after.push(REGION)
    }
    if (isAaai || piece.trim() !== '') after.push(...tokenizer.encode(piece))
  }
  return {
    before,
    after,
    spans: spansOf(after, tokenizer),
    regions,
    text: `${start}${frame.before}<image>${question}${frame.after}`,
  }
}

/** The question with an answer that the model reads as if it were its own, up to its <SEG>. */
export function answered(tokenizer: Tokenizer, question: PromptQuestion, answer: string): Prompt {
  const reply = answer.slice(0, answer.indexOf('<SEG>') + '<SEG>'.length)
  const after = [...question.after, ...tokenizer.encode(reply)]
  return { ...question, after, seg: after.length - 1, text: question.text + reply }
}

/** The k-th <p> with the k-th </p>, as far as both are there. */
export function spansOf(ids: readonly number[], tokenizer: Tokenizer): Span[] {
  const at = (marker: string): number[] => {
    const id = tokenizer.idOf(marker)
    return ids.flatMap((value, i) => (value === id ? [i] : []))
  }
  const ends = at('</p>')
  return at('<p>').flatMap((begin, k): Span[] => {
    const end = ends[k]
    return end === undefined ? [] : [[begin, end + 1]]
  })
}

/** Rows of the language model that a prompt takes, the image's not counted. */
function tokensOf({ before, after }: PromptQuestion): number {
  return before.length + after.length
}

/**
 * Tokens that a prompt may have after an image: a list may be longer than a sentence, whose limit is the config's
 * `prompt.maxTokens`. A config that doesn't say how long a sequence its language model reads would allow what no memory
 * holds: then it is the longest prompt of any config.
 *
 * @param prefix rows up to the image's last
 */
export function roomAfterImage({ llm }: Pick<Config, 'llm'>, prefix: number): number {
  return llm.maxPositions === MOST.positions ? MOST.tokens : llm.maxPositions - prefix
}

/** A model that was trained on a question of its own knows no other; X-SAM's know one for each task. */
function defaultTemplate(task: 'referring' | 'reasoning', own: string): string {
  const isXsam = REFERRING_TEMPLATES.some((template) => template === own)
  return task === 'reasoning' && isXsam ? REASONING_TEMPLATES[0] : own
}

/**
 * The sentence on one line, in the case that the model was trained with. Both generations of X-SAM trim it and leave
 * all spaces inside as they are, doubled, no-break and ideographic ones too: each is a token of its own.
 */
export function clean(sentence: string, task: 'referring' | 'reasoning', maxTokens: number): string {
  if (typeof sentence !== 'string')
    throw new PromptError(`The sentence must be a string, not ${typeof sentence}.`)
  // Line breaks, control characters, and the invisible ones that copying brings along
  const line = sentence.replace(/[\p{Cc}\u2028\u2029\u200b\u2060\ufeff]+/gu, ' ').trim()
  if (line === '') {
    throw new PromptError(
      'The sentence is empty. Say what to find, for example "the umbrella left of the clock".',
    )
  }
  expectWords('sentence', line, maxTokens)
  return task === 'referring' ? line.toLowerCase() : line
}

/**
 * Refuses a text that can't stand in a prompt.
 *
 * @param what for messages: 'sentence'
 * @throws PromptError if it is much too long, or holds half of a character or a marker
 */
export function expectWords(what: string, text: string, maxTokens: number): void {
  if (text.length > maxTokens * MAX_TOKEN_CHARACTERS) {
    throw new PromptError(
      `The ${what} has ${text.length} characters; this model takes prompts of ${maxTokens} tokens. Shorten it.`,
    )
  }
  if (/\p{Cs}/u.test(text)) {
    throw new PromptError(
      `The ${what} ${quoted(text)} holds half of a character (a surrogate without its other half). Type it again.`,
    )
  }
  // Lower case makes a k of the Kelvin sign
  const marker = (MARKER.exec(text) ?? MARKER.exec(text.toLowerCase()))?.[0]
  if (marker) {
    throw new PromptError(
      `The ${what} holds ${quoted(marker)}, which has a meaning of its own to the model. Leave it out.`,
    )
  }
}

/** @throws PromptError unless the text has the place once, and no marker beside it */
export function expectPlace(what: 'template' | 'answer', text: string, place: string): void {
  const parts = text.split(place)
  if (parts.length !== 2) {
    throw new PromptError(`The ${what} ${quoted(text)} must have ${place} in it, once.`)
  }
  const marker = parts.map((part) => MARKER.exec(part)?.[0]).find(Boolean)
  if (marker) throw new PromptError(`The ${what} ${quoted(text)} holds ${quoted(marker)}. Leave it out.`)
}
