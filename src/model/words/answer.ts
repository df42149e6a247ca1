// An answer's tokens as people read them: text without markers, in parts, of which some are phrases that get a mask.
//
//   ids     It shows <p> a man </p> on <p> a horse </p> . It is <SEG> . <end>
//   text    It shows a man on a horse.
//   parts   'It shows ', 'a man' (phrase 0), ' on ', 'a horse' (phrase 1), '.'
//
// The same rules hold while tokens still come: what `textSoFar` returns only grows. So a sentence that may turn out
// to be the one in which the model hands out its mask ("It is <SEG>.") is held back until it is clear.

import type { Tokenizer } from '../../io/text/tokenizer.ts'
import { type Decoder, TextStream } from './text-stream.ts'

/** The ids that mean something of their own in an answer. */
export interface Marks {
  /** The id of <p>. */
  readonly open: number
  /** The id of </p>. */
  readonly close: number
  /** The id of <SEG>. */
  readonly seg: number
  /** End the answer. */
  readonly stops: ReadonlySet<number>
}

/** The markers of a tokenizer, and those of these ends that it has. */
export function marksOf(tokenizer: Tokenizer, ends: readonly string[]): Marks {
  const stops = ends.flatMap((end) => tokenizer.find(end) ?? [])
  return {
    open: tokenizer.idOf('<p>'),
    close: tokenizer.idOf('</p>'),
    seg: tokenizer.idOf('<SEG>'),
    stops: new Set(stops),
  }
}

/** A stretch of an answer's text. */
export interface AnswerPart {
  /** Its words, with the spaces around them. */
  readonly text: string
  /** Index of the phrase that it is, from 0; absent for the words between phrases. */
  readonly phrase?: number
}

/** A phrase of an answer, where it is in the text. */
export interface AnswerPhrase {
  /** Its words, without the spaces around them. */
  readonly text: string
  /** [begin, end) in the answer's text, in UTF-16 code units as strings count. */
  readonly begin: number
  /** As `begin`, one past its last character. */
  readonly end: number
}

/** An answer's text, taken apart. */
export interface AnswerText {
  /** All parts together, without markers. */
  readonly text: string
  /** In order; every character of the text is in one of them. */
  readonly parts: readonly AnswerPart[]
  /** Those that the model marked, in order; parts mean them by their index here. */
  readonly phrases: readonly AnswerPhrase[]
}

/** The beginnings of sentences that end with <SEG>, in the answers that models are trained with. */
const LEADS = [
  '',
  'it is',
  'and it is',
  'and',
  'sure,',
  'sure, it is',
  'the segmentation mask is',
  'and the segmentation mask is',
  'sure, the segmentation mask is',
  'the segmentation result is',
  'and the segmentation result is',
  'sure, the segmentation result is',
]
/** The ends of a sentence: nothing after these belongs to it. */
const SENTENCE_END = /[.!?。！？]["'”’)\]]*\s|\n/gu
/** No space stands before these where a marker was. */
const CLOSING = /^[.,;:!?)\]]/u

/** Text between markers, or one of them. */
type Piece = { readonly text: string } | { readonly mark: 'open' | 'close' | 'seg' }

/** Takes an answer apart, as its tokens come. */
export class AnswerReader {
  readonly #marks: Marks
  readonly #decoder: Decoder
  readonly #pieces: Piece[] = []
  #stream: TextStream
  #ids = 0
  /** [begin, end) in the answer's ids, markers included. */
  readonly #spans: [begin: number, end: number][] = []
  #open = -1

  constructor(decoder: Decoder, marks: Marks) {
    this.#decoder = decoder
    this.#marks = marks
    this.#stream = new TextStream(decoder)
  }

  /** Takes the next token. */
  push(id: number): void {
    const { open, close, seg, stops } = this.#marks
    const at = this.#ids++
    if (stops.has(id)) return
    if (id !== open && id !== close && id !== seg) return this.#write(this.#stream.push(id))

    this.#write(this.#stream.end())
    this.#stream = new TextStream(this.#decoder, [id])
    this.#pieces.push({ mark: id === open ? 'open' : id === close ? 'close' : 'seg' })
    if (id === open) this.#open = at
    if (id === close && this.#open >= 0) {
      this.#spans.push([this.#open, at + 1])
      this.#open = -1
    }
  }

  /** The phrases whose end has come, markers included, in the answer's ids. */
  get spans(): readonly (readonly [begin: number, end: number])[] {
    return this.#spans
  }

  /** The text that is certain: more tokens only add to it. A phrase that is still open counts as one. */
  textSoFar(): AnswerText {
    return textOf(this.#pieces, false)
  }

  /** The text when no token comes any more. */
  whole(): AnswerText {
    this.#write(this.#stream.end())
    return textOf(this.#pieces, true)
  }

  #write(text: string): void {
    if (text !== '') this.#pieces.push({ text })
  }
}

/** The text of pieces: of an answer that is complete, or as far as it is certain. */
function textOf(pieces: readonly Piece[], complete: boolean): AnswerText {
  const out = new Text()
  const phrases = phraseOf(pieces, complete)
  let place: Place = { phrase: undefined, isMarked: false }
  pieces.forEach((piece, i) => {
    if ('text' in piece) return out.add(piece.text, place)
    if (piece.mark === 'seg') return out.endWithMask()
    out.mark(place)
    place = { phrase: phrases.get(i), isMarked: piece.mark === 'open' }
  })
  if (!complete) out.holdBack()
  return out.done()
}

/** The number of the phrase that begins with a piece: the last marker before a closing one. */
function phraseOf(pieces: readonly Piece[], complete: boolean): ReadonlyMap<number, number> {
  const numbers = new Map<number, number>()
  let open = -1
  let count = 0
  pieces.forEach((piece, i) => {
    if (!('mark' in piece)) return
    if (piece.mark === 'open') open = i
    if (piece.mark !== 'close' || open < 0) return
    numbers.set(open, count++)
    open = -1
  })
  if (!complete && open >= 0) numbers.set(open, count)
  return numbers
}

/** The place of a piece of text: the phrase that it belongs to, if any. */
interface Place {
  readonly phrase: number | undefined
  /** True after <p>, whether or not it turns out to be a phrase. */
  readonly isMarked: boolean
}

interface Stretch extends Place {
  text: string
}

const BETWEEN: Place = { phrase: undefined, isMarked: false }

/** Text that grows, with its white space set in order. */
class Text {
  #parts: Stretch[] = []
  /** White space that is written before the next word. */
  #space = ''
  #isAfterMark = false
  /** The sentence with the mask was dropped: so is its full stop. */
  #swallowsStop = false

  add(text: string, place: Place): void {
    for (const [piece] of text.matchAll(/\s+|\S+/gu)) {
      if (piece.trim() === '') this.#space = widest(this.#space, piece)
      else this.#word(piece, place)
    }
  }

  /** A marker stood here, the end of this place. */
  mark(place: Place): void {
    this.#isAfterMark = true
    if (place.phrase !== undefined && this.#last?.phrase !== place.phrase)
      this.#parts.push({ text: '', ...place })
  }

  /** <SEG> stood here: its sentence goes, if it says nothing else. */
  endWithMask(): void {
    this.#isAfterMark = true
    const length = this.#certain(true)
    if (length === undefined) return
    this.#cut(length)
    this.#swallowsStop = true
  }

  /** Takes back the last sentence while it may be one that only hands out the mask. */
  holdBack(): void {
    const length = this.#certain(false)
    if (length !== undefined) this.#cut(length)
  }

  done(): AnswerText {
    const phrases: AnswerPhrase[] = []
    let at = 0
    for (const { text, phrase } of this.#parts) {
      if (phrase !== undefined) phrases.push({ text, begin: at, end: at + text.length })
      at += text.length
    }
    const parts: Stretch[] = []
    for (const part of this.#parts) {
      const last = parts.at(-1)
      if (last?.phrase === part.phrase && last) last.text += part.text
      else if (part.text !== '') parts.push({ ...part })
    }
    return {
      text: parts.map(({ text }) => text).join(''),
      parts: parts.map(({ text, phrase }) => (phrase === undefined ? { text } : { text, phrase })),
      phrases,
    }
  }

  #word(word: string, place: Place): void {
    let rest = word
    if (this.#swallowsStop) {
      rest = rest.replace(/^[.!]/u, '')
      this.#swallowsStop = false
      if (rest === '') return
    }
    const isFirst = this.#parts.every(({ text }) => text === '')
    const joins = isFirst || (this.#isAfterMark && CLOSING.test(rest))
    const isSame = this.#last?.phrase === place.phrase && this.#last?.isMarked === place.isMarked
    if (!joins && this.#space !== '') this.#append(this.#space, isSame ? place : BETWEEN)
    this.#append(rest, place)
    this.#space = ''
    this.#isAfterMark = false
  }

  get #last(): Stretch | undefined {
    return this.#parts.at(-1)
  }

  #append(text: string, { phrase, isMarked }: Place): void {
    const last = this.#last
    if (last?.phrase === phrase && last?.isMarked === isMarked && last) last.text += text
    else this.#parts.push({ text, phrase, isMarked })
  }

  /** The length without the last sentence, if that is one of LEADS, or else the beginning of one. */
  #certain(isWhole: boolean): number | undefined {
    const all = this.#parts.map(({ text }) => text).join('')
    let begin = 0
    for (const end of `${all}${this.#space}`.matchAll(SENTENCE_END)) begin = end.index + end[0].length
    const sentence = all.slice(begin).toLowerCase()
    const isLead = isWhole ? LEADS.includes(sentence) : LEADS.some((lead) => lead.startsWith(sentence))
    if (!isLead) return undefined
    // Words of a phrase are never only the way to a mask
    let at = 0
    for (const { text, isMarked } of this.#parts) {
      at += text.length
      if (isMarked && at > begin) return undefined
    }
    return all.slice(0, begin).trimEnd().length
  }

  #cut(length: number): void {
    let left = length
    const cut: Stretch[] = []
    for (const part of this.#parts) {
      if (left <= 0 && part.text !== '') break
      cut.push({ ...part, text: part.text.slice(0, left) })
      left -= part.text.length
    }
    const removed = this.#parts.length > 0
    this.#parts = cut
    if (removed && cut.length > 0) this.#space = widest(this.#space, ' ')
  }
}

/** Joins two stretches of white space into one: a line feed if either has one. */
function widest(a: string, b: string): string {
  return /\n/u.test(a + b) ? '\n' : ' '
}
