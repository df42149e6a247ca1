// SHA-256 and CRC-32 in pieces, wherever the pieces end: ours are Node's own, and what the library takes is Node's.

import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import * as browser from '../../src/io/hash-browser.ts'
import * as host from '../../src/io/hash-host.ts'
import { crc32, portableCrc32 } from '../../src/io/image/crc32.ts'
import { PortableSha256, Sha256, sha256Hex } from '../../src/io/sha256.ts'

const bytes = Uint8Array.from({ length: 1000 }, (_, i) => (i * i * 31) >> 3)
const expected = (data: Uint8Array) => createHash('sha256').update(data).digest('hex')

test('Node takes its own, browsers ours', () => {
  expect(host.hostSha256?.().constructor.name).toBe('Hash')
  expect(host.hostCrc32?.(new TextEncoder().encode('123456789'), 0)).toBe(0xcbf43926)
  expect([browser.hostSha256, browser.hostCrc32]).toEqual([undefined, undefined])
})

for (const Hash of [Sha256, PortableSha256]) {
  test(`${Hash.name} of every length up to three blocks, and of a text`, () => {
    for (let length = 0; length < 200; length++) {
      const data = bytes.subarray(0, length)
      const hash = new Hash()
      hash.update(data)
      expect(hash.digest(), `${length} bytes`).toBe(expected(data))
    }
    expect(sha256Hex('größe')).toBe(expected(new TextEncoder().encode('größe')))
  })

  test(`${Hash.name} in pieces of any size, of which some are empty`, () => {
    for (const size of [1, 7, 63, 64, 65, 129, 999]) {
      const hash = new Hash()
      for (let at = 0; at < bytes.length; at += size) {
        hash.update(bytes.subarray(at, at + size))
        hash.update(new Uint8Array())
      }
      expect(hash.digest(), `${size} at a time`).toBe(expected(bytes))
    }
  })
}

/** By the polynomial, bit by bit. */
function crc32Reference(data: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of data) {
    crc ^= byte
    for (let k = 0; k < 8; k++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0)
  }
  return ~crc >>> 0
}

for (const [name, crc] of Object.entries({ crc32, portableCrc32 })) {
  test(`${name} of every length, at once and in two pieces`, () => {
    for (let length = 0; length < 100; length++) {
      const data = bytes.subarray(3, 3 + length)
      expect(crc(data), `${length} bytes`).toBe(crc32Reference(data))
      const half = length >> 1
      expect(crc(data.subarray(half), crc(data.subarray(0, half)))).toBe(crc32Reference(data))
    }
  })
}
