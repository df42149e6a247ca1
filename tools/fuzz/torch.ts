// Mutations of PyTorch's archives that know their parts: the pickle and the entries around it are changed, and the
// archive is put together again with sizes and checksums that are mostly right, so that what is changed is reached.

import { bytesSource } from '../../src/io/source.ts'
import { dataBegin, readDirectory } from '../../src/io/torch/zip.ts'
import { type Entry, zip } from '../../test/io/torch/zip-writer.ts'
import { mutateBytes } from './bytes.ts'
import type { Random } from './random.ts'

/** The entries of an archive, in the order of the file. */
export async function entriesOf(bytes: Uint8Array): Promise<Entry[]> {
  const source = bytesSource(bytes)
  const entries = [...(await readDirectory(source, undefined)).values()]
  return Promise.all(
    entries.map(async (entry) => {
      const data = await source.read(await dataBegin(source, entry, undefined), entry.size)
      return { name: entry.name, data }
    }),
  )
}

/** Instructions that move values, name them and call them, and those that a reader must not follow. */
const CODES = [
  0x28, 0x29, 0x2e, 0x30, 0x31, 0x32, 0x4b, 0x4e, 0x51, 0x52, 0x58, 0x5d, 0x61, 0x62, 0x63, 0x65, 0x68, 0x71,
  0x73, 0x74, 0x75, 0x7d, 0x81, 0x85, 0x86, 0x87, 0x88, 0x8a, 0x8b, 0x8c, 0x8f, 0x90, 0x93, 0x94,
]
const GLOBALS = [
  'cos\nsystem\n',
  'cbuiltins\neval\n',
  'ctorch\nSize\n',
  'ccollections\nOrderedDict\n',
  'ctorch\nFloatStorage\n',
]

function mutatePickle(random: Random, pickle: Uint8Array, others: readonly Uint8Array[]): Uint8Array {
  if (random.chance(0.5)) return mutateBytes(random, pickle, others)
  const bytes = [...pickle]
  for (let i = random.below(4); i >= 0; i--) {
    const at = random.below(bytes.length + 1)
    const text = random.chance(0.2) ? random.of(GLOBALS) : undefined
    const put = text ? [...new TextEncoder().encode(text)] : [random.of(CODES)]
    const times = random.chance(0.05) ? random.of([100, 10_000]) : 1
    const many = times === 1 ? put : Array.from({ length: times }, () => put[0] ?? 0)
    bytes.splice(at, random.below(3), ...many)
  }
  return Uint8Array.from(bytes)
}

export function mutateTorch(
  random: Random,
  entries: readonly Entry[],
  pickles: readonly Uint8Array[],
): Uint8Array {
  const changed = entries.flatMap((entry): Entry[] => {
    const { name, data } = entry
    if (!(data instanceof Uint8Array)) return [entry]
    if (name.endsWith('data.pkl') && random.chance(0.8)) {
      return [{ name, data: mutatePickle(random, data, pickles) }]
    }
    if (random.chance(0.97)) return [entry]
    switch (random.below(7)) {
      case 0:
        return []
      case 1:
        return [entry, entry]
      case 2:
        return [{ name, data: data.subarray(0, random.below(data.length + 1)) }]
      case 3:
        return [{ ...entry, method: random.of([8, 12, 99]) }]
      case 4:
        return [{ ...entry, listed: random.of([0, 1, data.length + 1, 2 ** 32, 2 ** 40]) }]
      case 5:
        return [{ ...entry, flags: random.below(2 ** 16) }]
      default:
        return [{ ...entry, crc: random.below(2 ** 32) }]
    }
  })
  return zip(changed, random.of([1, 64, 64, 64, 4096]))
}
