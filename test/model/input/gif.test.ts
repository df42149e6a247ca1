// A GIF's first frame is whole: what decoders fill up with black in silence is refused, in every runtime.

import { describe, expect, test } from 'vitest'
import { ImageError } from '../../../src/errors.ts'
import { decodeImage } from '../../../src/io/image/image.ts'
import { captureImage } from '../../../src/model/input/image-input.ts'
import { anyGpu } from '../../support.ts'

const CLEAR = 256
const END = 257

interface Options {
  readonly width?: number
  readonly height?: number
  /** The frame's own place and size, if it isn't the picture's. */
  readonly frame?: readonly [left: number, top: number, width: number, height: number]
  /** LZW codes; by default colour 200 for all of the frame. */
  readonly codes?: readonly number[]
  /** Bytes in a block of data. */
  readonly block?: number
}

/** A GIF of 256 grey levels, whose codes all have 9 bits: the table is cleared before it would need more. */
function gif({
  width = 40,
  height = 30,
  frame = [0, 0, width, height],
  codes,
  block = 255,
}: Options = {}): Uint8Array<ArrayBuffer> {
  const u16 = (value: number) => [value & 255, value >> 8]
  const table = Array.from({ length: 256 }, (_, level) => [level, level, level]).flat()
  const all = codes ?? plain(frame[2] * frame[3])
  const data: number[] = []
  let [held, bits] = [0, 0]
  for (const code of all) {
    held |= code << bits
    for (bits += 9; bits >= 8; bits -= 8) {
      data.push(held & 255)
      held >>= 8
    }
  }
  if (bits > 0) data.push(held & 255)
  const blocks: number[] = []
  for (let at = 0; at < data.length; at += block) {
    const part = data.slice(at, at + block)
    blocks.push(part.length, ...part)
  }
  const head = new TextEncoder().encode('GIF89a')
  const extension = [0x21, 0xf9, 4, 0, 0, 0, 0, 0]
  return new Uint8Array([
    ...head,
    ...u16(width),
    ...u16(height),
    0xf7,
    0,
    0,
    ...table,
    ...extension,
    0x2c,
    ...frame.flatMap(u16),
    0,
    8,
    ...blocks,
    0,
    0x3b,
  ])
}

/** A code for each pixel, with the table cleared in time. */
function plain(pixels: number, colour = 200): number[] {
  const codes: number[] = []
  for (let i = 0; i < pixels; i++) codes.push(...(i % 200 === 0 ? [CLEAR] : []), colour)
  return [...codes, END]
}

describe('whole', () => {
  test.each([
    ['one code for a pixel', {}],
    ['blocks of one byte', { block: 1 }],
    ['no code of the end', { codes: plain(1200).slice(0, -1) }],
    ['data beyond the last pixel', { codes: [...plain(1300)] }],
  ])('%s', async (_, options) => {
    const { width, height, rgb } = await decodeImage(gif(options))
    expect([width, height]).toEqual([40, 30])
    expect(rgb.every((value) => value === 200)).toBe(true)
  })

  test('codes for several pixels, one of them the code that it defines', async () => {
    // 5; 258 = 5 5; 259 = 5 5 5; 260 = 5 5 5 5 -> 10 pixels
    const { rgb } = await decodeImage(gif({ width: 5, height: 2, codes: [CLEAR, 5, 258, 259, 260, END] }))
    expect([...rgb]).toEqual(Array.from({ length: 30 }, () => 5))
  })

  test('a frame that covers a part of the picture', async () => {
    const { rgb } = await decodeImage(gif({ frame: [10, 5, 20, 10] }))
    expect(rgb.reduce((sum, value) => sum + (value === 200 ? 1 : 0), 0)).toBe(3 * 200)
  })
})

describe('refused', () => {
  const cases: [string, Uint8Array<ArrayBuffer>, RegExp][] = [
    [
      'the code of the end after half of the rows',
      gif({ codes: plain(600) }),
      /end after 600 of 1200 pixels/,
    ],
    [
      'rows behind the code of the end',
      gif({ codes: [...plain(600), ...plain(600)] }),
      /end after 600 of 1200 pixels/,
    ],
    ['the code of the end one pixel early', gif({ codes: plain(1199) }), /end after 1199 of 1200 pixels/],
    ['no data at all', gif({ codes: [] }), /end after 0 of 1200 pixels/],
    ['data that stop', gif({ codes: plain(1200).slice(0, 700) }), /end after \d+ of 1200 pixels/],
    ['an unknown code', gif({ codes: [CLEAR, 5, 300] }), /a code of its GIF data is unknown/],
    [
      'a code of several pixels at the beginning',
      gif({ codes: [CLEAR, 258] }),
      /a code of its GIF data is unknown/,
    ],
    ['a frame beyond the picture', gif({ frame: [30, 0, 40, 30] }), /goes beyond the picture/],
    ['a frame without pixels', gif({ frame: [0, 0, 0, 30] }), /has no pixels/],
    ['no frame', gif().with(gif().indexOf(0x2c, 789), 0x3b), /a GIF without a picture/],
    ['a file that is cut', gif().slice(0, -300), /end within a block/],
  ]
  test.each(cases)('%s', async (_, bytes, message) => {
    await expect(decodeImage(bytes)).rejects.toThrow(ImageError)
    await expect(decodeImage(bytes, { name: 'a.gif' })).rejects.toThrow(message)
  })

  test('a Blob as bytes', async () => {
    const gpu = await anyGpu()
    for (const input of [gif({ codes: plain(600) }), new Blob([gif({ codes: plain(600) })])]) {
      await expect(captureImage(input, gpu).open()).rejects.toThrow(/end after 600 of 1200 pixels/)
    }
  })
})
