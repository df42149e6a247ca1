// Files that PyTorch wrote, and the tensors that it reads from them (test/fixtures/io/torch_files.py).

import { readFileSync } from 'node:fs'
import type { Checkpoint } from '../../../src/io/checkpoint/checkpoint.ts'
import { crc32 } from '../../../src/io/image/crc32.ts'

export const FIXTURES = 'test/fixtures/io/torch'

/** A tensor, with the CRC-32 of its bytes. */
export type Row = readonly [name: string, dtype: string, shape: number[], crc: string]
/** By file. */
export const EXPECTED = JSON.parse(readFileSync(`${FIXTURES}/expected.json`, 'utf8')) as Record<string, Row[]>

/** The tensors that are read from a checkpoint, in the form of expected.json. */
export async function rowsOf(checkpoint: Checkpoint): Promise<Row[]> {
  const rows: Row[] = []
  for (const { name, dtype, shape } of checkpoint.tensors.values()) {
    const bytes = await checkpoint.read(name)
    rows.push([name, dtype, [...shape], crc32(bytes).toString(16).padStart(8, '0')])
  }
  return rows
}
