// JPEGs that would cost a decoder more than they hold, or that aren't whole, are refused by what their headers say.
// That those which are in order become Pillow's pixels is shown by test/model/images.test.ts, in every runtime.

import { readFileSync } from 'node:fs'
import sharp from 'sharp'
import { describe, expect, test } from 'vitest'
import { ImageError } from '../../../src/errors.ts'
import { decodeImage } from '../../../src/io/image/image.ts'
import { readJpegHeader } from '../../../src/io/image/jpeg.ts'
import { noise } from './pixels.ts'

const fixtures = (
  JSON.parse(readFileSync('test/fixtures/io/images.json', 'utf8')) as { name: string; file: string }[]
).slice(1)
const fixture = (name: string) =>
  new Uint8Array(Buffer.from(fixtures.find((one) => one.name === name)!.file, 'base64'))

const BASELINE = fixture('4:2:0, quality 85, baseline')
const PROGRESSIVE = fixture('4:2:0, quality 85, progressive')

/** The offsets of segments with this marker. */
function markers(bytes: Uint8Array, marker: number): number[] {
  return [...bytes.keys()].filter((i) => bytes[i] === 0xff && bytes[i + 1] === marker)
}

/** After FF in a scan's data: neither a byte of data nor a restart. */
const isMarker = (byte = 0) => byte !== 0 && (byte < 0xd0 || byte > 0xd7)

const joined = (...parts: Uint8Array[]) => new Uint8Array(Buffer.concat(parts))

async function refused(bytes: Uint8Array, message: string | RegExp): Promise<void> {
  const [cpu, memory] = [process.cpuUsage(), process.memoryUsage().rss]
  const failure = decodeImage(bytes)
  await expect(failure).rejects.toBeInstanceOf(ImageError)
  await expect(failure).rejects.toThrow(message)
  const { user } = process.cpuUsage(cpu)
  expect(user).toBeLessThan(1e6) // microseconds; a few thousand
  expect(process.memoryUsage().rss - memory).toBeLessThan(100e6)
}

describe('bounds', () => {
  test('a second frame header, however large', async () => {
    const [frame = 0] = markers(BASELINE, 0xc0)
    const second = BASELINE.slice(frame, frame + 19)
    second.fill(0xff, 5, 9)
    for (const at of [frame, markers(BASELINE, 0xda)[0]!, BASELINE.length - 2]) {
      await refused(
        joined(BASELINE.subarray(0, at), second, BASELINE.subarray(at)),
        /65535 x 65535|two frame headers/,
      )
    }
  })

  test('more scans than 128', async () => {
    const scans = markers(PROGRESSIVE, 0xda)
    const last = PROGRESSIVE.subarray(scans.at(-1), -2)
    const many = (count: number) =>
      joined(
        PROGRESSIVE.subarray(0, -2),
        ...Array.from({ length: count }, () => last),
        PROGRESSIVE.subarray(-2),
      )
    await refused(many(5000), 'is a JPEG of more than 128 scans')
    await refused(many(129 - scans.length), 'is a JPEG of more than 128 scans')
  })

  test('a large image without data', async () => {
    for (const whole of [BASELINE, PROGRESSIVE]) {
      const bytes = whole.slice()
      const [frame] = markers(bytes, whole === BASELINE ? 0xc0 : 0xc2)
      bytes.set([0x1f, 0x40, 0x1f, 0x40], frame! + 5) // 8000 x 8000
      await refused(
        bytes,
        /a JPEG of 8000 x 8000 pixels has at least 187500 bytes of data, this file has \d+/,
      )
      bytes.set([0xff, 0xff, 0xff, 0xff], frame! + 5)
      await refused(bytes, /65535 x 65535 pixels, 4294.8 megapixels; the limit is 64 megapixels/)
    }
  })
})

describe('not whole', () => {
  test('a progressive file that ends between its scans', async () => {
    for (const scan of markers(PROGRESSIVE, 0xda).slice(1)) {
      // Tables may stand before a scan
      let at = scan
      while (
        PROGRESSIVE[at - 1] !== undefined &&
        !(PROGRESSIVE[at] === 0xff && PROGRESSIVE[at + 1] === 0xc4)
      ) {
        if (scan - at > 300) break
        at--
      }
      const cut = scan - at > 300 ? scan : at
      await refused(PROGRESSIVE.subarray(0, cut), /cut short/)
    }
    // With an end marker it is what its writer meant
    const [, second = 0] = markers(PROGRESSIVE, 0xda)
    const coarse = joined(PROGRESSIVE.subarray(0, second), Uint8Array.of(0xff, 0xd9))
    await decodeImage(coarse).then(
      ({ width }) => expect(width).toBe(45),
      (error) => expect(error).toBeInstanceOf(ImageError),
    )
  })

  test('any scan of a progressive file, wherever its data end', async () => {
    const files = fixtures.filter(({ name }) => name.includes('progressive')).map(({ name }) => fixture(name))
    expect(files.length).toBeGreaterThan(10)
    // Of every kind of scan: first and further bits, of mean values and of the others
    const large = await sharp(noise(40, 30), { raw: { width: 40, height: 30, channels: 3 } })
      .resize(160, 120)
      .jpeg({ quality: 90, progressive: true })
      .toBuffer()
    for (const bytes of [...files, new Uint8Array(large)]) {
      await readJpegHeader(bytes, 'it', () => undefined).expectWhole(undefined)
      const scans = markers(bytes, 0xda)
      for (const [i, scan] of scans.entries()) {
        const begin = scan + 4 + ((bytes[scan + 4] ?? 0) * 2 + 4)
        const end = bytes.findIndex((byte, at) => at > begin && byte === 0xff && isMarker(bytes[at + 1]))
        const at = Math.floor((begin + end) / 2)
        // The rest of the file follows, or nothing but an end marker
        for (const rest of [bytes.subarray(end), Uint8Array.of(0xff, 0xd9)]) {
          const cut = joined(bytes.subarray(0, at), rest)
          const walking = (async () => readJpegHeader(cut, 'it', () => undefined).expectWhole(undefined))()
          await expect(walking, `scan ${i} of ${scans.length}`).rejects.toThrow(/damaged|cut short/)
          await expect(decodeImage(cut)).rejects.toBeInstanceOf(ImageError)
        }
      }
    }
  })

  test('data between two scans that no block asks for', async () => {
    const scans = markers(PROGRESSIVE, 0xda)
    const end = PROGRESSIVE.findIndex(
      (byte, at) => at > scans[1]! + 10 && byte === 0xff && isMarker(PROGRESSIVE[at + 1]),
    )
    const bytes = joined(
      PROGRESSIVE.subarray(0, end),
      new Uint8Array(20).fill(0x55),
      PROGRESSIVE.subarray(end),
    )
    const header = readJpegHeader(bytes, 'it', () => undefined)
    await expect(header.expectWhole(undefined)).rejects.toThrow('there are more JPEG data than blocks')
  })

  test('a component that never comes, or comes twice', async () => {
    const separate = fixture('one scan a component, restart after 0')
    const [first = 0, second = 0, third = 0] = markers(separate, 0xda)
    const [y, cb, cr] = [
      separate.subarray(first, second),
      separate.subarray(second, third),
      separate.subarray(third, -2),
    ] as const
    const head = separate.subarray(0, first)
    const end = separate.subarray(-2)
    await refused(joined(head, y, cb, end), 'a part of its JPEG data is missing')
    await refused(joined(head, y, cb, cb, end), 'a component comes twice')
    expect((await decodeImage(joined(head, cr, cb, y, end))).rgb).toEqual((await decodeImage(separate)).rgb)
  })

  test('a restart marker that is missing, or another one', async () => {
    const bytes = fixture('random blocks, restart after 3')
    const at = markers(bytes, 0xd0)[0]!
    await refused(joined(bytes.subarray(0, at), bytes.subarray(at + 2)), /restart marker|unknown|end before/)
    const other = bytes.slice()
    other[at + 1] = 0xd3
    await refused(other, 'a restart marker is missing')
  })

  test('the very last block', async () => {
    // Two bytes of data less: the last row alone lacks something
    for (const name of [
      '4:4:4, quality 85, baseline',
      '4:2:0, quality 100, baseline',
      'CMYK, baseline',
      'grey, baseline',
    ]) {
      const bytes = fixture(name)
      const cut = joined(bytes.subarray(0, -4), bytes.subarray(-2))
      await refused(cut, 'its JPEG data end before the last row')
    }
  })
})

describe('metadata', () => {
  test('none of it matters: damaged, large, or between the segments', async () => {
    const expected = (await decodeImage(BASELINE)).rgb
    const [frame = 0] = markers(BASELINE, 0xc0)
    const segment = (marker: number, body: string) =>
      Buffer.from(
        `\xff${String.fromCharCode(marker, (body.length + 2) >> 8, (body.length + 2) & 255)}${body}`,
        'latin1',
      )
    for (const extra of [
      segment(0xe2, `ICC_PROFILE\0\x01\x01${'x'.repeat(60_000)}`),
      segment(0xe1, 'Exif\0\0MM\0*\xff\xff\xff\xff'),
      segment(0xed, 'Photoshop 3.0\0'),
      segment(0xfe, 'a comment \x1b[31m'),
      Buffer.from([0xff, 0xff, 0xff, 0xff]),
      Buffer.from([0, 0, 0]),
      Buffer.from([0xff, 0x01]),
    ]) {
      const bytes = joined(BASELINE.subarray(0, frame), extra, BASELINE.subarray(frame))
      expect((await decodeImage(bytes)).rgb).toEqual(expected)
    }
  })

  test('bytes are read before decodeImage returns its promise', async () => {
    for (const bytes of [BASELINE.slice(), PROGRESSIVE.slice(), fixture('WebP, lossless')]) {
      const expected = await decodeImage(bytes)
      const decoding = decodeImage(bytes)
      bytes.fill(0)
      expect(await decoding).toEqual(expected)
    }
  })
})
