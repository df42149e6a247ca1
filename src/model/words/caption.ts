// The caption of a description with masks, as X-SAM's evaluation takes it from the answer (spec of the tasks, 6.4). The
// two generations of X-SAM split sentences in different ways.

import type { Config } from '../checkpoint/config.ts'
import type { Decoder } from './text-stream.ts'

const MAIN_SPLIT = /(?<=[.!?])(?:\s+|$)|(?:\n+)|(?<=\s)(?=[A-Z])/u

/** @param ids all that were written */
export function captionOf(decoder: Decoder, ids: readonly number[], compat: Config['compat']): string {
  return captionIn(decoder.decode(ids), compat)
}

/** The caption in a text with its markers: the sentences without <SEG>; '' if no sentence has one. */
export function captionIn(text: string, compat: Config['compat']): string {
  if (!text.includes('<SEG>')) return ''
  const isAaai = compat === 'aaai'
  const sentences = isAaai ? text.split('.') : text.split(MAIN_SPLIT)
  const kept = sentences.filter((sentence) => !sentence.includes('<SEG>') && (isAaai || sentence !== ''))
  const joined = isAaai ? kept.map((sentence) => sentence.trim()).join('. ') : kept.join(' ')
  const clean = joined.replace(/<.*?>/gu, '').replace(/\s+/gu, ' ')
  const quotes = isAaai ? ["'"] : ["'", '"']
  return quotes.reduce(stripped, clean.trim()).trim()
}

/** The text without this character at both ends. */
function stripped(text: string, quote: string): string {
  let [begin, end] = [0, text.length]
  while (begin < end && text[begin] === quote) begin++
  while (end > begin && text[end - 1] === quote) end--
  return text.slice(begin, end)
}
