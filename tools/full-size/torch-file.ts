// The same checkpoint as torch.save writes it: pytorch_model.bin, slice by slice, past 4 GiB too. A tied head of the
// language model shares the embedding's storage there, as in PyTorch.

import { type FileHandle, open } from 'node:fs/promises'
import { entryOf, expectDefined } from '../../src/check.ts'
import type { Checkpoint } from '../../src/io/checkpoint/checkpoint.ts'
import { crc32 } from '../../src/io/image/crc32.ts'
import { EMBEDDING_NAME, HEAD_NAME } from '../../src/model/checkpoint/fit.ts'
import { type Sparse, type TorchTensor, torchEntries } from '../../test/io/torch/torch-writer.ts'
import { type Entry, layout } from '../../test/io/torch/zip-writer.ts'

/** Bytes of a tensor in memory at a time. */
const SLICE_BYTES = 4 * 2 ** 20

/**
 * Writes all tensors of a checkpoint into one file of PyTorch.
 *
 * @param isTied whether the head is the embedding
 */
export async function writeTorchFile(path: string, checkpoint: Checkpoint, isTied: boolean): Promise<void> {
  // 1. The archive without the tensors' bytes: a mark of no bytes tells where each storage begins
  const storages = new Map<string, Sparse>()
  const tensors = [...checkpoint.tensors.values()].map(({ name, dtype, shape, begin, end }): TorchTensor => {
    const storage: Sparse = { size: end - begin, pieces: [[0, new Uint8Array()]] }
    storages.set(name, storage)
    return { name, dtype, shape, bytes: storage }
  })
  const embedding = tensors.find(({ name }) => name === EMBEDDING_NAME)
  const tied = isTied && embedding && !checkpoint.tensors.has(HEAD_NAME)
  const entries = torchEntries(tied ? [...tensors, { ...embedding, name: HEAD_NAME }] : tensors)
  const places = new Map(layout(entries).pieces.map(([at, bytes]) => [bytes, at]))

  // 2. The bytes, and their checksums
  const sums = new Map<Entry['data'], number>()
  const file = await open(path, 'w')
  try {
    for (const [name, storage] of storages) {
      const [, mark] = entryOf(storage.pieces, 0)
      const at = expectDefined(places.get(mark), `the place of ${name}`)
      let sum = 0
      for await (const { offset, bytes } of checkpoint.slices(name, SLICE_BYTES)) {
        sum = crc32(bytes, sum)
        await writeAt(file, at + offset, bytes)
      }
      sums.set(storage, sum)
    }

    // 3. All else, which has the checksums in it
    const whole = layout(
      entries.map((entry) => {
        const crc = sums.get(entry.data)
        return crc === undefined ? entry : { ...entry, crc }
      }),
    )
    for (const [at, bytes] of whole.pieces) await writeAt(file, at, bytes)
    await file.truncate(whole.size)
  } finally {
    await file.close()
  }
}

async function writeAt(file: FileHandle, at: number, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, at + done)
    done += bytesWritten
  }
}

/**
 * The number of tensors of a checkpoint that have the same bits in another.
 *
 * @throws Error naming the first that hasn't
 */
export async function countSame(checkpoint: Checkpoint, other: Checkpoint): Promise<number> {
  for (const { name, dtype, shape } of checkpoint.tensors.values()) {
    const twin = other.tensors.get(name)
    if (twin?.dtype !== dtype || twin.shape.join() !== shape.join()) {
      throw new Error(`full-size: ${name} is [${shape.join(', ')}] ${dtype} in ${checkpoint.name} alone.`)
    }
    const theirs = other.slices(name, SLICE_BYTES)
    for await (const { offset, bytes } of checkpoint.slices(name, SLICE_BYTES)) {
      const next = await theirs.next()
      if (next.done || Buffer.compare(bytes, next.value.bytes) !== 0) {
        throw new Error(`full-size: ${name} has other bits in ${other.name}, from byte ${offset} on.`)
      }
    }
  }
  return checkpoint.tensors.size
}
