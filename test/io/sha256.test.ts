// SHA-256 in pieces is Node's own, wherever the pieces end.

import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { Sha256, sha256Hex } from '../../src/io/sha256.ts'

const bytes = Uint8Array.from({ length: 1000 }, (_, i) => (i * i * 31) >> 3)
const expected = (data: Uint8Array) => createHash('sha256').update(data).digest('hex')

test('of every length up to three blocks, and of a text', () => {
  for (let length = 0; length < 200; length++) {
    const data = bytes.subarray(0, length)
    expect(new Sha256().update(data).digest(), `${length} bytes`).toBe(expected(data))
  }
  expect(sha256Hex('größe')).toBe(expected(new TextEncoder().encode('größe')))
})

test('in pieces of any size', () => {
  for (const size of [1, 7, 63, 64, 65, 129, 999]) {
    const hash = new Sha256()
    for (let at = 0; at < bytes.length; at += size) hash.update(bytes.subarray(at, at + size))
    expect(hash.digest(), `${size} at a time`).toBe(expected(bytes))
  }
})
