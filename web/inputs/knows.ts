// What the loaded weights say that they know, on the page: their world in a sentence, examples to press, the words of a
// field that they don't know, and that an image is unlike those of training. Weights that say nothing of it show
// nothing.

import { type ImageWorld, KnownWords, printable } from '../../src/index.ts'
import type { Caveats, ModelFacts } from '../common/protocol.ts'
import { byId, make } from '../page/dom.ts'

/** The most examples that are offered. */
const MOST_EXAMPLES = 8
/** A word that is being typed is looked at once nobody has typed for so long. */
const PAUSE_MS = 700
/** The fields whose words are looked at, by the end of the id of the line below them. */
const FIELDS = {
  sentence: ['sentence'],
  categories: ['things', 'stuff'],
  question: ['question'],
} as const
/** X-SAM's names of the two lists. */
const LISTS = /(^|;)\s*(ins|sem)\s*:/gi
/** A word at the end, which may go on. */
const UNFINISHED = /[\p{L}\p{N}][\p{L}\p{M}\p{N}'\u2019-]*$/u

let words = new KnownWords([])
let examples: readonly string[] = []
/** Sentences of the sample that is open. */
let ofSample: readonly string[] = []
let ask: (sentence: string) => void = () => undefined
let pause: ReturnType<typeof setTimeout> | undefined

/** Listens to the fields. @param onAsk called with the sentence whose button is pressed */
export function listenToKnows(onAsk: (sentence: string) => void): void {
  ask = onAsk
  for (const id of Object.values(FIELDS).flat()) {
    const field = byId(id, HTMLInputElement)
    field.addEventListener('input', () => {
      markWords(field)
      clearTimeout(pause)
      pause = setTimeout(markWords, PAUSE_MS)
    })
    field.addEventListener('blur', () => markWords())
  }
}

/** Shows what these weights know, and nothing of those before. */
export function setKnows({ knows }: Pick<ModelFacts, 'knows'>): void {
  words = new KnownWords(knows?.words ?? [])
  examples = knows?.examples.slice(0, MOST_EXAMPLES) ?? []
  const line = byId('knows')
  line.hidden = knows?.domain === undefined
  line.replaceChildren(make('b', {}, 'This model knows: '), printable(knows?.domain ?? '', Infinity))
  byId('sentence', HTMLInputElement).placeholder = examples[0] ?? 'a phrase or a sentence'
  showWorld(undefined)
  showSuggestions()
  markWords()
}

/** A sentence that may be asked, for messages: 'Say what to find: "the umbrella", for instance.' */
export function withExample(what: string): string {
  return examples[0] === undefined ? `${what}.` : `${what}: "${printable(examples[0])}", for instance.`
}

/** Offers the sentences of a sample, or none. */
export function suggest(sentences: readonly string[]): void {
  ofSample = sentences
  showSuggestions()
}

/** Of a sample's sentences those whose words are known, and below them what can be asked of any image. */
function showSuggestions(): void {
  const known = ofSample.filter((sentence) => words.unknownIn(sentence).length === 0)
  const others = examples.filter((example) => !known.includes(example))
  byId('suggestions').replaceChildren(...known.map(chip))
  byId('examples').hidden = others.length === 0
  byId('examples-list').replaceChildren(...others.map(chip))
}

function chip(sentence: string): HTMLElement {
  const button = make('button', { type: 'button', dir: 'auto' }, printable(sentence, Infinity))
  button.addEventListener('click', () => ask(sentence))
  return make('li', {}, button)
}

/**
 * Marks the words below each field that are not known.
 *
 * @param typing the field whose last word is being typed: it isn't looked at yet
 */
export function markWords(typing?: HTMLInputElement): void {
  for (const [form, ids] of Object.entries(FIELDS)) {
    const texts = ids.map((id) => {
      const field = byId(id, HTMLInputElement)
      const isEnd = field === typing && field.selectionEnd === field.value.length
      return (isEnd ? field.value.replace(UNFINISHED, '') : field.value).replaceAll(LISTS, ';')
    })
    byId(`${form}-unknown`).replaceChildren(...unknownLine(words.unknownIn(texts.join('; '))))
  }
}

/** "It doesn't know mug or laptop.", with the words marked; nothing for none. */
export function unknownLine(unknown: readonly string[]): readonly (Node | string)[] {
  if (unknown.length === 0) return []
  const marked = unknown.flatMap((word, i) => {
    const joint = i === 0 ? '' : i === unknown.length - 1 ? ' or ' : ', '
    return [joint, make('b', { className: 'unknown-word' }, printable(word))]
  })
  return ["It doesn't know ", ...marked, '.']
}

/** Says that the image is unlike those of training, if it is. */
export function showWorld(world: ImageWorld | undefined): void {
  byId('world').textContent = worldInWords(world)
}

/** The same as text; '' for an image that is like them, or of which nobody knows. */
function worldInWords(world: ImageWorld | undefined): string {
  if (!world || world.isKnown) return ''
  const [far, most] = [world.distance, world.threshold].map((distance) => distance.toFixed(2))
  return (
    'This image is unlike those that it knows, so that answers may mean little ' +
    `(distance ${far}, known up to ${most}).`
  )
}

/** All of it as text, for screen readers; '' where there is nothing to say. */
export function caveatsInWords({ unknownWords, world }: Caveats): string {
  const unknown = unknownLine(unknownWords).map((part) =>
    typeof part === 'string' ? part : part.textContent,
  )
  return [unknown.join(''), worldInWords(world)].filter(Boolean).join(' ')
}
