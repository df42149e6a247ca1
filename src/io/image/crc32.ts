// CRC-32 as of zlib, PNG and Ethernet (ISO 3309): polynomial 0xedb88320, bits reflected. By the host where it has one.

import { hostCrc32 } from '#hash'
import { viewOf } from '../../view.ts'

/** The remainder of each byte, as a word. */
const TABLE = new DataView(new ArrayBuffer(256 * 4))
for (let byte = 0; byte < 256; byte++) {
  let crc = byte
  for (let k = 0; k < 8; k++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0)
  TABLE.setInt32(4 * byte, crc, true)
}

/**
 * The checksum of bytes, from 0 to 2^32 - 1.
 *
 * @param crc of the bytes before, for data that comes in pieces
 */
export function crc32(bytes: Uint8Array, crc = 0): number {
  return hostCrc32 ? hostCrc32(bytes, crc) : portableCrc32(bytes, crc)
}

/** Ours, which runs anywhere. */
export function portableCrc32(bytes: Uint8Array, crc = 0): number {
  let rest = ~crc
  const view = viewOf(bytes) // a typed array's iterator takes three times as long
  for (let i = 0; i < bytes.length; i++) {
    rest = TABLE.getInt32(4 * ((rest ^ view.getUint8(i)) & 255), true) ^ (rest >>> 8)
  }
  return ~rest >>> 0
}
