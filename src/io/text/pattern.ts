// The time that a regular expression may take is judged from its text: those of strangers run on every sentence.
//
// A backtracking matcher tries, at each place of the text, one way of matching after the other. For an expression
// without nested repetition the ways can be counted from the end to the beginning: a part that repeats without a bound
// is tried with each of its lengths, as often as what follows it fails. Where nothing that follows can fail, nothing is
// tried again. So `\s*[\r\n]+` takes n steps per place, `\s*\s*x` n^2, and `(a+)+$`, which is refused outright, 2^n.
//
// The grammar is JavaScript's with flag u. What this file doesn't understand, it refuses.

import { entryOf, lastOf } from '../../check.ts'

/** An expression by what it takes: all steps at one place of the text. */
interface Cost {
  /** Steps until it is known that nothing matches here. */
  readonly failing: number
  /** The same and, should it match, the steps of the match. */
  readonly all: number
  readonly canFail: boolean
}

type Node =
  | { readonly kind: 'character' }
  /** Takes no character; `steps` to know whether it holds. */
  | { readonly kind: 'assertion'; readonly steps: number }
  | { readonly kind: 'group'; readonly options: readonly (readonly Node[])[] }
  | { readonly kind: 'repeat'; readonly node: Node; readonly least: number; readonly most: number }

/** A reason to refuse it, to go after "the pattern ...". */
export class UnsafePattern extends Error {}

const END: Cost = { failing: 0, all: 0, canFail: false }
const MAX_PATTERN = 4096
const MAX_DEPTH = 16
/** The most times that a part may be repeated, where there is a bound. */
const MOST_TIMES = 1000
/** The most steps of analysing a pattern. */
const MAX_WORK = 100_000

/**
 * At most so many steps does it take to find all matches in a text.
 *
 * @param length of the text, in characters
 * @throws UnsafePattern if there is no telling
 */
export function stepsOf(source: string, length: number): number {
  if (source.length > MAX_PATTERN) throw new UnsafePattern(`has more than ${MAX_PATTERN} characters`)
  const options = new Parser(source).parse()
  return length * new Meter(length).options(options, END).all
}

class Parser {
  readonly #source: string
  #at = 0
  #depth = 0

  constructor(source: string) {
    this.#source = source
  }

  parse(): Node[][] {
    const options = this.#options()
    if (this.#at < this.#source.length) throw new UnsafePattern('has a ")" too many')
    return options
  }

  #options(): Node[][] {
    if (++this.#depth > MAX_DEPTH)
      throw new UnsafePattern(`has more than ${MAX_DEPTH} groups inside each other`)
    const options: Node[][] = [[]]
    for (
      let next = this.#source[this.#at];
      next !== undefined && next !== ')';
      next = this.#source[this.#at]
    ) {
      if (this.#took(/\|/y)) options.push([])
      else lastOf(options).push(this.#quantified())
    }
    this.#depth--
    return options
  }

  #quantified(): Node {
    const node = this.#atom()
    const match = this.#took(/(?:([*+?])|\{(\d+)(,?)(\d*)\})\??/y)
    if (!match) return node
    const [, sign, first, comma, second] = match
    const least = sign === undefined ? Number(first) : sign === '+' ? 1 : 0
    const most =
      sign === undefined
        ? Number(comma ? second || Number.POSITIVE_INFINITY : first)
        : sign === '?'
          ? 1
          : Number.POSITIVE_INFINITY
    if (most < Number.POSITIVE_INFINITY && most > MOST_TIMES) {
      throw new UnsafePattern(`repeats a part more than ${MOST_TIMES} times`)
    }
    return { kind: 'repeat', node, least, most }
  }

  #atom(): Node {
    const character: Node = { kind: 'character' }
    // Classes have no class inside, in this grammar
    if (this.#took(/\[\^?(?:[^\]\\]|\\.)*\]/suy)) return character
    if (this.#took(/\\[bB]|[\^$]/y)) return { kind: 'assertion', steps: 1 }
    if (
      this.#took(
        /\\(?:[pP]\{[^}]*\}|u\{[^}]*\}|u[\da-f]{4}|x[\da-f]{2}|c[a-z]|[dDsSwWtnvfr0]|[^\p{L}\p{N}])/iuy,
      )
    )
      return character
    if (this.#took(/\\/y))
      throw new UnsafePattern('refers back to what a group matched, or has an unknown escape')
    const assertion = this.#took(/\(\?<?[=!]/y)
    if (assertion) {
      const options = this.#closed()
      if (hasUnbounded(options))
        throw new UnsafePattern('repeats without a bound while it looks ahead or behind')
      return { kind: 'assertion', steps: 1 + new Meter(MOST_TIMES).options(options, END).all }
    }
    if (this.#took(/\((?:\?(?::|<[\p{L}_][\p{L}\p{N}_]*>))?(?!\?)/uy))
      return { kind: 'group', options: this.#closed() }
    if (this.#took(/[^()[\]{}*+?\\|]/suy)) return character
    throw new UnsafePattern(`has something unknown at character ${this.#at}`)
  }

  #closed(): Node[][] {
    const options = this.#options()
    if (!this.#took(/\)/y)) throw new UnsafePattern('has a "(" too many')
    return options
  }

  #took(what: RegExp): RegExpExecArray | undefined {
    what.lastIndex = this.#at
    const match = what.exec(this.#source)
    this.#at += match?.[0].length ?? 0
    return match ?? undefined
  }
}

function hasUnbounded(options: readonly (readonly Node[])[]): boolean {
  return options.some((nodes) =>
    nodes.some(
      (node) =>
        (node.kind === 'repeat' && (node.most === Number.POSITIVE_INFINITY || hasUnbounded([[node.node]]))) ||
        (node.kind === 'group' && hasUnbounded(node.options)),
    ),
  )
}

/** True if each match is one character, and there is one way to it. */
function isCharacter(node: Node): boolean {
  if (node.kind !== 'group') return node.kind === 'character'
  const [nodes, other] = node.options
  const taking = nodes?.filter(({ kind }) => kind !== 'assertion') ?? []
  return other === undefined && taking.length === 1 && isCharacter(entryOf(taking, 0))
}

class Meter {
  readonly #length: number
  #work = 0

  constructor(length: number) {
    this.#length = length
  }

  /** @param rest what follows them, to the end of the expression */
  options(options: readonly (readonly Node[])[], rest: Cost): Cost {
    return either(options.map((nodes) => nodes.reduceRight((after, node) => this.#node(node, after), rest)))
  }

  #node(node: Node, rest: Cost): Cost {
    if (++this.#work > MAX_WORK) throw new UnsafePattern('is too complex')
    switch (node.kind) {
      case 'character':
        return { failing: 1 + rest.failing, all: 1 + rest.all, canFail: true }
      case 'assertion':
        return { failing: node.steps + rest.failing, all: node.steps + rest.all, canFail: true }
      case 'group':
        return this.options(node.options, rest)
      default:
        return this.#repeat(node.node, node.least, node.most, rest)
    }
  }

  #repeat(node: Node, least: number, most: number, rest: Cost): Cost {
    if (isCharacter(node)) {
      const one = this.#node(node, END).all
      if (!rest.canFail) {
        return { failing: one * Math.min(least, this.#length), all: one + rest.all, canFail: least > 0 }
      }
      const failing =
        Math.min(most, this.#length) * one + (Math.min(most, this.#length) - least + 1) * rest.failing
      return { failing: Math.max(failing, 1), all: Math.max(failing, 1) + rest.all, canFail: true }
    }
    if (node.kind === 'assertion') return this.#node(node, rest)
    if (most === Number.POSITIVE_INFINITY)
      throw new UnsafePattern('repeats a part of several characters or choices without a bound')
    if (most > 1 && hasUnbounded([[node]])) throw new UnsafePattern('repeats what repeats without a bound')
    // x{2,4} is xx(x(x)?)?
    let cost = rest
    for (let i = most; i > least; i--) cost = either([this.#node(node, cost), rest])
    for (let i = 0; i < least; i++) cost = this.#node(node, cost)
    return cost
  }
}

/** The first that matches; those before it have failed. */
function either(costs: readonly Cost[]): Cost {
  const failing = costs.reduce((sum, cost) => sum + cost.failing, 0)
  const matching = Math.max(...costs.map((cost) => cost.all))
  return { failing, all: failing + matching, canFail: costs.every(({ canFail }) => canFail) }
}
