// A sentence becomes the ids that the language model reads, and where in them C and S are found (spec, section 5).
//
//   before   [header of the user's turn]
//            [rows of the image]
//   after    [line feed] question with <p> phrase </p> [end of turn, header of the answer] answer up to <SEG>
//
// The pieces are encoded apart and joined: what stands before the image never changes, so its keys and values
// serve every sentence. Nothing after <SEG> matters, as attention is causal; the sequence stops there.

import { PromptError } from '../errors.ts'
import type { Tokenizer } from '../io/tokenizer.ts'
import type { Config, PromptConfig } from './config.ts'

export interface PromptOptions {
  /** Referring sentences ("the red mug") are lower-cased, as in training; reasoning keeps its case. Referring by default. */
  readonly task?: 'referring' | 'reasoning' | undefined
  /** The question, with {phrase} where the sentence goes; by default the model's own. */
  readonly template?: string | undefined
  /** The answer that the model reads, with <SEG> in it; by default the model's own. */
  readonly answer?: string | undefined
}

export interface Prompt {
  /** Ids before the rows of the image. */
  readonly before: number[]
  /** Ids after them, <SEG> the last. */
  readonly after: number[]
  /** <p> to </p>, both included: [begin, end) in `after`. */
  readonly span: readonly [begin: number, end: number]
  /** Index of <SEG> in `after`. */
  readonly seg: number
  /** All of it, to show; <image> stands for the rows of the image. */
  readonly text: string
}

/** What buildPrompt reads of a model's config. */
export interface PromptSettings {
  readonly compat: Config['compat']
  /** `bos`: whether Phi-3's prompts begin with <s>; they do in X-SAM's training and evaluation, not in its demo. */
  readonly prompt: Omit<PromptConfig, 'vision'> & { readonly bos?: boolean }
}

// X-SAM's words. Its code picks one at random; the defaults are the second question, the first reasoning
// form and the second answer
export const REFERRING_TEMPLATES = [
  'Please segment {phrase} in this image.',
  'Can you segment {phrase} in this image? Please generate the segmentation mask.',
  'What is {phrase} in this image? Please output the corresponding segmentation mask.',
] as const
/** For whole sentences. */
export const REASONING_TEMPLATES = [
  '{phrase} Please output the corresponding segmentation mask.',
  '{phrase} Please segment the image.',
] as const
/** For reasoning in a noun phrase. */
export const REASONING_PHRASE_TEMPLATES = [
  'Can you segment {phrase} in this image? Please output the segmentation mask.',
] as const
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

// Whatever a chat tokenizer may read as a token of its own
const MARKER = /<\|[^|\s]*\|>|<\/?(?:p|seg|image|region|s|unk|think|tool_call|tool_response)>/i
/** No token of any vocabulary is longer. What is much too long is refused without being encoded. */
const MAX_TOKEN_CHARACTERS = 256

/**
 * @throws PromptError if the sentence is empty, too long or holds a marker, or a template lacks its place for it
 */
export function buildPrompt(
  tokenizer: Tokenizer,
  sentence: string,
  config: PromptSettings,
  options: PromptOptions = {},
): Prompt {
  const { chat, bos = true, maxTokens } = config.prompt
  const task = options.task ?? 'referring'
  const template = options.template ?? defaultTemplate(task, config.prompt.template)
  const answer = options.answer ?? config.prompt.answer
  expectPlace('template', template, '{phrase}')
  expectPlace('answer', answer, '<SEG>')

  // 1. The words
  const phrase = `<p>${clean(sentence, task, maxTokens)}</p>`
  const frame = FRAMES[chat]
  const question = (config.compat === 'aaai' ? '\n' : '') + template.replace('{phrase}', () => phrase)
  const reply = answer.slice(0, answer.indexOf('<SEG>') + '<SEG>'.length)

  // 2. Their ids, piece by piece
  const start = chat === 'phi3' && bos ? '<s>' : ''
  const before = tokenizer.encode(frame.before)
  if (start) before.unshift(tokenizer.idOf(start))
  const after = [...tokenizer.encode(question + frame.after), ...tokenizer.encode(reply)]
  const tokens = before.length + after.length
  if (tokens > maxTokens) {
    throw new PromptError(
      `The sentence makes a prompt of ${tokens} tokens; this model takes ${maxTokens}. Say it in fewer words.`,
    )
  }

  // 3. Where C and S are
  const begin = after.indexOf(tokenizer.idOf('<p>'))
  const end = after.indexOf(tokenizer.idOf('</p>')) + 1
  const seg = after.length - 1
  const text = `${start}${frame.before}<image>${question}${frame.after}${reply}`
  return { before, after, span: [begin, end], seg, text }
}

/** A model that was trained on a question of its own knows no other; X-SAM's know one for each task. */
function defaultTemplate(task: 'referring' | 'reasoning', own: string): string {
  const isXsam = REFERRING_TEMPLATES.some((template) => template === own)
  return task === 'reasoning' && isXsam ? REASONING_TEMPLATES[0] : own
}

/** The sentence on one line, in the case that the model was trained with. */
function clean(sentence: string, task: 'referring' | 'reasoning', maxTokens: number): string {
  if (typeof sentence !== 'string')
    throw new PromptError(`The sentence must be a string, not ${typeof sentence}.`)
  // White space of every kind, control characters, and the invisible ones that copying brings along
  const line = sentence.replace(/[\s\p{Cc}\u200b\u2060]+/gu, ' ').trim()
  if (line === '') {
    throw new PromptError(
      'The sentence is empty. Say what to find, for example "the red mug left of the laptop".',
    )
  }
  if (line.length > maxTokens * MAX_TOKEN_CHARACTERS) {
    throw new PromptError(
      `The sentence has ${line.length} characters; this model takes prompts of ${maxTokens} tokens. Shorten it.`,
    )
  }
  const lower = line.toLowerCase()
  const marker = (MARKER.exec(line) ?? MARKER.exec(lower))?.[0] // lower case makes a k of the Kelvin sign
  if (marker) {
    throw new PromptError(
      `The sentence holds "${marker}", which has a meaning of its own to the model. Leave it out.`,
    )
  }
  return task === 'referring' ? lower : line
}

function expectPlace(what: 'template' | 'answer', text: string, place: string): void {
  const parts = text.split(place)
  if (parts.length !== 2) {
    throw new PromptError(`The ${what} ${JSON.stringify(text)} must have ${place} in it, once.`)
  }
  const marker = parts.map((part) => MARKER.exec(part)?.[0]).find(Boolean)
  if (marker) throw new PromptError(`The ${what} ${JSON.stringify(text)} holds "${marker}". Leave it out.`)
}
