// A hostile pickle is refused, in time and memory that its size bounds; what torch.save may write is read.

import { describe, expect, test } from 'vitest'
import { WeightsError } from '../../../src/errors.ts'
import { MAX_PICKLE_BYTES, readPickle } from '../../../src/io/torch/pickle.ts'
import { namedTensors } from '../../../src/io/torch/state-dict.ts'
import { Dict, kindOf, List, Other, type Value } from '../../../src/io/torch/values.ts'
import { Pickle } from './torch-writer.ts'

const start = (): Pickle => new Pickle().op(0x80, 2)
const [STOP, MARK, TUPLE, REDUCE, EMPTY_DICT, EMPTY_LIST, SETITEM, SETITEMS, APPEND, APPENDS] = [
  0x2e, 0x28, 0x74, 0x52, 0x7d, 0x5d, 0x73, 0x75, 0x61, 0x65,
] as const
const [BINPUT, BINGET, DUP, POP, TUPLE1, TUPLE2, NONE, BUILD, BINPERSID, NEWOBJ] = [
  0x71, 0x68, 0x32, 0x30, 0x85, 0x86, 0x4e, 0x62, 0x51, 0x81,
] as const

const read = (pickle: Pickle | Uint8Array<ArrayBuffer>): Promise<Value> =>
  readPickle(pickle instanceof Pickle ? pickle.bytes() : pickle, 'x.bin')

/** A tensor on the stack, of a storage '0' with one number. */
function tensor(pickle: Pickle): Pickle {
  pickle.global('torch._utils', '_rebuild_tensor_v2').mark()
  pickle
    .mark()
    .text('storage')
    .global('torch', 'FloatStorage')
    .text('0')
    .text('cpu')
    .int(1)
    .op(TUPLE, BINPERSID)
  return pickle.int(0).tuple([1]).tuple([1]).op(0x89, NONE, TUPLE, REDUCE)
}

const repeated = (count: number, ...ops: number[]): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(count * ops.length)
  for (let i = 0; i < bytes.length; i++) bytes[i] = ops[i % ops.length] ?? 0
  return bytes
}

describe('plain data', () => {
  test.each<[string, Pickle, unknown]>([
    ['nothing', start().op(NONE, STOP), null],
    ['a byte', start().op(0x4b, 255, STOP), 255],
    ['two bytes', start().op(0x4d, 1, 2, STOP), 513],
    ['four bytes, with a sign', start().op(0x4a, 0xfe, 0xff, 0xff, 0xff, STOP), -2],
    ['no bytes at all', start().op(0x8a, 0, STOP), 0],
    ['a long of three bytes', start().op(0x8a, 3, 0, 0, 1, STOP), 65536],
    ['a negative long', start().op(0x8a, 1, 0x80, STOP), -128],
    [
      'a size of 2^40',
      start()
        .int(2 ** 40)
        .op(STOP),
      2 ** 40,
    ],
    ['a long with a length of four bytes', start().op(0x8b, 2, 0, 0, 0, 0, 1, STOP), 256],
    ['a text', start().text('größe').op(STOP), 'größe'],
    ['a short text', start().op(0x8c, 2, 0xc3, 0xa9, STOP), 'é'],
    ['a text with a length of eight bytes', start().op(0x8d, 1, 0, 0, 0, 0, 0, 0, 0, 65, STOP), 'A'],
    ['true and false', start().op(0x88, 0x89, TUPLE2, STOP), { items: [true, false] }],
    [
      'frames and a memo of protocol 4',
      new Pickle().op(0x80, 4, 0x95, 9, 0, 0, 0, 0, 0, 0, 0, 0x8c, 1, 65, 0x94, BINGET, 0, TUPLE2, STOP),
      { items: ['A', 'A'] },
    ],
    ['the stack', start().op(NONE, NONE, POP, DUP, TUPLE2, STOP), { items: [null, null] }],
  ])('%s', async (_, pickle, value) => {
    const result = await read(pickle)
    if (typeof value === 'object' && value !== null) expect(result).toMatchObject(value)
    else expect(result).toBe(value)
  })

  test('a dictionary keeps its order, and the last of two equal keys', async () => {
    const dict = await read(
      start().op(EMPTY_DICT, MARK).text('b').op(NONE).text('a').op(NONE).text('b').int(7).op(SETITEMS, STOP),
    )
    expect(dict).toBeInstanceOf(Dict)
    expect(dict instanceof Dict && [...dict.entries]).toEqual([
      ['b', 7],
      ['a', null],
    ])
  })

  test('values of no use are passed over: floats, bytes, sets, large numbers, devices', async () => {
    const list = start().op(EMPTY_LIST, MARK)
    list.op(0x47, 0, 0, 0, 0, 0, 0, 0, 0)
    list.op(0x43, 2, 1, 2)
    list.op(0x55, 1, 65)
    list.op(0x8f, MARK, NONE, 0x90)
    list.op(0x8a, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9)
    list.int(Number.MAX_SAFE_INTEGER).op(0x8a, 8, 0, 0, 0, 0, 0, 0, 0x20, 0)
    list.global('torch', 'device').text('cuda:0').op(TUPLE1, REDUCE)
    list.global('__builtin__', 'set').op(EMPTY_LIST, TUPLE1, REDUCE)
    const value = await read(list.op(APPENDS, STOP))
    const kinds =
      value instanceof List ? value.items.map((item) => (item instanceof Other ? item.what : item)) : []
    expect(kinds).toEqual([
      'a float',
      'bytes',
      'bytes',
      'a set',
      'a large number',
      Number.MAX_SAFE_INTEGER,
      'a large number',
      'torch.device',
      '__builtin__.set',
    ])
  })
})

describe('refused by name', () => {
  const called = (module: string, name: string) =>
    start().global(module, name).text('x').op(TUPLE1, REDUCE, STOP)
  test.each([
    ['os', 'system'],
    ['posix', 'system'],
    ['builtins', 'eval'],
    ['__builtin__', 'exec'],
    ['subprocess', 'Popen'],
    ['torch', 'load'],
    ['torch.storage', '_load_from_bytes'],
    ['torch._utils', '_rebuild_wrapper_subclass'],
    ['numpy.core.multiarray', '_reconstruct'],
    ['collections', 'defaultdict'],
    ['copyreg', '_reconstructor'],
    ['__main__', 'Model'],
    ['constructor', 'toString'],
    ['__proto__', 'x'],
  ])('%s.%s', async (module, name) => {
    const said = `x.bin: its pickle asks for "${module}.${name}", which is not needed for tensors`
    await expect(read(called(module, name))).rejects.toThrow(said)
    // Or from the stack
    const stacked = start().text(module).text(name).op(0x93, NONE, TUPLE1, REDUCE, STOP)
    await expect(read(stacked)).rejects.toThrow(said)
    // The same error comes if it is never called, and whatever comes after
    await expect(read(start().global(module, name).op(STOP))).rejects.toThrow(said)
  })

  test('and the name is made printable', async () => {
    const error = await read(start().global('os\u001b[2J', '\u202esystem\r')).catch((cause: unknown) => cause)
    expect(error).toBeInstanceOf(WeightsError)
    expect(String(error)).toContain(String.raw`"os\e[2J.\u{202e}system\r"`)
  })
})

describe('refused', () => {
  test.each<[string, Pickle, RegExp]>([
    [
      'an allowed word that is called',
      start().global('torch', 'FloatStorage').text('x').op(TUPLE1, REDUCE, STOP),
      /it calls torch\.FloatStorage with a string/,
    ],
    [
      'a dictionary with contents',
      start().global('collections', 'OrderedDict').op(EMPTY_LIST, TUPLE1, REDUCE, STOP),
      /it calls collections\.OrderedDict with a list/,
    ],
    [
      'a call of what is no function',
      start().text('x').op(0x29, REDUCE, STOP),
      /it calls a string with a tuple/,
    ],
    [
      'arguments that are none',
      start().global('torch', 'Size').op(NONE, REDUCE, STOP),
      /it calls torch\.Size with nothing/,
    ],
    [
      'a parameter of no tensor',
      start().global('torch._utils', '_rebuild_parameter').op(NONE, TUPLE1, REDUCE, STOP),
      /_rebuild_parameter with nothing/,
    ],
    [
      'a subclass of a subclass',
      start()
        .global('torch._tensor', '_rebuild_from_type_v2')
        .op(BINPUT, 0, MARK, BINGET, 0)
        .global('torch', 'Tensor')
        .op(0x29, NONE, TUPLE, REDUCE, STOP),
      /it calls torch\._tensor\._rebuild_from_type_v2 with/,
    ],
    ['attributes of a tensor', tensor(start()).op(EMPTY_DICT, BUILD, STOP), /it sets attributes of a tensor/],
    [
      'an object made anew',
      start().global('torch', 'Size').op(0x29, NEWOBJ, STOP),
      /the instruction 0x81 at byte \d+ is none that torch\.save writes/,
    ],
    ['an instruction of protocol 0', start().op(0x49, 0x31, 0x0a, STOP), /0x49 at byte 2/],
    ['another protocol', new Pickle().op(0x80, 0, NONE, STOP), /its protocol is 0, expected 2 to 5/],
    [
      'a reference to anything else',
      start().text('module').op(TUPLE1, BINPERSID, STOP),
      /it refers to a tuple outside of itself, expected a storage/,
    ],
    ['an empty stack', start().op(STOP), /from an empty stack/],
    ['values below a mark', start().op(NONE, MARK, POP, STOP), /from an empty stack/],
    ['a mark that is missing', start().op(NONE, TUPLE, STOP), /from an empty stack/],
    ['a value that was not kept', start().op(BINGET, 3, STOP), /it asks for value 3, which was not kept/],
    ['items of a list', start().op(EMPTY_LIST, NONE, NONE, SETITEM, STOP), /it sets items of a list/],
    [
      'a key without a value',
      start().op(EMPTY_DICT, MARK, NONE, SETITEMS, STOP),
      /it sets an item without a value/,
    ],
    ['a set that is none', start().op(NONE, MARK, 0x90, STOP), /it takes nothing for a set/],
    ['appending to a dictionary', start().op(EMPTY_DICT, NONE, APPEND, STOP), /it appends to a dictionary/],
    [
      'a name without an end',
      start().op(0x63, ...Array.from({ length: 2000 }, () => 65)),
      /a name at byte 3 has no end/,
    ],
    ['text that is not UTF-8', start().op(0x8c, 1, 0xff, STOP), /the text at byte 4 is not UTF-8/],
    [
      'a global that is no name',
      start().op(NONE, NONE, 0x93, STOP),
      /it names nothing and nothing as a global/,
    ],
  ])('%s', async (_, pickle, said) => {
    await expect(read(pickle)).rejects.toThrow(WeightsError)
    await expect(read(pickle)).rejects.toThrow(said)
    await expect(read(pickle)).rejects.toThrow(/^x\.bin: its pickle/)
  })

  test('of which every byte is missing once', async () => {
    const bytes = tensor(start().op(EMPTY_DICT, MARK).text('a')).op(SETITEMS, STOP).bytes()
    await read(bytes)
    for (let length = 0; length < bytes.length; length++) {
      await expect(read(bytes.slice(0, length))).rejects.toThrow(WeightsError)
    }
  })
})

describe('bounded', () => {
  /** In time that a tenfold slower machine would keep, and memory. */
  async function refusal(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
    const [began, heap] = [performance.now(), process.memoryUsage().rss]
    const error = await read(bytes).catch((cause: unknown) => cause)
    expect(performance.now() - began).toBeLessThan(10_000)
    expect(process.memoryUsage().rss - heap).toBeLessThan(1.2e9)
    expect(error).toBeInstanceOf(WeightsError)
    return String(error)
  }
  const of = (...parts: (Uint8Array<ArrayBuffer> | number[])[]): Uint8Array<ArrayBuffer> => {
    const pickle = start()
    for (const part of parts) pickle.add(Uint8Array.from(part))
    return pickle.bytes()
  }

  test.each<[string, () => Uint8Array<ArrayBuffer>, RegExp]>([
    [
      'empty lists without end',
      () => of(repeated(5_000_000, EMPTY_LIST)),
      /stack has more than 1000000 values/,
    ],
    [
      'lists in a list without end',
      () => of([EMPTY_LIST], repeated(5_000_000, EMPTY_LIST, APPEND)),
      /more than the 2000000 instructions/,
    ],
    ['marks in marks', () => of(repeated(100_000, MARK)), /it nests deeper than 1000/],
    ['tuples in tuples', () => of([NONE], repeated(5_000_000, TUPLE1)), /more than the 2000000 instructions/],
    ['a memo without end', () => of([NONE], repeated(5_000_000, 0x94)), /more than the 2000000 instructions/],
    [
      'a list doubled without end',
      () => of([EMPTY_LIST, BINPUT, 0], repeated(2_500_000, BINGET, 0, APPEND)),
      /more than the 2000000 instructions|appends to a/,
    ],
    ['a long of 4 GiB', () => of([0x8b, 255, 255, 255, 255, 1]), /it ends in the middle/],
    [
      'a text of 2^63 bytes',
      () => of([0x8d, 255, 255, 255, 255, 255, 255, 255, 127, 1]),
      /it ends in the middle/,
    ],
    [
      '64 MiB and a byte',
      () => new Uint8Array(MAX_PICKLE_BYTES + 1),
      /its pickle has 67108865 bytes, at most 67108864/,
    ],
  ])('%s', async (_, make, said) => {
    expect(await refusal(make())).toMatch(said)
  })

  test('dictionaries that hold each other a billion times name their tensors once', async () => {
    const pickle = tensor(start().op(EMPTY_DICT).text('t')).op(SETITEM)
    for (let i = 0; i < 200; i++) {
      // {'a': x, 'b': x} of the one before
      pickle
        .op(0x72)
        .op(i & 255, i >> 8, 0, 0)
        .op(POP, EMPTY_DICT, MARK)
        .text('a')
      pickle
        .op(0x6a)
        .op(i & 255, i >> 8, 0, 0)
        .text('b')
        .op(0x6a)
        .op(i & 255, i >> 8, 0, 0)
        .op(SETITEMS)
    }
    const root = await read(pickle.op(STOP))
    expect(() => namedTensors(root, 'x.bin')).toThrow(/nests deeper than 8/)
  })

  test('a dictionary that holds itself is read once', async () => {
    const pickle = tensor(start().op(EMPTY_DICT, BINPUT, 0).text('me').op(BINGET, 0, SETITEM).text('t')).op(
      SETITEM,
      STOP,
    )
    expect(namedTensors(await read(pickle), 'x.bin').map(({ name }) => name)).toEqual(['t'])
  })

  test('a signal stops it', async () => {
    const controller = new AbortController()
    controller.abort(new Error('enough'))
    await expect(readPickle(of(repeated(100_000, NONE, POP)), 'x.bin', controller.signal)).rejects.toThrow(
      'enough',
    )
  })
})

describe('names', () => {
  const dict = (pickle: Pickle, entries: Record<string, (inner: Pickle) => Pickle>): Pickle => {
    pickle.op(EMPTY_DICT, MARK)
    for (const [key, write] of Object.entries(entries)) write(pickle.text(key))
    return pickle.op(SETITEMS)
  }
  const namesOf = async (entries: Record<string, (inner: Pickle) => Pickle>): Promise<string[]> =>
    namedTensors(await read(dict(start(), entries).op(STOP)), 'x.bin').map(({ name }) => name)
  const weights = (inner: Pickle): Pickle => dict(inner, { a: tensor, 'b.c': tensor })
  const number = (inner: Pickle): Pickle => inner.int(3)

  test('are those of the dictionary that a program for training keeps the model under', async () => {
    expect(await namesOf({ a: tensor, n: number })).toEqual(['a'])
    const optimizer = (inner: Pickle): Pickle => dict(inner, { state: weights })
    for (const key of ['state_dict', 'model_state_dict', 'model', 'module', 'net']) {
      expect(await namesOf({ optimizer, epoch: number, [key]: weights })).toEqual(['a', 'b.c'])
    }
    expect(await namesOf({ loss: tensor, state_dict: weights })).toEqual(['a', 'b.c'])
    expect(await namesOf({ state_dict: (inner) => dict(inner, { model: weights }) })).toEqual(['a', 'b.c'])
    // The first that has tensors, in our order
    expect(await namesOf({ model: weights, state_dict: (inner) => dict(inner, { z: tensor }) })).toEqual([
      'z',
    ])
    expect(await namesOf({ state_dict: (inner) => dict(inner, { n: number }), model: weights })).toEqual([
      'a',
      'b.c',
    ])
  })

  test('are joined by dots where nobody knows the keys, lists by their indices', async () => {
    expect(await namesOf({ encoder: weights, head: (inner) => dict(inner, { w: tensor }) })).toEqual([
      'encoder.a',
      'encoder.b.c',
      'head.w',
    ])
    const list = (inner: Pickle): Pickle => tensor(tensor(inner.op(EMPTY_LIST)).op(APPEND)).op(APPEND)
    expect(await namesOf({ layers: list })).toEqual(['layers.0', 'layers.1'])
  })

  test('that occur twice, or are too long, are refused', async () => {
    const twice = namesOf({ 'a.b': tensor, a: (inner) => dict(inner, { b: tensor }) })
    await expect(twice).rejects.toThrow('x.bin, tensor "a.b": there are two tensors of this name.')
    await expect(namesOf({ ['x'.repeat(5000)]: tensor })).rejects.toThrow(
      /its name has more than 4096 characters/,
    )
  })
})

test('every kind of value has a name for messages', () => {
  expect([null, true, 1, 'a', new Dict(), new List(), new Other('a float')].map(kindOf)).toEqual([
    'nothing',
    'a number',
    'a number',
    'a string',
    'a dictionary',
    'a list',
    'a float',
  ])
})
