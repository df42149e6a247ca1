// Mutations of images that know their parts: chunks of PNG and WebP, segments of JPEG. Lengths and checksums are mostly
// right, so that what is changed is reached.

import { deflateSync } from 'node:zlib'
import { join, mutateBytes } from './bytes.ts'
import type { Random } from './random.ts'

interface Part {
  readonly type: string
  readonly data: Uint8Array
}

const latin = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0))

export function mutatePng(random: Random, bytes: Uint8Array, others: readonly Uint8Array[]): Uint8Array {
  const parts = mutateParts(random, pngChunks(bytes), others.flatMap(pngChunks), (part) => {
    const data = part.data.slice()
    const view = new DataView(data.buffer)
    if (part.type === 'IHDR' && data.length >= 13) {
      const size = random.of([0, 1, 2, 7, 100, 1000, 5000, 65_535, 2 ** 31 - 1, 2 ** 32 - 1])
      if (random.chance(0.6)) view.setUint32(random.of([0, 4]), size)
      else data[8 + random.below(5)] = random.of([0, 1, 2, 3, 4, 6, 8, 16, 255])
      return { ...part, data }
    }
    if (part.type === 'IDAT' && random.chance(0.5)) {
      const zeros = new Uint8Array(random.of([0, 1, 100, 1e5, 2e7]))
      return { ...part, data: deflateSync(zeros, { level: 1 }) }
    }
    return undefined
  })
  return join(bytes.subarray(0, 8), ...parts.map((part) => pngChunk(random, part)))
}

function pngChunks(bytes: Uint8Array): Part[] {
  const parts: Part[] = []
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at)
    parts.push({
      type: String.fromCharCode(...bytes.subarray(at + 4, at + 8)),
      data: bytes.subarray(at + 8, at + 8 + length),
    })
    at += 12 + length
  }
  return parts
}

function pngChunk(random: Random, { type, data }: Part): Uint8Array {
  const chunk = join(new Uint8Array(4), latin(type), data, new Uint8Array(4))
  const view = new DataView(chunk.buffer)
  view.setUint32(0, random.chance(0.02) ? random.of([0, 2 ** 31, 2 ** 32 - 1]) : data.length)
  view.setUint32(chunk.length - 4, random.chance(0.02) ? 0 : crcOf(chunk.subarray(4, -4)))
  return chunk
}

function crcOf(bytes: Uint8Array): number {
  let crc = -1
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0)
  }
  return ~crc >>> 0
}

export function mutateWebp(random: Random, bytes: Uint8Array, others: readonly Uint8Array[]): Uint8Array {
  const parts = mutateParts(random, riffChunks(bytes), others.flatMap(riffChunks), () => undefined)
  const body = join(
    ...parts.map(({ type, data }) => {
      const head = new Uint8Array(8)
      head.set(latin(type).subarray(0, 4))
      new DataView(head.buffer).setUint32(4, random.chance(0.02) ? 2 ** 32 - 1 : data.length, true)
      return join(head, data, new Uint8Array(data.length % 2))
    }),
  )
  const head = join(latin('RIFF0000WEBP'))
  new DataView(head.buffer).setUint32(4, random.chance(0.02) ? 0 : body.length + 4, true)
  return join(head, body)
}

function riffChunks(bytes: Uint8Array): Part[] {
  const parts: Part[] = []
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  for (let at = 12; at + 8 <= bytes.length; ) {
    const length = view.getUint32(at + 4, true)
    parts.push({
      type: String.fromCharCode(...bytes.subarray(at, at + 4)),
      data: bytes.subarray(at + 8, at + 8 + length),
    })
    at += 8 + length + (length % 2)
  }
  return parts
}

/** A segment's type is its marker; what follows a scan's header belongs to it. */
export function mutateJpeg(random: Random, bytes: Uint8Array, others: readonly Uint8Array[]): Uint8Array {
  const parts = mutateParts(random, jpegSegments(bytes), others.flatMap(jpegSegments), (part) => {
    const data = part.data.slice()
    const marker = part.type.charCodeAt(0)
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)
    if (isFrame && data.length >= 8 && random.chance(0.7)) {
      const view = new DataView(data.buffer)
      if (random.chance(0.6)) view.setUint16(random.of([3, 5]), random.of([0, 1, 7, 500, 4000, 65_535]))
      else data[random.below(data.length)] = random.of([0, 1, 2, 3, 4, 8, 0x11, 0x22, 0x44, 255])
      return { ...part, data }
    }
    if (marker === 0xda && random.chance(0.3)) {
      // Markers among the data of a scan
      const at = random.below(data.length + 1)
      const marks = Uint8Array.from({ length: 1 + random.below(20) }, (_, i) =>
        i % 2 ? 0xd0 + random.below(10) : 0xff,
      )
      return { ...part, data: join(data.subarray(0, at), marks, data.subarray(at)) }
    }
    return undefined
  })
  return join(
    Uint8Array.of(0xff, 0xd8),
    ...parts.map(({ type, data }) => join(Uint8Array.of(0xff, type.charCodeAt(0)), data)),
  )
}

/** With their lengths, as data. */
function jpegSegments(bytes: Uint8Array): Part[] {
  const parts: Part[] = []
  for (let at = 2; at + 1 < bytes.length; ) {
    const type = String.fromCharCode(bytes[at + 1]!)
    const begin = at + 2
    let end = type === '\xd9' ? begin : begin + ((bytes[begin]! << 8) | bytes[begin + 1]!)
    if (type === '\xda')
      while (
        end < bytes.length &&
        !(bytes[end] === 0xff && bytes[end + 1]! > 0 && (bytes[end + 1]! & 0xf8) !== 0xd0)
      )
        end++
    parts.push({ type, data: bytes.subarray(begin, end) })
    at = Math.max(end, begin)
  }
  return parts
}

/** @param change what only this format knows to do with a part */
function mutateParts(
  random: Random,
  parts: readonly Part[],
  others: readonly Part[],
  change: (part: Part) => Part | undefined,
): Part[] {
  const list = [...parts]
  for (let rounds = random.below(3); rounds >= 0 && list.length > 0; rounds--) {
    const i = random.below(list.length)
    const part = list[i]!
    switch (random.below(8)) {
      case 0:
        list.splice(i, 1)
        break
      case 1:
        list.splice(random.below(list.length), 0, part)
        break
      case 2:
        list.splice(i, 0, ...Array<Part>(random.of([2, 50, 1000])).fill(part))
        break
      case 3:
        list.splice(i, 0, random.of(others))
        break
      case 4:
        list[i] = {
          ...part,
          data: mutateBytes(
            random,
            part.data,
            others.map(({ data }) => data),
          ),
        }
        break
      case 5:
        list.push(...list.splice(i, 1))
        break
      default:
        list[i] = change(part) ?? { ...part, data: mutateBytes(random, part.data, [part.data]) }
    }
  }
  return list
}
