// Unrolls marked loops before the compiler sees them.
//
// An array of a thread's own stays in registers only while every index is a constant. Most drivers unroll short
// loops and get there by themselves; SwiftShader doesn't, and then reads and writes such arrays lane by lane
// (attention over 1,024 tokens: 0.65 GFLOP/s as loops, 6 unrolled; November 2026). So kernels mark the loops:
//
//   /*unroll*/ for (var c = 0u; c < D4; c++) { sum += q[c] * k[c]; }
//
// which is WGSL as it is, with the same meaning before and after. A marked loop that can't be unrolled without a change
// of its meaning is refused.

import { Complaint, withoutComments } from './wgsl.ts'

const MARK = /^\/\*\s*unroll\s*\*\/$/
const HEAD =
  /\/\*\s*unroll\s*\*\/\s*for\s*\(\s*var\s+(\w+)\s*=\s*0u\s*;\s*\1\s*<\s*(\w+)\s*;\s*\1\s*\+\+\s*\)\s*\{/y

/** Far more than the arrays have that stay in registers. */
const MOST_TURNS = 1024

/** The prelude's constants, by name. */
type LoopConstants = Readonly<Record<string, unknown>>

/**
 * Unrolls the marked loops, inner ones too, and leaves out comments. A body becomes one block per turn, with the
 * counter replaced by a number.
 *
 * @param constants the bounds are named there, or are numbers
 * @throws Complaint if a marked loop has another form than the one above, its bound is no number of `constants`, or its
 *         body changes the counter, declares another thing of its name, or leaves the loop by `break` or `continue`
 */
export function unroll(source: string, constants: LoopConstants): string {
  const text = withMarksOnly(source)
  return text.includes('/*') ? expand(text, constants, text) : source
}

/** For each line of what `unroll` returns, the index of the line that it comes from. */
export function unrolledLines(source: string, constants: LoopConstants): number[] {
  const text = withMarksOnly(source)
  const lines = text.split('\n')
  if (!text.includes('/*')) return lines.map((_, i) => i)
  // Lines carry their number through the expansion, between characters that no WGSL has; a loop brings that of its mark
  const numbered = lines.map((line, i) => `${tagOf(i)}${line.replaceAll('*/', `*/${tagOf(i)}`)}`).join('\n')
  let last = 0
  return expand(numbered, constants, text)
    .split('\n')
    .map((line) => {
      const [, number] = /\uE000(\d+)\uE001/.exec(line) ?? []
      if (number !== undefined) last = Number(number)
      return last
    })
}

function tagOf(line: number): string {
  return `\uE000${line}\uE001`
}

/** The text with spaces for its comments, of which only the marks stay. */
export function withMarksOnly(source: string): string {
  return withoutComments(source, (comment) => MARK.test(comment))
}

/** @param whole the text that this is a part of, where the bounds could be declared as well */
function expand(text: string, constants: LoopConstants, whole: string): string {
  const at = text.indexOf('/*')
  if (at < 0) return text
  const untagged = text.slice(at).replaceAll(/\uE000\d+\uE001/g, (tag) => ' '.repeat(tag.length))
  HEAD.lastIndex = 0
  const [head, counter = '', bound = ''] = HEAD.exec(untagged) ?? []
  if (head === undefined) {
    throw new Complaint(
      `a loop that is marked /*unroll*/ isn't of the form \`for (var i = 0u; i < BOUND; i++) {\`: ${firstLine(untagged)}`,
    )
  }
  const turns = turnsOf(bound, constants, whole)
  const [tag = ''] = text.slice(at, at + head.length).match(/\uE000\d+\uE001/) ?? []
  const open = at + head.length
  const close = closingBrace(text, open)
  const body = text.slice(open, close)
  refuseWhatDiffers(body, counter)
  const inner = expand(body, constants, whole)
  const blocks = Array.from({ length: turns }, (_, i) => `${tag}{${inner.replace(wordOf(counter), `${i}u`)}}`)
  return text.slice(0, at) + blocks.join('\n') + expand(text.slice(close + 1), constants, whole)
}

/** Number of turns of a loop up to the bound. */
function turnsOf(bound: string, constants: LoopConstants, whole: string): number {
  const isNumber = /^\d+u$/.test(bound)
  const turns = isNumber ? Number.parseInt(bound, 10) : Object.hasOwn(constants, bound) && constants[bound]
  if (typeof turns !== 'number' || !Number.isInteger(turns) || turns < 0) {
    throw new Complaint(`the bound ${bound} of a loop that is marked /*unroll*/ is no number of the prelude.`)
  }
  if (turns > MOST_TURNS) {
    throw new Complaint(
      `a loop that is marked /*unroll*/ runs ${turns} times: at most ${MOST_TURNS} are unrolled.`,
    )
  }
  if (!isNumber && declares(bound).test(whole)) {
    throw new Complaint(
      `the bound ${bound} of a loop that is marked /*unroll*/ is declared in the text as well, where it may be another number.`,
    )
  }
  return turns
}

/** The name as a word of its own: no member, and no part of another name. */
function wordOf(name: string): RegExp {
  return new RegExp(`(?<!\\.\\s*)(?<![\\p{ID_Continue}])${name}(?![\\p{ID_Continue}])`, 'gu')
}

/** A declaration of the name as a value or as a parameter. */
function declares(name: string): RegExp {
  return new RegExp(`\\b(?:let|const|override|var\\s*(?:<[^>]*>)?)\\s*\\b${name}\\b|[(,]\\s*${name}\\s*:`)
}

/** @throws Complaint if the body, once per turn with a number for the counter, isn't what the loop does */
function refuseWhatDiffers(body: string, counter: string): void {
  const refuse = (what: string): never => {
    throw new Complaint(`a loop over ${counter} that is marked /*unroll*/ ${what}, and can't be unrolled.`)
  }
  if (declares(counter).test(body)) refuse(`declares another ${counter}`)
  // Between the two there may be brackets: (i)++
  const assigned = `${wordOf(counter).source}[\\s)]*(?:\\+\\+|--|(?:[-+*/%&|^]|<<|>>)?=(?!=))`
  const pointed = `(?:[(,=]|\\breturn)\\s*&[\\s(]*${counter}\\b`
  if (new RegExp(`${assigned}|${pointed}`, 'u').test(body)) refuse(`changes ${counter}`)
  if (/\b(?:break|continue)\b/.test(withoutOwnJumps(body))) refuse('is left by break or continue')
}

/** The body without its inner loops, and without the `break` of its switches, whose `continue` is the outer loop's. */
function withoutOwnJumps(body: string): string {
  const begin = /\b(for|while|loop|switch)\b[^{;]*(?:;[^{;]*;[^{]*)?\{/g
  let result = ''
  let at = 0
  for (let match = begin.exec(body); match; match = begin.exec(body)) {
    const open = match.index + match[0].length
    const close = closingBrace(body, open)
    result += body.slice(at, match.index)
    if (match[1] === 'switch') {
      result += withoutOwnJumps(body.slice(open, close)).replaceAll(/\bbreak\b/g, '')
    }
    at = close + 1
    begin.lastIndex = at
  }
  return result + body.slice(at)
}

/** The end of the block that began before `from`. */
function closingBrace(text: string, from: number): number {
  let depth = 1
  for (let i = from; i < text.length; i++) {
    if (text[i] === '{') depth++
    if (text[i] === '}' && --depth === 0) return i
  }
  throw new Complaint('a loop that is marked /*unroll*/ has no end.')
}

function firstLine(text: string): string {
  const [line = ''] = text
    .replace(/^\/\*\s*unroll\s*\*\//, '')
    .trim()
    .split('\n')
  return line.slice(0, 80)
}
