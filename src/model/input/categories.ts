// Lists of categories become a question: which names, in which order, and in which words (spec of the tasks, 2.1, 2.2).
//
//   list      { things: ['person', 'bird'], stuff: ['sky-other-merged'] }, or X-SAM's 'ins: person, bird; sem: sky'
//   names     as the model was trained to read them: 'sky'
//   question  ... the following categories: <p>person</p>, <p>bird</p>, <p>sky</p>? ...
//
// Each name is a column of the class logits, so whatever would shift, merge or drop a column is refused.

import { describe, expectNames, isObject } from '../../check.ts'
import { PromptError, UsageError } from '../../errors.ts'
import type { Tokenizer } from '../../io/text/tokenizer.ts'
import { quoted } from '../../printable.ts'
import {
  answered,
  expectPlace,
  frameQuestion,
  MARKER,
  MAX_TOKEN_CHARACTERS,
  type Prompt,
  type PromptSettings,
} from './prompt.ts'

/** Categories to tell apart in an image. A name is in one of the lists, once. */
export interface CategoryList {
  /** Names of countable things, such as 'person': each instance is an object of its own. */
  readonly things?: readonly string[] | undefined
  /** Names of uncountable stuff, such as 'sky': all of it is one segment. */
  readonly stuff?: readonly string[] | undefined
}

/** The kind of a category: a 'thing', whose instances are told apart, or 'stuff', which is one segment. */
export type CategoryKind = 'thing' | 'stuff'

/** A category that was asked for. */
export interface Category {
  /** The category's name as it was given. */
  readonly name: string
  /** The list it was in. */
  readonly kind: CategoryKind
  /** The category's words as the model reads them. */
  readonly prompt: string
}

/** Questions for a list, `{categories}`: X-SAM's words, of which its code picks one at random. */
export const CATEGORY_TEMPLATES = [
  'Can you segment the image based on the following categories: {categories}? Please output the segmentation masks.',
  'Can you generate segmentation masks for this image based on the specified categories: {categories}? Please generate the segmentation masks.',
  'Can you provide segmentation masks for this image based on these categories: {categories}? Please provide the segmentation masks.',
  'Could you create segmentation masks for this image according to the specified categories: {categories}? Please create the segmentation masks.',
  'Could you output segmentation masks for this image that highlight the following categories: {categories}? Please output the segmentation masks.',
  'Could you provide segmentation masks for this image according to the specified categories: {categories}? Please respond with the segmentation masks.',
] as const
/** Answers to them. */
export const CATEGORY_ANSWERS = [
  '<SEG>.',
  'It is <SEG>.',
  'Sure, <SEG>.',
  'Sure, it is <SEG>.',
  'Sure, the segmentation result is <SEG>.',
] as const

/** The wording around a list of categories. */
export interface CategoryWording {
  /** The question, with {categories} where the list goes; by default the first of X-SAM's. */
  readonly template?: string | undefined
  /** The answer that the model reads, with <SEG> in it; by default 'It is <SEG>.'. */
  readonly answer?: string | undefined
}

/**
 * Things first, then stuff, each in the caller's order.
 *
 * @throws UsageError for what is no list, PromptError naming a name that can't be asked for
 */
export function readCategories(list: CategoryList | string): Category[] {
  if (!isObject(list) && typeof list !== 'string') {
    throw new UsageError(
      `segmentCategories: the list is ${describe(list)}, expected { things: ['person'], stuff: ['sky'] } with either ` +
        "or both, or a text such as 'ins: person; sem: sky'.",
    )
  }
  if (typeof list !== 'string') expectNames('segmentCategories', list, ['things', 'stuff'])
  const { things = [], stuff = [] } = typeof list === 'string' ? parseCategoryText(list) : list
  const categories = [...readNames(things, 'thing'), ...readNames(stuff, 'stuff')]
  if (categories.length === 0) {
    throw new PromptError(
      "The list has no category. Name at least one, for example { things: ['person'], stuff: ['sky'] }.",
    )
  }
  expectDistinct(categories)
  return categories
}

function readNames(names: unknown, kind: CategoryKind): Category[] {
  const field = kind === 'thing' ? 'things' : 'stuff'
  if (!Array.isArray(names)) {
    throw new UsageError(`segmentCategories: ${field} is ${describe(names)}, expected an array of names.`)
  }
  // Array.from: a hole in an array is a name that isn't there
  return Array.from(names, (name: unknown, i): Category => {
    if (typeof name !== 'string') {
      throw new UsageError(`segmentCategories: ${field}[${i}] is ${describe(name)}, expected a name.`)
    }
    return { name, kind, prompt: promptName(name, `${field}[${i}]`) }
  })
}

/**
 * A name in the model's words: `wall-other-merged` is `wall`, `Potted-Plant` is `potted plant`, and a part of
 * something, `person:hand`, is `person hand`.
 *
 * @param where for messages
 */
function promptName(name: string, where: string): string {
  const line = name.replace(/[\p{Cc}\u2028\u2029\u200b\u2060\ufeff]+/gu, ' ').trim()
  if (line === '') throw new PromptError(`The name ${where} is empty. Leave it out, or say what it is.`)
  if (/\p{Cs}/u.test(line)) {
    throw new PromptError(`The name ${quoted(line)} holds half of a character. Type it again.`)
  }
  const cleaned = line
    .replaceAll('-merged', '')
    .replaceAll('-other', '')
    .replaceAll('-stuff', '')
    .replaceAll('-', ' ')
    .replace(/^([^:]*[^:\s])\s*:\s*([^:]+)$/, '$1 $2')
  const prompt = cleaned.toLowerCase().trim()
  const marker = [line, cleaned, prompt].map((text) => MARKER.exec(text)?.[0]).find(Boolean)
  if (marker) {
    throw new PromptError(
      `The name ${quoted(name)} holds ${quoted(marker)}, which has a meaning of its own to the model. Leave it out.`,
    )
  }
  if (prompt === '') {
    throw new PromptError(
      `Nothing is left of the name ${quoted(name)}: '-merged', '-other' and '-stuff' are not read to the model. ` +
        'Say what it is.',
    )
  }
  return prompt
}

/** Two columns for one name would share its probability. */
function expectDistinct(categories: readonly Category[]): void {
  const seen = new Map<string, Category>()
  for (const category of categories) {
    const before = seen.get(category.prompt)
    if (before) {
      const lists = before.kind === category.kind ? '' : ', one among the things and one among the stuff'
      const names =
        before.name === category.name ? 'twice' : `as ${quoted(before.name)} and as ${quoted(category.name)}`
      throw new PromptError(
        `The list has ${quoted(category.prompt)} ${names}${lists}. Name each category once: two of them would share ` +
          'its probability.',
      )
    }
    seen.set(category.prompt, category)
  }
}

/**
 * X-SAM's way to type a list: 'ins: person, bird; sem: sky, grass'. Oddities included: `ins:` is found inside of words
 * too, its case matters, and the white space behind it runs over line breaks.
 *
 * @throws PromptError if there is neither an `ins:` nor a `sem:` with names behind it
 */
export function parseCategoryText(text: string): { things: string[]; stuff: string[] } {
  const namesAfter = (found: RegExpExecArray | null): string[] =>
    (found?.[1] ?? '')
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== '')
  const things = namesAfter(/ins:\s*([^;\n]+)/.exec(text))
  const stuff = namesAfter(/sem:\s*([^;\n]+)/.exec(text))
  if (things.length + stuff.length === 0) {
    throw new PromptError(
      `The list ${quoted(text)} names no category. Write at least one of 'ins:' and 'sem:' with names behind it, ` +
        "for example 'ins: person, bird; sem: sky'.",
    )
  }
  return { things, stuff }
}

/** The same categories in an order that depends on the seed alone: a model reads later names after earlier ones. */
export function shuffled<T>(list: readonly T[], seed: number): T[] {
  const result = [...list]
  let state = seed >>> 0
  for (let i = result.length - 1; i > 0; i--) {
    // mulberry32
    state = (state + 0x6d2b79f5) >>> 0
    let h = Math.imul(state ^ (state >>> 15), state | 1)
    h ^= h + Math.imul(h ^ (h >>> 7), h | 61)
    const j = Math.floor((((h ^ (h >>> 14)) >>> 0) / 2 ** 32) * (i + 1))
    const [a, b] = [result[i] as T, result[j] as T]
    result[i] = b
    result[j] = a
  }
  return result
}

/**
 * The prompt for a list, in the order given.
 *
 * @param room tokens after the image that the model has positions for
 * @throws PromptError saying how many of the names fit, if not all do
 */
export function categoriesPrompt(
  tokenizer: Tokenizer,
  config: PromptSettings,
  categories: readonly Category[],
  room: number,
  { template = CATEGORY_TEMPLATES[0], answer = CATEGORY_ANSWERS[1] }: CategoryWording = {},
): Prompt {
  expectPlace('template', template, '{categories}')
  expectPlace('answer', answer, '<SEG>')
  for (const { name, prompt } of categories) {
    if (prompt.length <= room * MAX_TOKEN_CHARACTERS) continue
    throw new PromptError(
      `The name ${quoted(name, 60)} has ${name.length} characters; this model reads ${room} tokens after an image. ` +
        'Shorten it.',
    )
  }
  const promptOf = (count: number): Prompt => {
    const list = categories.slice(0, count).map(({ prompt }) => `<p>${prompt}</p>`)
    const question = template.replace('{categories}', () => list.join(', '))
    return answered(tokenizer, frameQuestion(tokenizer, config, question), answer)
  }
  // Longer and longer lists: no list is encoded that is more than twice as long as one that fits
  let fits = 0
  for (let count = 1; ; count = Math.min(2 * count, categories.length)) {
    const prompt = promptOf(count)
    if (prompt.after.length > room) return refuse(fits, count)
    fits = count
    if (count === categories.length) return prompt
  }

  function refuse(least: number, most: number): never {
    let [low, high] = [least, most]
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if (promptOf(middle).after.length > room) high = middle
      else low = middle
    }
    const n = categories.length
    const says = n === 1 ? 'The category makes a prompt that is' : `The ${n} categories make a prompt that is`
    const first = categories.slice(0, 1).map(({ name }) => quoted(name, 60))
    throw new PromptError(
      low === 0
        ? `${says} too long: not even ${first.join()} fits into the ${room} tokens that this model reads after an image. ` +
            'Shorten it.'
        : `${says} too long for the ${room} tokens that this model reads after an image: ${low} of the names fit. ` +
            'Ask for the others in another call on the same scene.',
    )
  }
}
