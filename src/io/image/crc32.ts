// CRC-32 as of zlib, PNG and Ethernet (ISO 3309): polynomial 0xedb88320, bits reflected. By the
// host where it has one.

import { hostCrc32 } from '#hash'

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let k = 0; k < 8; k++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0)
  return crc
})

/** @param crc of the bytes before, for data that comes in pieces */
export function crc32(bytes: Uint8Array, crc = 0): number {
  return hostCrc32 ? hostCrc32(bytes, crc) : portableCrc32(bytes, crc)
}

/** Ours, which runs anywhere. */
export function portableCrc32(bytes: Uint8Array, crc = 0): number {
  let rest = ~crc
  for (const byte of bytes) rest = TABLE[(rest ^ byte) & 255]! ^ (rest >>> 8)
  return ~rest >>> 0
}
