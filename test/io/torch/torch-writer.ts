// A small torch.save: a dictionary of tensors as PyTorch's pickle and archive.

import type { Dtype } from '../../../src/io/checkpoint/dtype.ts'
import { stridesOf } from '../../../src/io/checkpoint/strided.ts'
import { type Entry, zip } from './zip-writer.ts'

/** A tensor to write. Tensors that give the same bytes share a storage. */
export interface TorchTensor {
  readonly name: string
  readonly dtype: Dtype
  readonly shape: readonly number[]
  readonly bytes: Uint8Array | Sparse
  /** In elements. */
  readonly strides?: readonly number[]
  readonly offset?: number
}

/** A storage that is zeros but for some pieces. */
export interface Sparse {
  readonly size: number
  readonly pieces: readonly (readonly [at: number, bytes: Uint8Array])[]
}

export interface TorchOptions {
  /** Dictionaries around the tensors, the outermost first: ['state_dict']. */
  readonly under?: readonly string[]
  readonly byteorder?: string
}

const STORAGES: Partial<Record<Dtype, string>> = {
  F64: 'Double',
  F32: 'Float',
  F16: 'Half',
  BF16: 'BFloat16',
  I64: 'Long',
  I32: 'Int',
  I16: 'Short',
  I8: 'Char',
  U8: 'Byte',
  BOOL: 'Bool',
}
const WIDTHS: Partial<Record<Dtype, number>> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
}

/** Whole files, byte by byte what PyTorch would need to read them. */
export function writeTorch(
  tensors: Iterable<TorchTensor>,
  options: TorchOptions = {},
): Uint8Array<ArrayBuffer> {
  return zip(torchEntries(tensors, options))
}

export function torchEntries(
  tensors: Iterable<TorchTensor>,
  { under = [], byteorder = 'little' }: TorchOptions = {},
): Entry[] {
  const keys = new Map<Uint8Array | Sparse, string>()
  const pickle = new Pickle().op(0x80, 2)
  for (const key of under) pickle.op(0x7d).mark().text(key)
  pickle.op(0x7d).mark()
  for (const { name, dtype, shape, bytes, strides = stridesOf(shape), offset = 0 } of tensors) {
    const key = keys.get(bytes) ?? `${keys.size}`
    keys.set(bytes, key)
    const size = bytes instanceof Uint8Array ? bytes.length : bytes.size
    pickle.text(name).global('torch._utils', '_rebuild_tensor_v2').mark()
    pickle.mark().text('storage').global('torch', `${STORAGES[dtype]}Storage`).text(key).text('cpu')
    pickle.int(size / (WIDTHS[dtype] ?? Number.NaN)).op(0x74, 0x51)
    pickle.int(offset).tuple(shape).tuple(strides).op(0x89)
    pickle.global('collections', 'OrderedDict').op(0x29, 0x52, 0x74, 0x52)
  }
  pickle.op(0x75)
  for (const _ of under) pickle.op(0x75)
  const text = (name: string, content: string): Entry => ({
    name: `archive/${name}`,
    data: new TextEncoder().encode(content),
  })
  return [
    { name: 'archive/data.pkl', data: pickle.op(0x2e).bytes() },
    text('byteorder', byteorder),
    ...[...keys].map(([data, key]): Entry => ({ name: `archive/data/${key}`, data })),
    text('version', '3\n'),
    text('.data/serialization_id', '0'.repeat(40)),
  ]
}

/** Writes a pickle, instruction by instruction. */
export class Pickle {
  #pieces: Uint8Array[] = []

  op(...bytes: readonly number[]): this {
    return this.add(Uint8Array.from(bytes))
  }

  /** Instructions as they are. */
  add(bytes: Uint8Array): this {
    this.#pieces.push(bytes)
    return this
  }

  mark(): this {
    return this.op(0x28)
  }

  text(text: string): this {
    const bytes = new TextEncoder().encode(text)
    const length = new Uint8Array(4)
    new DataView(length.buffer).setUint32(0, bytes.length, true)
    this.#pieces.push(Uint8Array.of(0x58), length, bytes)
    return this
  }

  global(module: string, name: string): this {
    this.#pieces.push(Uint8Array.of(0x63), new TextEncoder().encode(`${module}\n${name}\n`))
    return this
  }

  /** Eight bytes for all. */
  int(value: number): this {
    const bytes = new Uint8Array(8)
    new DataView(bytes.buffer).setBigInt64(0, BigInt(value), true)
    this.#pieces.push(Uint8Array.of(0x8a, 8), bytes)
    return this
  }

  tuple(values: readonly number[]): this {
    this.mark()
    for (const value of values) this.int(value)
    return this.op(0x74)
  }

  bytes(): Uint8Array<ArrayBuffer> {
    const all = new Uint8Array(this.#pieces.reduce((sum, { length }) => sum + length, 0))
    let at = 0
    for (const piece of this.#pieces) {
      all.set(piece, at)
      at += piece.length
    }
    return all
  }
}
