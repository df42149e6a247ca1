// Mutations of a JSON text that keep to its grammar, mostly: values are replaced, moved, nested, multiplied and written
// oddly.

import type { Random } from './random.ts'

/** A text that is written as it is, whether it is JSON or not. */
class Raw {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

/** Objects are lists of pairs: keys may occur twice. */
type Tree = Raw | string | number | boolean | null | Tree[] | Pairs
class Pairs {
  readonly list: [key: string, value: Tree][]

  constructor(list: [string, Tree][]) {
    this.list = list
  }
}

const RAW = [
  '1e999',
  '-0',
  '-1',
  '0',
  '1',
  '2147483648',
  '9007199254740993',
  '18446744073709551616',
  '1e308',
  '-1e-300',
  '1.5',
]
const WORDS = [
  'NaN',
  '01',
  '"\\ud800"',
  "'x'",
  '"\\u0000"',
  'nul',
  '',
  '"\\u001b[2J"',
  '"\\u202e"',
  '//x',
  '{"a":1,}',
]
const KEYS = [
  '__proto__',
  'constructor',
  'toString',
  '',
  'length',
  '\u0000',
  'type',
  'dtype',
  'shape',
  'data_offsets',
  'Regex',
  'x'.repeat(5000),
]
const TEXTS = [
  ...KEYS,
  '(a+)+$',
  '(?:a|a)*b',
  '.*.*.*=',
  '$&$&',
  '[',
  '../../etc/passwd',
  'model.safetensors',
  'F32',
  'F4',
  'U64',
  '0'.repeat(64),
  '\u202e',
  'line\nfeed',
]

/** @returns undefined if the text isn't JSON */
export function mutateJson(random: Random, text: string): string | undefined {
  let tree: Tree
  try {
    tree = treeOf(JSON.parse(text))
  } catch {
    return undefined
  }
  for (let i = random.chance(0.5) ? 0 : random.below(4); i >= 0; i--) tree = mutateTree(random, tree)
  return write(tree)
}

function treeOf(value: unknown): Tree {
  if (Array.isArray(value)) return value.map(treeOf)
  if (typeof value === 'object' && value !== null) {
    return new Pairs(Object.entries(value).map(([key, inner]) => [key, treeOf(inner)]))
  }
  return value as Tree
}

/** Changes one place, chosen on a walk downwards. */
function mutateTree(random: Random, tree: Tree): Tree {
  const children = tree instanceof Pairs ? tree.list.length : Array.isArray(tree) ? tree.length : 0
  if (children === 0 || random.chance(0.15)) return mutateValue(random, tree)
  const i = random.below(children)
  if (random.chance(0.25)) return mutateAround(random, tree as Tree[] | Pairs, i)
  if (tree instanceof Pairs) {
    return new Pairs(tree.list.map(([key, value], k) => [key, k === i ? mutateTree(random, value) : value]))
  }
  return (tree as Tree[]).map((value, k) => (k === i ? mutateTree(random, value) : value))
}

/** Leaves out, repeats, renames, swaps or adds a child. */
function mutateAround(random: Random, tree: Tree[] | Pairs, i: number): Tree {
  const list: unknown[] = tree instanceof Pairs ? [...tree.list] : [...tree]
  const changed = (): Tree => (tree instanceof Pairs ? new Pairs(list as [string, Tree][]) : (list as Tree[]))
  const other = random.below(list.length)
  switch (random.below(6)) {
    case 0:
      list.splice(i, 1)
      return changed()
    case 1:
      list.splice(other, 0, list[i])
      return changed()
    case 2:
      for (let k = random.below(300); k >= 0; k--) list.push(list[i])
      return changed()
    case 3:
      ;[list[i], list[other]] = [list[other], list[i]]
      return changed()
    case 4:
      if (tree instanceof Pairs) list[i] = [random.of([...KEYS, ...TEXTS]), tree.list[i]![1]]
      return changed()
    default:
      if (tree instanceof Pairs) {
        for (let k = random.below(50); k >= 0; k--) list.push([`${random.of(KEYS)}${k}`, tree.list[i]![1]])
        list[i] = [tree.list[i]![0], tree.list[other]![1]]
      }
      return changed()
  }
}

function mutateValue(random: Random, value: Tree): Tree {
  switch (random.below(12)) {
    case 0:
      return new Raw(random.of(RAW))
    case 1:
      return new Raw(random.of(WORDS))
    case 2:
      return random.of(TEXTS)
    case 3:
      return random.of([null, true, false])
    case 4:
      return []
    case 5:
      return new Pairs([])
    case 6:
      return new Raw('['.repeat(1 + random.below(1000)) + ']'.repeat(random.below(1000)))
    case 7:
      return new Raw(`[${random.of(['{},', '[],', '0,', '"",']).repeat(random.of([10, 1000, 20_000]))}0]`)
    case 8: {
      let nested = value
      for (let depth = random.of([1, 2, 40]); depth > 0; depth--)
        nested = random.chance(0.5) ? [nested] : new Pairs([['a', nested]])
      return nested
    }
    case 9:
      return typeof value === 'string'
        ? `${value}${random.of(TEXTS)}`.repeat(random.of([1, 2, 100]))
        : [value, value]
    case 10:
      return typeof value === 'number'
        ? value + random.of([-1, 1, 0.5, 2 ** 31, 2 ** 53, -value])
        : write(value).slice(0, 100)
    default:
      return typeof value === 'number'
        ? new Raw(`${value}${random.of(['.0', 'e0', 'e9', '00', '0000000000'])}`)
        : new Raw(random.of(RAW))
  }
}

function write(tree: Tree): string {
  if (tree instanceof Raw) return tree.text
  if (Array.isArray(tree)) return `[${tree.map(write).join()}]`
  if (tree instanceof Pairs)
    return `{${tree.list.map(([key, value]) => `${JSON.stringify(key)}:${write(value)}`).join()}}`
  return JSON.stringify(tree)
}

/** The text as somebody might have saved it by mistake. */
export function disguised(random: Random, text: string): Uint8Array {
  const utf8 = new TextEncoder()
  switch (random.below(6)) {
    case 0:
      return utf8.encode(`\ufeff${text}`)
    case 1:
      return Uint8Array.from([
        0xff,
        0xfe,
        ...Array.from(text.slice(0, 500)).flatMap((letter) => [letter.charCodeAt(0) & 255, 0]),
      ])
    case 2:
      return utf8.encode(`<!doctype html><html>${text}`)
    case 3:
      return Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0)
    case 4:
      return utf8.encode('version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 5\n')
    default:
      return new Uint8Array(random.below(100))
  }
}
