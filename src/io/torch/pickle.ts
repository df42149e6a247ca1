// Reads a pickle as torch.save writes it, and executes nothing.
//
// A pickle is a program for a machine with a stack and a memo. This one has the instructions for plain data; a call of
// a function that the allow-list has (globals.ts) becomes data too, and every other name is refused. So the worst that
// a file can do is to be large. Its bytes and its instructions are counted, an instruction takes the same time
// whatever it works on, and no value holds a copy of another: time and memory are in proportion to the file.
//
// Source: CPython's Lib/pickletools.py at 3.14, which describes every instruction; PyTorch's
// torch/_weights_only_unpickler.py at 2.13, for what torch.load takes by default.

import { breathe } from '../../breathe.ts'
import { WeightsError } from '../../errors.ts'
import { printable, quoted } from '../../printable.ts'
import { GLOBALS } from './globals.ts'
import { Dict, Global, kindOf, List, Other, Rebuilt, TorchStorage, Tuple, type Value } from './values.ts'

/** The largest checkpoints have a few hundred kilobytes: some 300 per tensor. */
export const MAX_PICKLE_BYTES: number = 64 * 2 ** 20
/** A tensor takes some 45, so these are 40,000 of them. */
const MAX_STEPS = 2_000_000
const MAX_STACK = 1_000_000
const MAX_MARKS = 1000
/** The longest text: names of globals and keys of dictionaries are shorter. */
const MAX_LINE = 1024
const STEPS_PER_TURN = 4096

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * The value that a pickle describes.
 *
 * @param file for messages
 * @throws WeightsError naming what is refused
 * @throws the signal's reason
 */
export async function readPickle(
  bytes: Uint8Array<ArrayBuffer>,
  file: string,
  signal?: AbortSignal,
): Promise<Value> {
  if (bytes.length > MAX_PICKLE_BYTES) {
    throw new WeightsError(
      `${printable(file)}: its pickle has ${bytes.length} bytes, at most ${MAX_PICKLE_BYTES} are allowed.`,
    )
  }
  const machine = new PickleMachine(bytes, file)
  for (let steps = 1; ; steps++) {
    const result = machine.step()
    if (result !== undefined) return result
    if (steps === MAX_STEPS) {
      throw new WeightsError(
        `${printable(file)}: its pickle has more than the ${MAX_STEPS} instructions that are allowed. ` +
          SAVE_TENSORS,
      )
    }
    if (steps % STEPS_PER_TURN === 0) await breathe(signal)
  }
}

const SAVE_TENSORS = 'Save the tensors alone: torch.save(model.state_dict(), path).'

class PickleMachine {
  readonly #bytes: Uint8Array<ArrayBuffer>
  readonly #view: DataView<ArrayBuffer>
  readonly #file: string
  #at = 0
  readonly #stack: Value[] = []
  /** Heights of the stack. */
  readonly #marks: number[] = []
  readonly #memo = new Map<number, Value>()

  constructor(bytes: Uint8Array<ArrayBuffer>, file: string) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    this.#file = printable(file)
  }

  /** Does an instruction. @returns the result, after the last one */
  step(): Value | undefined {
    const begin = this.#at
    const code = this.#byte()
    switch (code) {
      case 0x80: {
        // PROTO
        const protocol = this.#byte()
        if (protocol < 2 || protocol > 5) this.#fail(`its protocol is ${protocol}, expected 2 to 5`)
        return undefined
      }
      case 0x95: // FRAME: bytes that follow, which we have all at hand
        this.#take(8)
        return undefined
      case 0x2e: // STOP
        return this.#pop()

      // Constants
      case 0x4e: // NONE
        return this.#push(null)
      case 0x88: // NEWTRUE
        return this.#push(true)
      case 0x89: // NEWFALSE
        return this.#push(false)
      case 0x4b: // BININT1
        return this.#push(this.#byte())
      case 0x4d: // BININT2
        return this.#push(this.#view.getUint16(this.#take(2), true))
      case 0x4a: // BININT
        return this.#push(this.#view.getInt32(this.#take(4), true))
      case 0x8a: // LONG1
        return this.#push(this.#long(this.#byte()))
      case 0x8b: // LONG4
        return this.#push(this.#long(this.#length(4)))
      case 0x47: // BINFLOAT
        this.#take(8)
        return this.#push(new Other('a float'))
      case 0x58: // BINUNICODE
        return this.#push(this.#text(this.#length(4)))
      case 0x8c: // SHORT_BINUNICODE
        return this.#push(this.#text(this.#byte()))
      case 0x8d: // BINUNICODE8
        return this.#push(this.#text(this.#length(8)))
      case 0x55: // SHORT_BINSTRING
        return this.#push(this.#skip(this.#byte()))
      case 0x54: // BINSTRING
        return this.#push(this.#skip(this.#length(4)))
      case 0x43: // SHORT_BINBYTES
        return this.#push(this.#skip(this.#byte()))
      case 0x42: // BINBYTES
        return this.#push(this.#skip(this.#length(4)))
      case 0x8e: // BINBYTES8
      case 0x96: // BYTEARRAY8
        return this.#push(this.#skip(this.#length(8)))

      // Containers
      case 0x28: // MARK
        if (this.#marks.length === MAX_MARKS) this.#fail(`it nests deeper than ${MAX_MARKS}`)
        this.#marks.push(this.#stack.length)
        return undefined
      case 0x29: // EMPTY_TUPLE
        return this.#push(new Tuple([]))
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: // TUPLE3
        return this.#push(new Tuple(this.#popMany(code - 0x84)))
      case 0x74: // TUPLE
        return this.#push(new Tuple(this.#popToMark()))
      case 0x5d: // EMPTY_LIST
        return this.#push(new List())
      case 0x61: // APPEND
        return this.#append(this.#popMany(1))
      case 0x65: // APPENDS
        return this.#append(this.#popToMark())
      case 0x7d: // EMPTY_DICT
        return this.#push(new Dict())
      case 0x73: // SETITEM
        return this.#setItems(this.#popMany(2))
      case 0x75: // SETITEMS
        return this.#setItems(this.#popToMark())
      case 0x8f: // EMPTY_SET
        return this.#push(new Other('a set'))
      case 0x90: // ADDITEMS
        this.#popToMark()
        return this.#expectOther('a set')
      case 0x91: // FROZENSET
        this.#popToMark()
        return this.#push(new Other('a set'))

      // The stack and the memo
      case 0x30: // POP
        this.#pop()
        return undefined
      case 0x31: // POP_MARK
        this.#popToMark()
        return undefined
      case 0x32: // DUP
        return this.#push(this.#top())
      case 0x71: // BINPUT
        this.#memo.set(this.#byte(), this.#top())
        return undefined
      case 0x72: // LONG_BINPUT
        this.#memo.set(this.#view.getUint32(this.#take(4), true), this.#top())
        return undefined
      case 0x94: // MEMOIZE
        this.#memo.set(this.#memo.size, this.#top())
        return undefined
      case 0x68: // BINGET
        return this.#get(this.#byte())
      case 0x6a: // LONG_BINGET
        return this.#get(this.#view.getUint32(this.#take(4), true))

      // Names and calls
      case 0x63: // GLOBAL
        return this.#global(this.#line(), this.#line())
      case 0x93: {
        // STACK_GLOBAL
        const [module, name] = this.#popMany(2)
        if (typeof module !== 'string' || typeof name !== 'string') {
          return this.#fail(`it names ${kindOf(module)} and ${kindOf(name)} as a global`)
        }
        return this.#global(module, name)
      }
      case 0x52: {
        // REDUCE
        const [called, args] = this.#popMany(2)
        return this.#push(this.#call(called, args))
      }
      case 0x51: {
        // BINPERSID
        const id = this.#pop()
        if (!(id instanceof Tuple) || id.items[0] !== 'storage') {
          return this.#fail(`it refers to ${kindOf(id)} outside of itself, expected a storage`)
        }
        return this.#push(new TorchStorage(id))
      }
      case 0x62: {
        // BUILD: attributes of an OrderedDict, such as the _metadata of a state_dict
        this.#pop()
        const built = this.#top()
        if (!(built instanceof Dict)) this.#fail(`it sets attributes of ${kindOf(built)}`)
        return undefined
      }
      default:
        return this.#fail(
          `the instruction 0x${code.toString(16).padStart(2, '0')} at byte ${begin} is none that torch.save writes`,
        )
    }
  }

  #global(module: string, own: string): undefined {
    const name = `${module}.${own}`
    if (!GLOBALS.has(name)) {
      throw new WeightsError(
        `${this.#file}: its pickle asks for ${quoted(name)}, which is not needed for tensors, so it is refused. ` +
          `Nothing of the file was executed. ${SAVE_TENSORS}`,
      )
    }
    return this.#push(new Global(name))
  }

  #call(called: Value | undefined, args: Value | undefined): Value {
    if (!(called instanceof Global) || !(args instanceof Tuple)) {
      return this.#fail(`it calls ${kindOf(called)} with ${kindOf(args)}`)
    }
    const { name } = called
    const [first, second, third] = args.items
    switch (GLOBALS.get(name)) {
      case 'dict':
        if (args.items.length === 0) return new Dict()
        return first instanceof Dict && args.items.length === 1 ? first : this.#badCall(name, args)
      case 'size':
        return first instanceof Tuple && args.items.length === 1 ? first : this.#badCall(name, args)
      case 'tensor':
        return new Rebuilt(name, args)
      case 'parameter':
        return first instanceof Rebuilt ? first : this.#badCall(name, args)
      case 'subclass': {
        // A tensor with attributes: (function, type, arguments, attributes)
        const isPlain = second instanceof Global && GLOBALS.get(second.name) === 'word'
        const isTensor =
          first instanceof Global && ['tensor', 'parameter'].includes(GLOBALS.get(first.name) ?? '')
        return isPlain && isTensor ? this.#call(first, third) : this.#badCall(name, args)
      }
      case 'other':
        return new Other(name)
      default:
        return this.#badCall(name, args)
    }
  }

  #badCall(name: string, { items }: Tuple): never {
    const kinds = items.slice(0, 4).map(kindOf).join(', ')
    return this.#fail(`it calls ${name} with ${kinds || 'nothing'}`)
  }

  #append(items: readonly Value[]): undefined {
    const list = this.#top()
    if (!(list instanceof List)) return this.#fail(`it appends to ${kindOf(list)}`)
    for (const item of items) list.items.push(item)
    return undefined
  }

  #setItems(items: readonly Value[]): undefined {
    const dict = this.#top()
    if (!(dict instanceof Dict)) return this.#fail(`it sets items of ${kindOf(dict)}`)
    if (items.length % 2 !== 0) return this.#fail('it sets an item without a value')
    for (let i = 0; i + 1 < items.length; i += 2) dict.entries.set(items[i] as Value, items[i + 1] as Value)
    return undefined
  }

  #expectOther(what: string): undefined {
    const top = this.#top()
    if (!(top instanceof Other) || top.what !== what) this.#fail(`it takes ${kindOf(top)} for ${what}`)
    return undefined
  }

  #get(index: number): undefined {
    const value = this.#memo.get(index)
    if (value === undefined) return this.#fail(`it asks for value ${index}, which was not kept`)
    return this.#push(value)
  }

  // -------------------------------------------------------------------------------------------------------
  // The stack

  #push(value: Value): undefined {
    if (this.#stack.length === MAX_STACK) this.#fail(`its stack has more than ${MAX_STACK} values`)
    this.#stack.push(value)
    return undefined
  }

  #top(): Value {
    const value = this.#stack.at(-1)
    if (value === undefined || this.#stack.length <= (this.#marks.at(-1) ?? 0)) return this.#fail(EMPTY)
    return value
  }

  #pop(): Value {
    const value = this.#top()
    this.#stack.pop()
    return value
  }

  #popMany(count: number): Value[] {
    if (this.#stack.length - (this.#marks.at(-1) ?? 0) < count) this.#fail(EMPTY)
    return this.#stack.splice(-count)
  }

  #popToMark(): Value[] {
    const mark = this.#marks.pop()
    return mark === undefined ? this.#fail(EMPTY) : this.#stack.splice(mark)
  }

  // -------------------------------------------------------------------------------------------------------
  // Bytes

  #byte(): number {
    return this.#view.getUint8(this.#take(1))
  }

  /** @returns where they begin */
  #take(count: number): number {
    const begin = this.#at
    if (count > this.#bytes.length - begin)
      this.#fail('it ends in the middle. Copy or download the file again')
    this.#at += count
    return begin
  }

  #length(bytes: 4 | 8): number {
    const at = this.#take(bytes)
    if (bytes === 4) return this.#view.getUint32(at, true)
    const length = this.#view.getBigUint64(at, true)
    return length > MAX_PICKLE_BYTES ? Number.POSITIVE_INFINITY : Number(length)
  }

  #text(length: number): string {
    const begin = this.#take(length)
    try {
      return utf8.decode(this.#bytes.subarray(begin, begin + length))
    } catch {
      // Python's strings may have half a surrogate pair in them; no tensor is named so
      return this.#fail(`the text at byte ${begin} is not UTF-8`)
    }
  }

  #skip(length: number): Other {
    this.#take(length)
    return new Other('bytes')
  }

  /** Little endian, with a sign. One that no size can have is passed over. */
  #long(length: number): Value {
    const begin = this.#take(length)
    if (length > 8) return new Other('a large number')
    let value = 0n
    for (let i = 0; i < length; i++) value |= BigInt(this.#view.getUint8(begin + i)) << BigInt(8 * i)
    const number = Number(BigInt.asIntN(8 * length, value))
    return Number.isSafeInteger(number) ? number : new Other('a large number')
  }

  /** The text up to the next line feed. */
  #line(): string {
    const begin = this.#at
    const end = this.#bytes.subarray(begin, begin + MAX_LINE).indexOf(0x0a)
    if (end < 0) return this.#fail(`a name at byte ${begin} has no end`)
    const text = this.#text(end)
    this.#take(1)
    return text
  }

  #fail(what: string): never {
    throw new WeightsError(`${this.#file}: its pickle can't be read: ${what}.`)
  }
}

const EMPTY = 'it takes a value from an empty stack'
