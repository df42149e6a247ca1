// Reads the plain data of a pickle: numbers, texts, lists and dictionaries, as Python 2 and 3 write them (protocols 0
// to 5). A pickle that names a function or a class is refused by that name, and nothing is ever called. This is how
// RefCOCO's references are published; a checkpoint has a reader of its own (io/torch/pickle.ts), which has tensors to
// expect instead.
//
// Source: CPython's Lib/pickletools.py at 3.14, which describes every instruction.

import { breathe } from '../breathe.ts'
import { quoted } from '../printable.ts'
import { viewOf } from '../view.ts'

const STEPS_PER_TURN = 65_536
/** RefCOCO's 142,000 sentences would take some 8 million, as Python 2 writes them. */
const MAX_STEPS = 32_000_000
const MAX_MARKS = 1000
const LINE_FEED = 0x0a
/** The longest name of a global that a message quotes. */
const MAX_NAME = 200

const utf8 = new TextDecoder()

const TO_JSON =
  `Convert it: python -c "import json,pickle,sys; json.dump(pickle.load(open(sys.argv[1],'rb')),open(sys.argv[1][:-1]+'json','w'))" FILE.p, ` +
  'if you trust it.'

/**
 * The value that a pickle describes, as JSON would have it: tuples and sets are lists, keys are texts.
 *
 * @param refused makes the error from a fault
 * @throws the error, or the signal's reason
 */
export async function plainPickle(
  bytes: Uint8Array<ArrayBuffer>,
  refused: (fault: string) => Error,
  signal?: AbortSignal,
): Promise<unknown> {
  const machine = new PlainPickleMachine(bytes, refused)
  for (let steps = 1; !machine.step(); steps++) {
    if (steps === MAX_STEPS)
      throw refused(`it has more than the ${MAX_STEPS} instructions that are allowed. ${TO_JSON}`)
    if (steps % STEPS_PER_TURN === 0) await breathe(signal)
  }
  return machine.result
}

/** An object without a prototype: no key means anything of its own. */
type PlainDict = Record<string, unknown>

class PlainPickleMachine {
  readonly #bytes: Uint8Array<ArrayBuffer>
  readonly #view: DataView
  readonly #refused: (fault: string) => Error
  #at = 0
  #stack: unknown[] = []
  /** The stacks below the marks. */
  readonly #below: unknown[][] = []
  readonly #memo = new Map<number, unknown>()
  result: unknown

  constructor(bytes: Uint8Array<ArrayBuffer>, refused: (fault: string) => Error) {
    this.#bytes = bytes
    this.#view = viewOf(bytes)
    this.#refused = refused
  }

  /** Does an instruction. @returns whether it was the last one */
  step(): boolean {
    const begin = this.#at
    const code = this.#view.getUint8(this.#take(1))
    switch (code) {
      case 0x80: // PROTO
        this.#take(1)
        break
      case 0x95: // FRAME
        this.#take(8)
        break
      case 0x2e: // STOP
        this.result = this.#pop()
        return true

      // Constants
      case 0x4e: // NONE
        this.#push(null)
        break
      case 0x88: // NEWTRUE
      case 0x89: // NEWFALSE
        this.#push(code === 0x88)
        break
      case 0x4b: // BININT1
        this.#push(this.#view.getUint8(this.#take(1)))
        break
      case 0x4d: // BININT2
        this.#push(this.#view.getUint16(this.#take(2), true))
        break
      case 0x4a: // BININT
        this.#push(this.#view.getInt32(this.#take(4), true))
        break
      case 0x8a: // LONG1
        this.#push(this.#long(this.#length(1)))
        break
      case 0x47: // BINFLOAT
        this.#push(this.#view.getFloat64(this.#take(8)))
        break
      case 0x49: {
        // INT: 00 and 01 are Python 2's False and True
        const line = this.#line()
        this.#push(line === '00' ? false : line === '01' ? true : this.#number(line))
        break
      }
      case 0x4c: // LONG, '12L'
        this.#push(this.#number(this.#line().replace(/L$/, '')))
        break
      case 0x46: // FLOAT
        this.#push(this.#number(this.#line()))
        break
      case 0x53: // STRING, as Python's repr
        this.#push(this.#repr(this.#line()))
        break
      case 0x56: // UNICODE
        this.#push(this.#line().replace(/\\u([0-9a-f]{4})|\\U([0-9a-f]{8})/gi, escaped))
        break
      case 0x8c: // SHORT_BINUNICODE
      case 0x55: // SHORT_BINSTRING
      case 0x43: // SHORT_BINBYTES
        this.#push(this.#text(this.#length(1)))
        break
      case 0x58: // BINUNICODE
      case 0x54: // BINSTRING
      case 0x42: // BINBYTES
        this.#push(this.#text(this.#length(4)))
        break
      case 0x8d: // BINUNICODE8
        this.#push(this.#text(this.#length(8)))
        break

      // Containers
      case 0x28: // MARK
        if (this.#below.length === MAX_MARKS) throw this.#fault(`it nests deeper than ${MAX_MARKS}`)
        this.#below.push(this.#stack)
        this.#stack = []
        break
      case 0x29: // EMPTY_TUPLE
      case 0x5d: // EMPTY_LIST
      case 0x8f: // EMPTY_SET
        this.#push([])
        break
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: // TUPLE3
        this.#push(this.#popMany(code - 0x84))
        break
      case 0x74: // TUPLE
      case 0x6c: // LIST
      case 0x91: // FROZENSET
        this.#push(this.#popToMark())
        break
      case 0x61: // APPEND
        this.#append(this.#popMany(1))
        break
      case 0x65: // APPENDS
      case 0x90: // ADDITEMS
        this.#append(this.#popToMark())
        break
      case 0x7d: // EMPTY_DICT
        this.#push(Object.create(null))
        break
      case 0x64: // DICT
        this.#push(this.#setItems(Object.create(null) as PlainDict, this.#popToMark()))
        break
      case 0x73: // SETITEM
        this.#setItems(...this.#popItems(2))
        break
      case 0x75: // SETITEMS
        this.#setItems(...this.#popItems())
        break

      // The stack and the memo
      case 0x30: // POP
        this.#pop()
        break
      case 0x31: // POP_MARK
        this.#popToMark()
        break
      case 0x32: // DUP
        this.#push(this.#top())
        break
      case 0x70: // PUT
        this.#memo.set(this.#number(this.#line()), this.#top())
        break
      case 0x71: // BINPUT
        this.#memo.set(this.#length(1), this.#top())
        break
      case 0x72: // LONG_BINPUT
        this.#memo.set(this.#length(4), this.#top())
        break
      case 0x94: // MEMOIZE
        this.#memo.set(this.#memo.size, this.#top())
        break
      case 0x67: // GET
        this.#push(this.#kept(this.#number(this.#line())))
        break
      case 0x68: // BINGET
        this.#push(this.#kept(this.#length(1)))
        break
      case 0x6a: // LONG_BINGET
        this.#push(this.#kept(this.#length(4)))
        break

      // Names of functions and classes
      case 0x63: // GLOBAL
      case 0x69: // INST
        throw this.#refusal(`${this.#line()}.${this.#line()}`)
      case 0x93: // STACK_GLOBAL
        throw this.#refusal(this.#popMany(2).map(nameIn).join('.'))
      default:
        throw this.#fault(
          `the instruction 0x${code.toString(16).padStart(2, '0')} at byte ${begin} is none of plain data`,
        )
    }
    return false
  }

  #append(items: readonly unknown[]): void {
    const list = this.#top()
    if (!Array.isArray(list)) throw this.#fault('it appends to what is no list')
    for (const item of items) list.push(item)
  }

  #popItems(count?: number): [PlainDict, unknown[]] {
    const items = count === undefined ? this.#popToMark() : this.#popMany(count)
    const dict = this.#top()
    if (typeof dict !== 'object' || dict === null || Array.isArray(dict))
      throw this.#fault('it sets items of what is no dictionary')
    return [dict as PlainDict, items]
  }

  #setItems(dict: PlainDict, items: readonly unknown[]): PlainDict {
    if (items.length % 2 === 1) throw this.#fault('it sets an item without a value')
    for (let i = 0; i < items.length; i += 2) {
      const key = items[i]
      if (typeof key !== 'string' && typeof key !== 'number')
        throw this.#fault('a key is neither a text nor a number')
      dict[key] = items[i + 1]
    }
    return dict
  }

  #kept(index: number): unknown {
    if (!this.#memo.has(index)) throw this.#fault(`it asks for value ${index}, which was not kept`)
    return this.#memo.get(index)
  }

  // -------------------------------------------------------------------------------------------------------
  // The stack

  #push(value: unknown): void {
    this.#stack.push(value)
  }

  #top(): unknown {
    if (this.#stack.length === 0) throw this.#fault('it takes a value from an empty stack')
    return this.#stack.at(-1)
  }

  #pop(): unknown {
    const value = this.#top()
    this.#stack.pop()
    return value
  }

  #popMany(count: number): unknown[] {
    if (this.#stack.length < count) throw this.#fault('it takes a value from an empty stack')
    return this.#stack.splice(-count)
  }

  #popToMark(): unknown[] {
    const items = this.#stack
    const below = this.#below.pop()
    if (!below) throw this.#fault('it takes what is above a mark, and there is none')
    this.#stack = below
    return items
  }

  // -------------------------------------------------------------------------------------------------------
  // Bytes

  /** @returns where they begin */
  #take(count: number): number {
    const begin = this.#at
    if (count > this.#bytes.length - begin) throw this.#fault('it ends in the middle')
    this.#at += count
    return begin
  }

  #length(bytes: 1 | 4 | 8): number {
    const at = this.#take(bytes)
    if (bytes === 1) return this.#view.getUint8(at)
    return bytes === 4 ? this.#view.getUint32(at, true) : Number(this.#view.getBigUint64(at, true))
  }

  #text(length: number): string {
    const begin = this.#take(length)
    return utf8.decode(this.#bytes.subarray(begin, begin + length))
  }

  #line(): string {
    const end = this.#bytes.indexOf(LINE_FEED, this.#at)
    if (end < 0) throw this.#fault('it ends in the middle')
    const text = this.#text(end - this.#at)
    this.#take(1)
    return text
  }

  #number(text: string): number {
    const value = Number(text)
    if (text === '' || Number.isNaN(value)) throw this.#fault(`${quoted(text, 40)} is no number`)
    return value
  }

  /** Little endian, with a sign. */
  #long(length: number): number {
    const begin = this.#take(length)
    let value = 0n
    for (let i = 0; i < length; i++) value |= BigInt(this.#view.getUint8(begin + i)) << BigInt(8 * i)
    return Number(BigInt.asIntN(8 * length, value))
  }

  /** Python 2's text in quotes: what isn't ASCII is written byte by byte. */
  #repr(line: string): string {
    const [quote = ''] = line
    if (line.length < 2 || !/['"]/.test(quote) || !line.endsWith(quote))
      throw this.#fault(`${quoted(line, 40)} is no text`)
    const bytes = line.slice(1, -1).replace(/\\(x[0-9a-f]{2}|.)/gi, (_, after: string) => {
      const plain = SHORT[after]
      return plain ?? (after.length > 1 ? String.fromCharCode(Number.parseInt(after.slice(1), 16)) : after)
    })
    return /[\u0080-\u00ff]/.test(bytes)
      ? utf8.decode(Uint8Array.from(bytes, (unit) => unit.charCodeAt(0)))
      : bytes
  }

  #refusal(name: string): Error {
    return this.#refused(
      `it asks for ${quoted(name, MAX_NAME)}, which plain data don't need, so it is refused; nothing was executed. ${TO_JSON}`,
    )
  }

  #fault(what: string): Error {
    return this.#refused(`it can't be read as a pickle: ${what}. Copy or download it again.`)
  }
}

/** A part of a global's name, which should be a text. */
function nameIn(value: unknown): string {
  return typeof value === 'string' ? value : '?'
}

const SHORT: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' }

function escaped(_: string, short: string | undefined, long: string | undefined): string {
  const code = Number.parseInt(short ?? long ?? '', 16)
  return code <= 0x10ffff ? String.fromCodePoint(code) : '\ufffd'
}
