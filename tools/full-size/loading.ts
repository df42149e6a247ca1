// Loading weights that are stored in int4, against rounding them to it at load; and what the former is made up of.

import { performance } from 'node:perf_hooks'
import type { Gpu } from '../../src/gpu/gpu.ts'
import { Uploader } from '../../src/gpu/transfer.ts'
import { openFolder } from '../../src/io/folder.ts'
import { crc32 } from '../../src/io/image/crc32.ts'
import { openCheckpoint } from '../../src/io/open-checkpoint.ts'
import { allocatePacked, fitsPacked, PackedWriter } from '../../src/kernels/packed.ts'
import { loadModel } from '../../src/model/load.ts'
import { release } from '../../src/tensor/tensor.ts'

/** Runs of each measurement, in turns, as others may be at work on the machine. */
const TIMES = 3
const MIB = 2 ** 20
const SAMPLE_ROWS = 4096
const SAMPLE_COLUMNS = 4096

/** Milliseconds, each the least of a few, and bytes. */
export interface Loading {
  readonly adapter: string
  readonly rounding: number
  readonly stored: number
  /** Bytes of the stored weights' files. */
  readonly bytes: number
  /** MiB per second of each part of loading them, on this thread; none where rows stay as they are stored. */
  readonly rates: { readonly read: number; readonly hash: number; readonly place: number | undefined }
}

/** Loads both forms a few times. */
export async function compareLoading(gpu: Gpu, original: string, int4: string): Promise<Loading> {
  const load = async (folder: string, quantize?: 'int4'): Promise<number> => {
    const started = performance.now()
    const model = await loadModel(folder, { gpu, ...(quantize ? { quantize } : {}) })
    const ms = performance.now() - started
    model.release()
    return ms
  }
  await load(int4) // compiles its kernels, which both have
  const times: { rounding: number[]; stored: number[] } = { rounding: [], stored: [] }
  for (let i = 0; i < TIMES; i++) {
    times.rounding.push(await load(original, 'int4'))
    times.stored.push(await load(int4))
  }
  const { bytes, read, hash } = await readAll(int4)
  return {
    adapter: gpu.name,
    rounding: Math.min(...times.rounding),
    stored: Math.min(...times.stored),
    bytes,
    rates: { read, hash, place: await placing(gpu) },
  }
}

/** Reads and hashes the weights as loading does, but for what becomes of them. */
async function readAll(folder: string): Promise<{ bytes: number; read: number; hash: number }> {
  const checkpoint = await openCheckpoint(openFolder(folder))
  let [bytes, all, hashing] = [0, 0, 0]
  const started = performance.now()
  for (const { name } of checkpoint.tensors.values()) {
    for await (const slice of checkpoint.slices(name, 2 * MIB)) {
      const before = performance.now()
      crc32(slice.bytes)
      hashing += performance.now() - before
      bytes += slice.bytes.length
    }
  }
  all = performance.now() - started
  await checkpoint.close()
  const rate = (ms: number): number => bytes / MIB / (ms / 1000)
  // Slices are hashed once by the reader, and once here
  return { bytes, read: rate(all - 2 * hashing), hash: rate(hashing) }
}

/** Laying a matrix out for this adapter's kernels, and handing it to the device. */
async function placing(gpu: Gpu): Promise<number | undefined> {
  const weight = { shape: [SAMPLE_ROWS, SAMPLE_COLUMNS], dtype: 'int4' as const }
  if (!fitsPacked(gpu, weight)) return undefined
  const x = await allocatePacked(gpu, weight)
  const uploader = new Uploader(gpu)
  const codes = new Uint8Array((SAMPLE_ROWS * SAMPLE_COLUMNS) / 2).fill(0x59)
  const started = performance.now()
  for (let i = 0; i < 8; i++) {
    const writer = new PackedWriter(uploader, x)
    await writer.write(codes)
    await writer.finish()
  }
  await uploader.flush()
  const ms = performance.now() - started
  release(gpu, x)
  return (8 * codes.length) / MIB / (ms / 1000)
}
