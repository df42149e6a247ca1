// Safetensors files for tests: one that the Python package wrote, and others put together by hand.

import { readFileSync } from 'node:fs'
import { type Checkpoint, openSafetensors } from '../../src/io/safetensors.ts'
import { bytesSource } from '../../src/io/source.ts'

export const python = new Uint8Array(readFileSync('test/fixtures/io/python.safetensors'))

export async function open(bytes: Uint8Array): Promise<Checkpoint> {
  return openSafetensors(bytesSource(bytes, 'some.safetensors'))
}

/** A file with this header, as it stands, and `data` zeros after it. */
export function file(header: string | Uint8Array, data = 0, claimed?: bigint): Uint8Array<ArrayBuffer> {
  const text = typeof header === 'string' ? new TextEncoder().encode(header) : header
  const bytes = new Uint8Array(8 + text.length + data)
  new DataView(bytes.buffer).setBigUint64(0, claimed ?? BigInt(text.length), true)
  bytes.set(text, 8)
  return bytes
}

/** A file of tensors given as name: [dtype, shape, begin, end]. */
export function fileOf(
  entries: Record<string, [string, unknown, unknown, unknown]>,
  data: number,
): Uint8Array<ArrayBuffer> {
  const header = Object.entries(entries).map(
    ([name, [dtype, shape, ...data_offsets]]) =>
      `${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets })}`,
  )
  return file(`{${header.join()}}`, data)
}
