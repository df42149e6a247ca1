// PNGs of every kind become the pixels that Pillow reads, and so do other images (jpeg.test.ts); everything else is an
// ImageError that says what the file is and what to do.

import { readFileSync } from 'node:fs'
import { deflateSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { ImageError } from '../../../src/errors.ts'
import { crc32 } from '../../../src/io/image/crc32.ts'
import { decodeImage, encodePng } from '../../../src/io/image/image.ts'
import { noise } from './pixels.ts'

interface Fixture {
  name: string
  file: string
  width: number
  height: number
  rgb: string
  /** Levels that a channel may differ by. */
  within: number
}
const fixtures: Fixture[] = JSON.parse(readFileSync('test/fixtures/io/pillow.json', 'utf8'))
const bytesOf = (base64: string) => new Uint8Array(Buffer.from(base64, 'base64'))
const fixture = (name: string) => bytesOf(fixtures.find((f) => f.name === name)!.file)

test.each(fixtures)('$name', async ({ file, width, height, rgb, within }) => {
  const image = await decodeImage(bytesOf(file))
  const expected = bytesOf(rgb)
  expect([image.width, image.height, image.rgb.length]).toEqual([width, height, expected.length])
  const furthest = Math.max(...expected.map((value, i) => Math.abs(value - image.rgb[i]!)))
  expect(furthest).toBeLessThanOrEqual(within)
})

test('at an odd place in a larger buffer', async () => {
  for (const name of ['PNG, rgb', 'JPEG, orientation 6']) {
    const bytes = fixture(name)
    const within = new Uint8Array(bytes.length + 20).fill(0xaa)
    within.set(bytes, 7)
    expect(await decodeImage(within.subarray(7, 7 + bytes.length))).toEqual(await decodeImage(bytes))
  }
})

// PNGs that Pillow can't write, written by the standard's text

function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type), data])
  const ends = Buffer.alloc(8)
  ends.writeUInt32BE(data.length, 0)
  ends.writeUInt32BE(crc32(body), 4)
  return Buffer.concat([ends.subarray(0, 4), body, ends.subarray(4)])
}

interface Raw {
  width: number
  height: number
  depth: number
  colour: number
  interlaced?: boolean
  /** Filtered rows, before deflate. */
  rows: Uint8Array
  extra?: Buffer[]
}

function png({ width, height, depth, colour, interlaced = false, rows, extra = [] }: Raw): Uint8Array {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([depth, colour, 0, 0, interlaced ? 1 : 0], 8)
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
  const data = deflateSync(rows)
  const half = data.length >> 1
  const parts = [
    chunk('IDAT', data.subarray(0, half)),
    chunk('IDAT', data.subarray(half)),
    chunk('IEND', Buffer.alloc(0)),
  ]
  return new Uint8Array(Buffer.concat([signature, chunk('IHDR', header), ...extra, ...parts]))
}

/** Rows without a filter: [height, rowBytes] with a 0 before each. */
function plainRows(data: Uint8Array, height: number): Uint8Array {
  const rowBytes = data.length / height
  return Uint8Array.from({ length: data.length + height }, (_, i) => {
    const x = i % (rowBytes + 1)
    return x === 0 ? 0 : data[Math.floor(i / (rowBytes + 1)) * rowBytes + x - 1]!
  })
}

describe('PNG', () => {
  const [width, height] = [11, 7]

  test.each([
    ['16-bit RGB', 2, 3],
    ['16-bit RGB and alpha', 6, 4],
    ['16-bit grey and alpha', 4, 2],
    ['16-bit grey', 0, 1],
  ])('%s keeps the high bytes', async (_, colour, channels) => {
    const data = noise(width, height, channels * 2) // big endian: the high byte is the first of two
    const { rgb } = await decodeImage(
      png({ width, height, depth: 16, colour, rows: plainRows(data, height) }),
    )
    const expected = Uint8Array.from(rgb, (_value, i) => {
      const channel = channels < 3 ? 0 : i % 3
      return data[(Math.floor(i / 3) * channels + channel) * 2]!
    })
    expect(rgb).toEqual(expected)
  })

  test.each([1, 2, 4])('grey of %i bits spans black to white', async (depth) => {
    const rowBytes = Math.ceil((width * depth) / 8)
    const data = noise(rowBytes, height, 1)
    const { rgb } = await decodeImage(png({ width, height, depth, colour: 0, rows: plainRows(data, height) }))
    const bit = (x: number, y: number) => (data[y * rowBytes + (x >> 3)]! >> (7 - (x & 7))) & 1
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        let level = 0
        for (let i = 0; i < depth; i++) level = level * 2 + bit(x * depth + i, y)
        expect(rgb[(y * width + x) * 3 + 1]).toBe((level * 255) / (2 ** depth - 1))
      }
    }
  })

  test.each([
    [1, 0],
    [2, 0],
    [4, 0],
    [8, 0],
    [16, 0],
    [8, 2],
    [16, 2],
    [1, 3],
    [2, 3],
    [4, 3],
    [8, 3],
    [8, 4],
    [8, 6],
  ])('interlaced, %i bits, colour type %i: the same as row by row', async (depth, colour) => {
    const bits = depth * ({ 2: 3, 4: 2, 6: 4 }[colour] ?? 1)
    const extra = colour === 3 ? [chunk('PLTE', noise(256, 1))] : []
    for (const [w, h] of [
      [11, 7],
      [1, 1],
      [3, 2],
      [5, 1],
      [1, 9],
      [32, 32],
    ] as const) {
      const rowBytes = Math.ceil((w * bits) / 8)
      const data = noise(rowBytes, h, 1)
      const bit = (x: number, y: number) => (data[y * rowBytes + (x >> 3)]! >> (7 - (x & 7))) & 1
      const passes: number[] = []
      for (const [x0, y0, dx, dy] of [
        [0, 0, 8, 8],
        [4, 0, 8, 8],
        [0, 4, 4, 8],
        [2, 0, 4, 4],
        [0, 2, 2, 4],
        [1, 0, 2, 2],
        [0, 1, 1, 2],
      ] as const) {
        for (let y = y0; y < h; y += dy) {
          let row = ''
          for (let x = x0; x < w; x += dx) for (let i = 0; i < bits; i++) row += bit(x * bits + i, y)
          if (row)
            passes.push(0, ...row.match(/.{1,8}/g)!.map((byte) => Number.parseInt(byte.padEnd(8, '0'), 2)))
        }
      }
      const raw = { width: w, height: h, depth, colour, extra }
      const expected = await decodeImage(png({ ...raw, rows: plainRows(data, h) }))
      const image = await decodeImage(png({ ...raw, interlaced: true, rows: Uint8Array.from(passes) }))
      expect(image).toEqual(expected)
    }
  })

  test('what does not touch the pixels may be broken or unknown', async () => {
    const data = noise(width, height)
    const extra = [
      chunk('iCCP', Buffer.from('x')),
      chunk('tEXt', Buffer.from([255, 0, 254])),
      chunk('abCd', Buffer.alloc(9)),
    ]
    extra[1]![9] = 1 // a wrong checksum too
    expect(
      (await decodeImage(png({ width, height, depth: 8, colour: 2, rows: plainRows(data, height), extra })))
        .rgb,
    ).toEqual(data)
  })

  test('a palette that is too short, or missing', async () => {
    const raw = { width: 2, height: 1, depth: 8, colour: 3, rows: Uint8Array.of(0, 0, 9) }
    const rgb = (await decodeImage(png({ ...raw, extra: [chunk('PLTE', Uint8Array.of(1, 2, 3))] }))).rgb
    expect([...rgb]).toEqual([1, 2, 3, 0, 0, 0])
    await expect(decodeImage(png(raw))).rejects.toThrow('should have a palette and has none')
  })

  test('kinds that no PNG has', async () => {
    for (const raw of [
      { depth: 3, colour: 0 },
      { depth: 4, colour: 2 },
      { depth: 16, colour: 3 },
      { depth: 8, colour: 5 },
    ]) {
      await expect(
        decodeImage(png({ width: 1, height: 1, ...raw, rows: new Uint8Array(9) })),
      ).rejects.toThrow('which no PNG has')
    }
    await expect(
      decodeImage(png({ width: 0, height: 1, depth: 8, colour: 2, rows: new Uint8Array(9) })),
    ).rejects.toThrow('0 x 1')
  })

  test('a small image that unpacks to gigabytes', async () => {
    const rows = new Uint8Array(64 * 2 ** 20)
    const bytes = png({ width: 1, height: 1, depth: 8, colour: 2, rows })
    const before = process.memoryUsage().arrayBuffers
    await expect(decodeImage(bytes)).rejects.toThrow('its pixel data go on after the last row')
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 * 2 ** 20)
  })

  test('data that end early, or go on', async () => {
    const data = noise(width, height)
    const rows = plainRows(data, height)
    const raw = { width, height, depth: 8, colour: 2 }
    await expect(decodeImage(png({ ...raw, rows: rows.subarray(0, -1) }))).rejects.toThrow(
      'its PNG data end before the last row',
    )
    await expect(decodeImage(png({ ...raw, rows: Uint8Array.of(...rows, 0) }))).rejects.toThrow(
      'its pixel data go on after the last row',
    )
    await expect(decodeImage(png({ ...raw, rows: rows.map((v, i) => (i === 0 ? 5 : v)) }))).rejects.toThrow(
      'a row has the filter 5',
    )
  })

  test('two headers, or two palettes', async () => {
    const data = noise(width, height)
    const raw = { width, height, depth: 8, colour: 2, rows: plainRows(data, height) }
    const header = Buffer.from(png(raw).subarray(16, 29))
    header.writeUInt32BE(1, 0)
    await expect(decodeImage(png({ ...raw, extra: [chunk('IHDR', header)] }))).rejects.toThrow(
      'it has two headers',
    )
    const palette = chunk('PLTE', Uint8Array.of(1, 2, 3))
    await expect(decodeImage(png({ ...raw, extra: [palette, palette] }))).rejects.toThrow('two palettes')
  })

  test('chunks of one byte, 300,000 of them, take ten times as long as 30,000', async () => {
    const timeOf = async (high: number): Promise<number> => {
      const data = noise(400, high)
      const rows = plainRows(data, high)
      const whole = png({ width: 400, height: high, depth: 8, colour: 2, rows })
      const packed = deflateSync(rows)
      expect(packed.length).toBeGreaterThan(1200 * high)
      const one = chunk('IDAT', Uint8Array.of(0))
      const small = Buffer.alloc(one.length * packed.length)
      packed.forEach((byte, i) => {
        one[8] = byte
        one.writeUInt32BE(crc32(one.subarray(4, 9)), 9)
        small.set(one, i * one.length)
      })
      const bytes = new Uint8Array(
        Buffer.concat([whole.subarray(0, 33), small, chunk('IEND', Buffer.alloc(0))]),
      )
      const before = process.cpuUsage()
      expect((await decodeImage(bytes)).rgb).toEqual(data)
      return process.cpuUsage(before).user
    }
    await timeOf(25) // compiles
    expect((await timeOf(250)) / (await timeOf(25))).toBeLessThan(40) // 100 if it were quadratic
  })
})

describe('refused by the header, before decoding', () => {
  const huge = png({ width: 20_000, height: 20_000, depth: 8, colour: 2, rows: new Uint8Array(0) })

  test('20,000 x 20,000 pixels', async () => {
    await expect(decodeImage(huge)).rejects.toThrow(
      'The image is a PNG of 20000 x 20000 pixels, 400 megapixels; the limit is 64 megapixels. Scale it down',
    )
    const jpeg = fixture('JPEG, 4:4:4').slice()
    const frame = jpeg.findIndex((byte, i) => byte === 0xff && jpeg[i + 1] === 0xc0)
    jpeg.set([0xff, 0xff, 0xff, 0xff], frame + 5)
    await expect(decodeImage(jpeg, { name: 'a.jpg' })).rejects.toThrow(
      /a.jpg is a JPEG of 65535 x 65535 pixels, 4294.8 megapixels/,
    )
  })

  test('by a limit of the caller', async () => {
    const small = fixture('PNG, rgb') // 19 x 13 = 247
    expect((await decodeImage(small, { maxPixels: 247 })).width).toBe(19)
    await expect(decodeImage(small, { maxPixels: 246 })).rejects.toThrow(
      '19 x 13 pixels, 0.000247 megapixels; the limit is 0.000246',
    )
  })
})

describe('damage', () => {
  const names = [
    'PNG, rgb',
    'PNG, palette of 23',
    'JPEG, 4:4:4',
    'JPEG, progressive',
    'JPEG, orientation 6',
    'JPEG, CMYK',
  ]

  /** The error or success of each file: many at a time, as decoders have threads of their own. */
  async function outcomes(files: Uint8Array[]): Promise<(ImageError | undefined)[]> {
    const errors: (ImageError | undefined)[] = []
    for (let first = 0; first < files.length; first += 32) {
      const some = files.slice(first, first + 32).map(async (bytes, i) => {
        try {
          const { width, height, rgb } = await decodeImage(bytes, { maxPixels: 100_000 })
          if (rgb.length !== width * height * 3) throw new Error(`${first + i}: ${rgb.length} bytes of RGB`)
          return undefined
        } catch (error) {
          if (!(error instanceof ImageError)) throw error
          return error
        }
      })
      errors.push(...(await Promise.all(some)))
    }
    return errors
  }

  test.each(names)('%s, cut short anywhere', async (name) => {
    const bytes = fixture(name)
    const cuts = await outcomes(
      Array.from({ length: bytes.length - 2 }, (_, length) => bytes.slice(0, length)),
    )
    expect(cuts.findIndex((error) => error === undefined)).toBe(-1)
  })

  test.each(names)('%s, a byte changed anywhere, is an ImageError or an image', async (name) => {
    const bytes = fixture(name)
    const changed = Array.from(bytes, (_, at) => bytes.map((byte, i) => (i === at ? byte ^ 0x55 : byte)))
    const refused = (await outcomes(changed)).filter((error) => error !== undefined).length
    expect(refused).toBeGreaterThan(0)
    // A PNG has checksums: nothing that matters goes unnoticed
    if (name === 'PNG, rgb') expect(refused).toBe(bytes.length)
  })

  test('says what happened', async () => {
    await expect(decodeImage(fixture('PNG, rgb').slice(0, 200))).rejects.toThrow(
      /cut short: 200 bytes.*Copy or download it again/,
    )
    await expect(decodeImage(fixture('JPEG, 4:4:4').slice(0, 700))).rejects.toThrow(/damaged or cut short/)
    await expect(decodeImage(fixture('JPEG, 4:4:4').slice(0, 100))).rejects.toThrow(
      'cut short: a JPEG of 100 bytes ends within',
    )
    await expect(decodeImage(new Uint8Array(0), { name: 'a.png' })).rejects.toThrow(
      'a.png is empty: 0 bytes.',
    )
  })
})

describe('other kinds', () => {
  const ascii = (text: string) => new Uint8Array(Buffer.from(text, 'latin1'))
  /** A box of an AVIF or HEIC. */
  const box = (type: string, ...contents: string[]): string => {
    const body = type + contents.join('')
    const length = Buffer.alloc(4)
    length.writeUInt32BE(body.length + 4)
    return length.toString('latin1') + body
  }
  const u32 = (...values: number[]) =>
    values.map((v) => String.fromCharCode(v >>> 24, (v >> 16) & 255, (v >> 8) & 255, v & 255)).join('')
  const avif = (...sizes: [number, number][]) => {
    const items = sizes.map(([w, h]) => box('ispe', u32(0, w, h)))
    return (
      box('ftyp', 'mif1', u32(0), 'mif1avif') +
      box('meta', u32(0), box('hdlr', 'x'), box('iprp', box('ipco', ...items)))
    )
  }
  const riff = (...chunks: string[]) => `RIFF\x10\0\0\0WEBP${chunks.join('')}`

  test.each([
    [
      'a WebP with a canvas',
      riff('VP8X\x0a\0\0\0\0\0\0\0\xff\xff\0\xff\xff\0'),
      /a WebP of 65536 x 65536 pixels/,
    ],
    [
      'a lossy WebP',
      riff('VP8 \x0a\0\0\0\0\0\0\x9d\x01\x2a\xff\x3f\xff\x3f'),
      /a WebP of 16383 x 16383 pixels/,
    ],
    ['a lossless WebP', riff('VP8L\x05\0\0\0\x2f\xff\xff\xff\x0f'), /a WebP of 16384 x 16384 pixels/],
    [
      'a frame that is larger than its canvas',
      riff('VP8X\x0a\0\0\0\0\0\0\0\x01\0\0\x01\0\0', 'VP8L\x05\0\0\0\x2f\xff\xff\xff\x0f'),
      /a WebP of 16384 x 16384 pixels/,
    ],
    [
      'a frame of an animation',
      riff(
        'VP8X\x0a\0\0\0\0\0\0\0\x01\0\0\x01\0\0',
        'ANMF\x10\0\0\0\0\0\0\0\0\0\xff\xff\0\xff\xff\0\0\0\0\0',
      ),
      /a WebP of 65536 x 65536 pixels/,
    ],
    ['an AVIF', avif([65535, 65535]), /an AVIF of 65535 x 65535 pixels/],
    ['an AVIF with a large part', avif([2, 2], [65535, 65535]), /an AVIF of 65535 x 65535 pixels/],
    ['a GIF', 'GIF89a\xff\xff\xff\xff\0\0\0', /a GIF of 65535 x 65535 pixels/],
    [
      'a BMP',
      `BM${'\0'.repeat(12)}\x28\0\0\0\xff\xff\x01\0\x01\0\xff\xff${'\0'.repeat(30)}`,
      /a BMP of 131071 x 65535 pixels/,
    ],
    [
      'an AVIF of boxes within boxes',
      box('ftyp', 'avif') + '\0\0\0\0iprp'.repeat(20_000),
      'does not say how large it is',
    ],
    [
      'a WebP of frames within frames',
      riff(...Array.from({ length: 20_000 }, () => `ANMF\xff\xff\xff\x7f${'\0'.repeat(16)}`)),
      'its WebP data',
    ],
    ['a WebP without a size', riff(), 'this WebP of 12 bytes does not say how large it is'],
    ['an AVIF without one', avif(), 'does not say how large it is'],
    ['a GIF that is cut short', 'GIF89a', 'this GIF of 6 bytes does not say how large it is'],
    [
      'a small BMP, here',
      `BM${'\0'.repeat(12)}\x28\0\0\0\x02\0\0\0\x02\0\0\0${'\0'.repeat(30)}`,
      "is a BMP, which can't be read here: save it as PNG or JPEG.",
    ],
    [
      'a HEIC photo',
      '\0\0\0\x18ftypheic\0\0\0\0mif1heic',
      /is a HEIC photo, .* export it as JPEG \(an iPhone takes JPEGs with/,
    ],
    ['a HEIC photo of another brand', '\0\0\0\x18ftypmif1\0\0\0\0mif1heic', 'is a HEIC photo'],
  ])('%s', async (_, text, message) => {
    const failure = decodeImage(ascii(text))
    await expect(failure).rejects.toBeInstanceOf(ImageError)
    await expect(failure).rejects.toThrow(message)
  })
})

describe('not an image that we read', () => {
  const ascii = (text: string) => new Uint8Array(Buffer.from(text, 'latin1'))

  test.each([
    ['\0\0\0\x18ftypisom\0\0', 'is a video'],
    ['II*\0\x08\0\0\0', 'is a TIFF'],
    ['%PDF-1.7\n', 'is a PDF'],
    ['8BPS\0\x01', 'is a Photoshop file'],
    ['\0\0\0\x0cJXL \r\n', 'is a JPEG XL'],
    ['\xff\x0a\0\0', 'is a JPEG XL'],
    ['\0\0\x01\0\x01\0', 'is an icon'],
    ['PK\x03\x04', 'is a ZIP archive'],
    ['<?xml version="1.0"?><svg', 'is a web page or an SVG'],
    ['\n<!DOCTYPE html>', 'is a web page or an SVG'],
    ['\x01\x02', 'is not an image that we know (it begins with 01 02)'],
  ])('%j', async (head, what) => {
    await expect(decodeImage(ascii(head), { name: 'photo' })).rejects.toThrow(`photo ${what}`)
    await expect(decodeImage(ascii(head))).rejects.toThrow('a PNG, JPEG, WebP or AVIF is needed')
    await expect(decodeImage(ascii(head))).rejects.toThrow(ImageError)
  })

  test('JPEGs of kinds that nobody writes', async () => {
    const frameOf = (marker: number, precision: number) => {
      const jpeg = fixture('JPEG, 4:4:4').slice()
      const frame = jpeg.findIndex((byte, i) => byte === 0xff && jpeg[i + 1] === 0xc0)
      jpeg[frame + 1] = marker
      jpeg[frame + 4] = precision
      return jpeg
    }
    await expect(decodeImage(frameOf(0xc3, 8))).rejects.toThrow('lossless')
    await expect(decodeImage(frameOf(0xc9, 8))).rejects.toThrow('arithmetic')
    await expect(decodeImage(frameOf(0xc1, 12))).rejects.toThrow('12 bits a sample')
  })
})

describe('encodePng', () => {
  test('three channels, four and one come back', async () => {
    const [width, height] = [17, 5]
    const rgb = noise(width, height)
    expect(await decodeImage(encodePng({ width, height, rgb }))).toEqual({ width, height, rgb })
    const grey = noise(width, height, 1)
    expect((await decodeImage(encodePng({ width, height, grey }))).rgb).toEqual(
      Uint8Array.from(rgb, (_, i) => grey[Math.floor(i / 3)]!),
    )
    const rgba = noise(width, height, 4)
    expect((await decodeImage(encodePng({ width, height, rgba }))).rgb).toEqual(
      Uint8Array.from(rgb, (_, i) => rgba[Math.floor(i / 3) * 4 + (i % 3)]!),
    )
  })

  test('refuses sizes that do not fit', async () => {
    expect(() => encodePng({ width: 2, height: 2, rgb: new Uint8Array(11) })).toThrow(
      '2 x 2 pixels of 3 bytes take 12 bytes, 11 are given',
    )
    expect(() => encodePng({ width: 0, height: 2, grey: new Uint8Array(0) })).toThrow(ImageError)
  })
})
