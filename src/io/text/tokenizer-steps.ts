// The steps of a tokenizer.json, vetted before they see a text: normalizers, pre-tokenizers and decoders of strangers.
//
// The library runs every step of the file. So we take the kinds of steps that we know, so many of them, with regular
// expressions whose time can be told from their text (pattern.ts) and replacements that can't blow a text up; and the
// steps that prepare a text are then run one by one, with a look at its length after each.

import { Tokenizer as Library } from '@huggingface/tokenizers'
import { isObject } from '../../check.ts'
import { PromptError, WeightsError } from '../../errors.ts'
import { printable, quoted, reasonOf } from '../../printable.ts'
import { stepsOf, UnsafePattern } from './pattern.ts'

/** UTF-16 code units of a text, as it is given and after each step. No prompt has so many. */
export const MAX_TEXT = 8192
/** Bytes take up to three characters for one. */
const MAX_PIECES = 3 * MAX_TEXT
/** Some seconds at the most, for a text of that length. */
const MAX_STEPS = 2e9
/** Real tokenizers have up to ten. */
const MAX_ENTRIES = 32
/** All steps of a kind together make a text at most so many times as long. */
const MAX_GROWTH = 256
/** Characters of what is put in, or looked for. */
const MAX_CONTENT = 64

type Entry = Readonly<Record<string, unknown>>
type TokenizerStage = 'normalizer' | 'pre_tokenizer' | 'decoder'

/** The factor by which a step may lengthen a text: a number, or a function of its entry. */
type Growth = number | ((entry: Entry) => number)

const text = (entry: Entry, key: string): number => (typeof entry[key] === 'string' ? entry[key].length : 0)
const replacing: Growth = (entry) => 1 + text(entry, 'content')

/** The kinds that the library knows, too. NFKD makes 18 letters of one, NFD 4, a lower case 3. */
const KINDS: Readonly<Record<TokenizerStage, Readonly<Record<string, Growth>>>> = {
  normalizer: {
    NFC: 3,
    NFD: 4,
    NFKC: 18,
    NFKD: 18,
    Lowercase: 3,
    Strip: 1,
    StripAccents: 1,
    Precompiled: 18,
    BertNormalizer: 36,
    Prepend: (entry) => 1 + text(entry, 'prepend'),
    Replace: replacing,
  },
  pre_tokenizer: {
    BertPreTokenizer: 1,
    Whitespace: 1,
    WhitespaceSplit: 1,
    Metaspace: (entry) => 2 + text(entry, 'replacement') + text(entry, 'str_rep'),
    ByteLevel: 4,
    Split: 1,
    Punctuation: 1,
    Digits: 1,
    FixedLength: 1,
    Replace: replacing,
  },
  decoder: {
    ByteLevel: 1,
    WordPiece: 2,
    Metaspace: 1,
    BPEDecoder: 2,
    CTC: 2,
    Fuse: 1,
    Strip: 1,
    ByteFallback: 1,
    Replace: replacing,
  },
}

const CHILDREN: Readonly<Record<TokenizerStage, string>> = {
  normalizer: 'normalizers',
  pre_tokenizer: 'pretokenizers',
  decoder: 'decoders',
}
/** The fields that the library reads of a step, and doesn't check. */
const FIELDS: Readonly<Record<string, 'string' | 'boolean' | 'number'>> = {
  prepend: 'string',
  content: 'string',
  replacement: 'string',
  str_rep: 'string',
  prepend_scheme: 'string',
  behavior: 'string',
  suffix: 'string',
  prefix: 'string',
  pad_token: 'string',
  word_delimiter_token: 'string',
  invert: 'boolean',
  add_prefix_space: 'boolean',
  use_regex: 'boolean',
  trim_offsets: 'boolean',
  individual_digits: 'boolean',
  cleanup: 'boolean',
  clean_text: 'boolean',
  handle_chinese_chars: 'boolean',
  lowercase: 'boolean',
  strip_accents: 'boolean',
  strip_left: 'boolean',
  strip_right: 'boolean',
  start: 'number',
  stop: 'number',
  length: 'number',
}

/**
 * The steps of all stages, as the library takes them.
 *
 * @throws WeightsError that names the first entry which isn't known to be safe
 */
export function vettedSteps(json: Entry): Record<TokenizerStage, Entry | null> {
  const stages: Record<TokenizerStage, Entry | null> = {
    normalizer: vetted(json, 'normalizer'),
    pre_tokenizer: vetted(json, 'pre_tokenizer'),
    decoder: vetted(json, 'decoder'),
  }
  return stages
}

function vetted(json: Entry, stage: TokenizerStage): Entry | null {
  const first = json[stage] ?? null
  if (first === null) return null
  let growth = 1
  let count = 0
  const walk = (entry: unknown, place: string): void => {
    if (++count > MAX_ENTRIES) refuse(stage, `has more than ${MAX_ENTRIES} steps`)
    if (!isObject(entry)) refuse(place, 'is not an object')
    const { type } = entry
    if (type === 'Sequence') {
      const children = entry[CHILDREN[stage]]
      if (!Array.isArray(children)) refuse(place, `is a Sequence without a list of ${CHILDREN[stage]}`)
      for (const [i, child] of children.entries()) walk(child, `${place}.${CHILDREN[stage]}[${i}]`)
      return
    }
    const kinds = KINDS[stage]
    const own = typeof type === 'string' && Object.hasOwn(kinds, type) ? kinds[type] : undefined
    if (typeof type !== 'string' || own === undefined) {
      refuse(
        place,
        `is of type ${typeof type === 'string' ? quoted(type, 80) : 'unknown'}, which isn't known here`,
      )
    }
    expectSane(entry, type, place, stage)
    growth *= typeof own === 'number' ? own : own(entry)
    if (growth > MAX_GROWTH) {
      refuse(place, `and the steps before it could make a text more than ${MAX_GROWTH} times as long`)
    }
  }
  walk(first, stage)
  return first as Entry
}

/** Checks the fields of a step that the library uses without a check. */
function expectSane(entry: Entry, type: string, place: string, stage: TokenizerStage): void {
  for (const [key, kind] of Object.entries(FIELDS)) {
    const value = entry[key] ?? undefined
    if (value === undefined) continue
    const isLong = typeof value === 'string' && value.length > MAX_CONTENT
    if (typeof value !== kind || isLong) {
      refuse(
        place,
        `has a ${key} that isn't a ${kind}${kind === 'string' ? ` of at most ${MAX_CONTENT} characters` : ''}`,
      )
    }
  }
  if (type === 'Prepend' && typeof entry['prepend'] !== 'string') refuse(place, 'prepends nothing')
  if (type === 'FixedLength' && !(Number.isSafeInteger(entry['length']) && Number(entry['length']) > 0)) {
    refuse(place, 'has a length that is not a positive whole number')
  }
  if (type !== 'Replace' && type !== 'Split') return
  if (type === 'Replace') {
    const content = typeof entry['content'] === 'string' ? entry['content'] : ''
    // The library would put in what was matched, or all that stands before it
    if (/\$[$&`'\d<]/.test(content))
      refuse(place, `replaces by ${quoted(content, 80)}, where "$" has a meaning of its own`)
  }
  const pattern = isObject(entry['pattern']) ? entry['pattern'] : {}
  const { Regex: regex, String: string } = pattern
  if (typeof regex === 'string') return expectQuick(regex, entry, place, stage)
  if (typeof string !== 'string' || string === '' || string.length > MAX_CONTENT) {
    refuse(place, `has a pattern that is neither a Regex nor a String of 1 to ${MAX_CONTENT} characters`)
  }
}

/** Checks that a regular expression, as the library compiles it, ends in time on every text. */
function expectQuick(regex: string, entry: Entry, place: string, stage: TokenizerStage): void {
  const shown = quoted(regex, 120)
  try {
    if (stepsOf(compiled(regex, entry, stage).source, MAX_TEXT) <= MAX_STEPS) return
  } catch (cause) {
    if (cause instanceof UnsafePattern) refuse(place, `has the pattern ${shown}, which ${cause.message}`)
    refuse(place, `has the pattern ${shown}, which can't be used: ${reasonOf(cause)}`)
  }
  refuse(place, `has the pattern ${shown}, which could take too long on some texts`)
}

/** Published expressions are of another dialect, which the library rewrites. */
function compiled(regex: string, entry: Entry, stage: TokenizerStage): RegExp {
  if (regex.length > 4096) throw new UnsafePattern('has more than 4096 characters')
  const none = {
    normalizer: null,
    pre_tokenizer: null,
    decoder: null,
    post_processor: null,
    added_tokens: [],
  }
  const model = { type: 'BPE', vocab: {}, merges: [] }
  const library = new Library({ ...none, model, [stage]: entry }, {})
  // A function with a pattern
  const { pattern } = library[stage] as { readonly pattern?: unknown }
  if (!(pattern instanceof RegExp)) throw new UnsafePattern('is not understood')
  return pattern
}

function refuse(place: string, why: string): never {
  throw new WeightsError(
    `tokenizer.json can't be used: ${printable(place)} ${why}. Take the tokenizer of the language model as it was published.`,
  )
}

// ---------------------------------------------------------------------------------------------------------
// Running

interface Step {
  readonly normalizers?: readonly Step[]
  readonly tokenizers?: readonly Step[]
}
interface Normalizer extends Step {
  normalize(text: string): string
}
interface PreTokenizer extends Step {
  pre_tokenize(text: readonly string[], options: unknown): string[]
}

/** Makes a tokenizer look at the length of the text after each step that prepares it. */
export function watchLength(library: Library): void {
  // Read before they are replaced: these take the library's objects as they are
  if (library.normalizer) {
    const steps = flat(library.normalizer) as readonly Normalizer[]
    const run = (text: string): string =>
      steps.reduce((before, step) => {
        const after = step.normalize(before)
        expectShort(after.length, MAX_TEXT)
        return after
      }, text)
    library.normalizer = run as unknown as NonNullable<Library['normalizer']>
  }
  if (library.pre_tokenizer) {
    const steps = flat(library.pre_tokenizer) as readonly PreTokenizer[]
    const run = (text: string, options: unknown): string[] =>
      steps.reduce(
        (before, step) => {
          const after = step.pre_tokenize(before, options)
          expectShort(
            after.reduce((sum, piece) => sum + piece.length, 0),
            MAX_PIECES,
          )
          return after
        },
        [text],
      )
    library.pre_tokenizer = run as unknown as NonNullable<Library['pre_tokenizer']>
  }
}

function flat(step: unknown): readonly Step[] {
  const { normalizers, tokenizers } = step as Step
  const children = normalizers ?? tokenizers
  return children ? children.filter(Boolean).flatMap(flat) : [step as Step]
}

/** @throws PromptError */
export function expectShort(length: number, most: number = MAX_TEXT): void {
  if (length <= most) return
  throw new PromptError(
    `The text has ${length} characters, as the tokenizer sees it; it may have ${most}. Shorten it.`,
  )
}
