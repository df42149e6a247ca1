// The EXIF data of a WebP: browsers disagree about whether they turn it, so here it is turned in every runtime alike.

import { viewOf } from '../../view.ts'
import { orientationOf } from './orientation.ts'

/** The chunk's contents, as a place in the file. */
interface ExifChunk {
  readonly begin: number
  readonly end: number
}

/** The orientation that a WebP's EXIF data name, from 1 to 8; 1 is upright, also if there are none. */
export function webpOrientation(bytes: Uint8Array): number {
  const chunk = exifOf(bytes)
  if (!chunk) return 1
  const exif = bytes.subarray(chunk.begin, chunk.end)
  // Some programs begin it as in a JPEG
  const isMarked = idAt(exif, 0) === 'Exif'
  return orientationOf(isMarked ? exif.subarray(6) : exif) ?? 1
}

/** A copy whose EXIF data no decoder knows. */
export function withoutExif(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const chunk = exifOf(bytes)
  if (!chunk) return bytes
  const copy = new Uint8Array(bytes)
  copy.set(new TextEncoder().encode('none'), chunk.begin - 8)
  const flags = 20
  if (idAt(copy, 12) === 'VP8X') copy[flags] = viewOf(copy).getUint8(flags) & ~8
  return copy
}

function exifOf(bytes: Uint8Array): ExifChunk | undefined {
  const view = viewOf(bytes)
  for (let at = 12; at + 8 <= bytes.length; ) {
    const begin = at + 8
    const length = view.getUint32(at + 4, true)
    if (idAt(bytes, at) === 'EXIF') return { begin, end: begin + length }
    at = begin + length + (length & 1)
  }
  return undefined
}

function idAt(bytes: Uint8Array, at: number): string {
  return String.fromCharCode(...bytes.subarray(at, at + 4))
}
