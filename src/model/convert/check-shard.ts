// Recognises a shard of a conversion: its header is the expected one but for checksums, and its data matches these.

import type { FileHandle } from 'node:fs/promises'
import { crc32 } from '../../io/image/crc32.ts'
import { CHECKSUMS } from '../../io/safetensors-writer.ts'
import { Sha256 } from '../../io/sha256.ts'
import { openRegular, readInto } from '../../regular-file.ts'
import { CONVERSION, type ShardPlan } from './convert-plan.ts'

const CHUNK = 4 * 2 ** 20
/** The most bytes of a header that is read. */
const MAX_HEADER_BYTES = 100_000_000

/** The kind of a file. */
export interface ShardReport {
  /** `whole`: the shard; `other`: of another conversion; `damaged`: the shard, but not its data. */
  readonly state: 'whole' | 'other' | 'damaged'
  /** The hash of a whole shard, in hex. */
  readonly sha256?: string
  /** The conversion that a header belongs to, by its own words. */
  readonly conversion?: string | undefined
}

/**
 * Compares a file with the shard that it should be.
 *
 * @throws FileProblem if it can't be read
 */
export async function checkShard(
  path: string,
  { outline }: Pick<ShardPlan, 'outline'>,
  signal: AbortSignal,
  onRead: (bytes: number) => void = () => undefined,
): Promise<ShardReport> {
  const { file, size } = await openRegular(path)
  try {
    // 1. The header
    const header = await headerOf(file, size, signal)
    const { conversion, checksums } = header
      ? factsIn(header)
      : { conversion: undefined, checksums: undefined }
    if (!header || !checksums || !isSame(header, outline.header(checksums)))
      return { state: 'other', conversion }
    if (size !== outline.size) return { state: 'damaged' }

    // 2. The data, whose checksums it lists
    const hash = new Sha256().update(header)
    for (const { name, begin, end } of outline.tensors) {
      let checksum = 0
      for (let at = begin; at < end; at += CHUNK) {
        const bytes = new Uint8Array(Math.min(CHUNK, end - at))
        if ((await readInto(file, bytes, at, signal)) < bytes.length) return { state: 'damaged' }
        checksum = crc32(bytes, checksum)
        hash.update(bytes)
        onRead(bytes.length)
      }
      if (checksum !== checksums.get(name)) return { state: 'damaged' }
    }
    return { state: 'whole', sha256: hash.digest() }
  } finally {
    await file.close()
  }
}

/** The length and the text of a header. */
async function headerOf(
  file: FileHandle,
  size: number,
  signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const first = new Uint8Array(8)
  if ((await readInto(file, first, 0, signal)) < 8) return undefined
  const length = Number(new DataView(first.buffer).getBigUint64(0, true))
  if (length > MAX_HEADER_BYTES || 8 + length > size) return undefined
  const header = new Uint8Array(8 + length)
  await readInto(file, header, 0, signal)
  return header
}

/** The facts in a header of ours; none of one that isn't. */
function factsIn(header: Uint8Array): {
  readonly conversion?: string
  readonly checksums?: ReadonlyMap<string, number>
} {
  try {
    const { __metadata__: metadata } = JSON.parse(new TextDecoder().decode(header.subarray(8)))
    const { [CONVERSION]: conversion, [CHECKSUMS]: listed } = metadata
    const checksums = Object.entries(JSON.parse(listed)).map(([name, digits]): [string, number] => [
      name,
      Number.parseInt(String(digits), 16),
    ])
    return { conversion: String(conversion), checksums: new Map(checksums) }
  } catch {
    return {}
  }
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}
