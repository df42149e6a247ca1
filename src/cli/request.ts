// A command line names images and sentences. What could be meant in two ways is refused, with both ways
// shown.
//
//   segment IMAGE "SENTENCE"                    one of each
//   segment IMAGE... -s "SENTENCE" [-s ...]     every image with every sentence

import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { printable } from '../printable.ts'
import { type Given, UsageError } from './args.ts'
import { type ImagePlace, imagePlace } from './image-files.ts'
import type { Terminal } from './output/terminal.ts'

/** The images and sentences of a command line, every image with every sentence. */
export interface Request {
  /** Without repetitions, in the order of the command line. */
  readonly images: readonly ImagePlace[]
  /** Without repetitions, in the order of the command line. */
  readonly sentences: readonly string[]
}

const FORMS = [
  'flowseg segment IMAGE "SENTENCE"',
  'flowseg segment IMAGE... -s "SENTENCE" [-s "SENTENCE"...]',
]

/** @throws UsageError unless there is one way to understand it */
export function requestOf(args: Given, terminal: Terminal): Request {
  const { operands } = args
  const named = args.all('sentence')
  const isImage = (text: string): boolean => looksLikeImage(text, terminal)
  if (named.length > 0) {
    if (operands.length === 0) throw refused('No image is given.', ['IMAGE'], named)
    const text = operands.find((operand) => !isImage(operand) && /\s/.test(operand))
    if (text !== undefined) {
      throw refused(
        `${shell(text)} is no file. If it is a sentence, it needs an -s too`,
        operands.filter((operand) => operand !== text),
        [text, ...named],
      )
    }
    return { images: distinct(operands, terminal), sentences: distinctSentences(named) }
  }

  const [first, second, ...rest] = operands
  if (first === undefined || second === undefined) {
    const what = first === undefined ? 'an image and a sentence' : isImage(first) ? 'a sentence' : 'an image'
    throw new UsageError(`flowseg segment is missing ${what}. Usage: ${FORMS.join(', or ')}`)
  }
  if (rest.length === 0 && !isImage(second)) {
    return { images: distinct([first], terminal), sentences: [second] }
  }

  if (rest.length === 0 && !hasImageName(second) && isImage(first)) {
    throw refused(
      `There is a file or folder named ${shell(second)}. If it is the sentence`,
      [first],
      [second],
    )
  }

  // Images and sentences can't be told apart by their order alone: show how to say it
  const images = operands.filter(isImage)
  const texts = operands.filter((operand) => !isImage(operand))
  if (texts.length === 0) {
    throw refused(`These are ${operands.length} images, and a sentence is missing.`, images, ['SENTENCE'])
  }
  if (images.length > 1) {
    throw refused(`With ${images.length} images, each sentence needs an -s.`, images, texts)
  }
  if (images.length === 1 && images[0] !== first) {
    throw refused('The image comes first, then its sentence.', images, texts)
  }
  const [image = first, ...words] = images.length === 1 ? [first, ...texts] : operands
  if (words.every((word) => !/\s/.test(word))) {
    throw new UsageError(
      `Words that aren't quoted may be one sentence or ${words.length}. ` +
        `As one: flowseg segment ${shell(image)} ${shell(words.join(' '))}. ` +
        `As several: flowseg segment ${shell(image)}${words.map((word) => ` -s ${shell(word)}`).join('')}.`,
    )
  }
  throw refused(`With ${words.length} sentences, each needs an -s.`, [image], words)
}

function refused(why: string, images: readonly string[], sentences: readonly string[]): UsageError {
  const line = ['flowseg segment', ...images.map(shell), ...sentences.map((one) => `-s ${shell(one)}`)].join(
    ' ',
  )
  return new UsageError(`${why.replace(/\.?$/, '')}: ${line}`)
}

/** As it may be typed in a shell; to be read, not run. */
function shell(text: string): string {
  const shown = printable(text)
  return /^[\w./:@%+=,-]+$/.test(shown) && shown !== 'SENTENCE'
    ? shown
    : `"${shown.replaceAll(/["\\$`]/g, '\\$&')}"`
}

/** Something is there, or its name is that of an image. */
export function looksLikeImage(text: string, { cwd }: Pick<Terminal, 'cwd'>): boolean {
  if (text === '') return false
  if (hasImageName(text)) return true
  try {
    return statSync(resolve(cwd, text), { throwIfNoEntry: false }) !== undefined
  } catch {
    return false // too long for a path, or with a character that none has
  }
}

function hasImageName(text: string): boolean {
  return (
    text === '-' ||
    /^(https?|file):/i.test(text) ||
    /^\S+\.(png|jpe?g|webp|avif|gif|bmp|tiff?|hei[cf])$/i.test(text)
  )
}

function distinct(operands: readonly string[], terminal: Terminal): ImagePlace[] {
  const seen = new Map<string, ImagePlace>()
  for (const operand of operands) {
    const place = imagePlace(operand, terminal)
    const other = seen.get(place.location)
    if (other) {
      throw new UsageError(
        place.kind === 'stdin'
          ? 'Standard input (-) is given twice, and can be read once.'
          : `The image ${place.name} is given twice${other.typed === operand ? '' : `, also as ${other.name}`}. Give it once.`,
      )
    }
    seen.set(place.location, place)
  }
  return [...seen.values()]
}

function distinctSentences(sentences: readonly string[]): readonly string[] {
  const twice = sentences.find((sentence, i) => sentences.indexOf(sentence) !== i)
  if (twice !== undefined) {
    throw new UsageError(`The sentence ${shell(twice)} is given twice. Give it once.`)
  }
  return sentences
}
