// Loops written out before the compiler sees them.
//
// An array of a thread's own stays in registers only while every index is a constant. Most drivers unroll short
// loops and get there by themselves; SwiftShader doesn't, and then reads and writes such arrays lane by lane
// (attention over 1,024 tokens: 0.65 GFLOP/s as loops, 6 written out; November 2026). So kernels mark the loops:
//
//   /*unroll*/ for (var c = 0u; c < D4; c++) { sum += q[c] * k[c]; }
//
// which is WGSL as it stands, and means the same before and after. A marked loop that can't be written out without
// changing what it means is refused.

import { Complaint, withoutComments } from './wgsl.ts'

const MARK = '/*unroll*/'
/** As long as the mark, and in no WGSL: what stands for it once comments are gone. */
const TOKEN = '@unroll@@@'
const HEAD = /@unroll@@@\s*for\s*\(\s*var\s+(\w+)\s*=\s*0u\s*;\s*\1\s*<\s*(\w+)\s*;\s*\1\s*\+\+\s*\)\s*\{/y

/**
 * Writes out the marked loops, inner ones too, and leaves out comments. A body becomes one block per turn, with the
 * counter replaced by a number.
 *
 * @param constants the bounds are named there, or are numbers
 * @throws Complaint if a marked loop has another form than the one above, its bound is no number of `constants`, or its
 *   body
 *         changes the counter, declares another thing of its name, or leaves the loop by `break` or `continue`
 */
export function unroll(source: string, constants: Readonly<Record<string, unknown>>): string {
  if (!source.includes(MARK)) return source
  return expand(withoutComments(source.replaceAll(MARK, TOKEN)), constants)
}

/** For each line of what `unroll` returns, the index of the line that it comes from. */
export function unrolledLines(source: string, constants: Readonly<Record<string, unknown>>): number[] {
  // Lines carry their number through the expansion, between characters that no WGSL has
  const numbered = source
    .replaceAll('\r\n', '\n')
    .split('\n')
    .map((line, i) => `\u0001${i}\u0002${line}`)
    .join('\n')
  let last = 0
  return unroll(numbered, constants)
    .split('\n')
    .map((line) => {
      const [, number] = /\u0001(\d+)\u0002/.exec(line) ?? []
      if (number !== undefined) last = Number(number)
      return last
    })
}

function expand(text: string, constants: Readonly<Record<string, unknown>>): string {
  const at = text.indexOf(TOKEN)
  if (at < 0) return text
  HEAD.lastIndex = at
  const [head, counter = '', bound = ''] =
    HEAD.exec(text.replaceAll(/\u0001\d+\u0002/g, (tag) => ' '.repeat(tag.length))) ?? []
  if (head === undefined) {
    throw new Complaint(
      `a loop that is marked ${MARK} isn't of the form \`for (var i = 0u; i < BOUND; i++) {\`: ${firstLine(text.slice(at + TOKEN.length))}`,
    )
  }
  const turns = /^\d+u$/.test(bound) ? Number.parseInt(bound, 10) : constants[bound]
  if (typeof turns !== 'number') {
    throw new Complaint(`the bound ${bound} of a loop that is marked ${MARK} is no number of the prelude.`)
  }
  const open = at + head.length
  const close = closingBrace(text, open)
  const body = text.slice(open, close)
  refuseWhatDiffers(body, counter)
  const name = new RegExp(`(?<![.\\w])${counter}\\b`, 'g')
  const inner = expand(body, constants)
  const blocks = Array.from({ length: turns }, (_, i) => `{${inner.replace(name, `${i}u`)}}`)
  return text.slice(0, at) + blocks.join('\n') + expand(text.slice(close + 1), constants)
}

/** @throws Complaint if the body, once per turn with a number for the counter, isn't what the loop does */
function refuseWhatDiffers(body: string, counter: string): void {
  const refuse = (what: string): never => {
    throw new Complaint(`a loop over ${counter} that is marked ${MARK} ${what}, and can't be written out.`)
  }
  const word = `(?<![.\\w])${counter}\\b`
  if (new RegExp(`\\b(?:let|var|const)\\s+${counter}\\b|\\bvar\\s*<[^>]*>\\s*${counter}\\b`).test(body)) {
    refuse(`declares another ${counter}`)
  }
  if (
    new RegExp(`${word}\\s*(?:\\+\\+|--|(?:[-+*/%&|^]|<<|>>)?=(?!=))|[(,=]\\s*&\\s*${counter}\\b`).test(body)
  ) {
    refuse(`changes ${counter}`)
  }
  if (/\b(?:break|continue)\b/.test(withoutInnerBlocks(body))) refuse('is left by break or continue')
}

/** Without the blocks of loops and switches inside, whose break and continue are their own. */
function withoutInnerBlocks(body: string): string {
  const begin = /\b(?:for|while|loop|switch)\b[^{;]*(?:;[^{;]*;[^{]*)?\{/g
  let result = ''
  let at = 0
  for (let found = begin.exec(body); found; found = begin.exec(body)) {
    result += body.slice(at, found.index)
    at = closingBrace(body, found.index + found[0].length) + 1
    begin.lastIndex = at
  }
  return result + body.slice(at)
}

/** Where the block that began before `from` ends. */
function closingBrace(text: string, from: number): number {
  let depth = 1
  for (let i = from; i < text.length; i++) {
    if (text[i] === '{') depth++
    if (text[i] === '}' && --depth === 0) return i
  }
  throw new Complaint(`a loop that is marked ${MARK} has no end.`)
}

function firstLine(text: string): string {
  return text.trim().split('\n')[0]!.slice(0, 80)
}
