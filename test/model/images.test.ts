// Image files become the pixels that Pillow reads from them, value by value, in every runtime; and look takes the same
// pixels from a file's bytes and from a Blob.

import { afterAll, describe, expect, test } from 'vitest'
import { ImageError } from '../../src/errors.ts'
import { crc32 } from '../../src/io/image/crc32.ts'
import { decodeImage, encodePng } from '../../src/io/image/image.ts'
import { captureImage, type ImageInput } from '../../src/model/input/image-input.ts'
import { Preprocessor } from '../../src/model/input/preprocess.ts'
import { noise } from '../io/image/pixels.ts'
import { readBytes, readText, runtime } from '../runtime.ts'
import { anyGpu } from '../support.ts'
import { valuesOf } from '../values.ts'

interface Fixture {
  readonly name: string
  /** base64, as the pixels. */
  readonly file: string
  readonly png: string
}

interface Scene {
  readonly name: string
  readonly sha256: string
}

const [versions, ...lines] = JSON.parse(readText('test/fixtures/io/images.json')) as [
  { pillow: string },
  ...(Fixture | Scene)[],
]
const fixtures = lines.filter((line): line is Fixture => 'file' in line)
const scenes = lines.filter((line): line is Scene => 'sha256' in line)

const bytesOf = (base64: string) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))

/** Browsers convert inks in their own way. */
const isOwn = (name: string) => runtime === 'browser' && /CMYK|YCCK|inks|four components/.test(name)
/** Only browsers read these. */
const isOnlyInPages = (name: string) => runtime !== 'browser' && name.startsWith('BMP')
/** A canvas keeps colours multiplied by alpha. */
const isClear = (name: string) => runtime === 'browser' && name.includes('with alpha')

describe(`as Pillow ${versions.pillow}`, () => {
  test.each(
    fixtures.filter(
      ({ name }) => !name.startsWith('AVIF') && !isOnlyInPages(name) && !isOwn(name) && !isClear(name),
    ),
  )('$name', async ({ file, png }) => {
    const image = await decodeImage(bytesOf(file))
    const expected = await decodeImage(bytesOf(png))
    expect([image.width, image.height]).toEqual([expected.width, expected.height])
    const differing = expected.rgb.reduce((sum, value, i) => sum + (value === image.rgb[i] ? 0 : 1), 0)
    expect(differing).toBe(0)
  })

  // An inverted picture, or inks that are taken for others, are 50 levels away and more
  test.each(fixtures.filter(({ name }) => isOwn(name)))(
    '$name, within some levels',
    async ({ file, png }) => {
      const [image, expected] = [await decodeImage(bytesOf(file)), await decodeImage(bytesOf(png))]
      expect([image.width, image.height]).toEqual([expected.width, expected.height])
      const sum = expected.rgb.reduce((total, value, i) => total + Math.abs(value - image.rgb[i]!), 0)
      expect(sum / expected.rgb.length).toBeLessThan(4)
    },
  )

  test.each(scenes)('the scene $name', async ({ name, sha256 }) => {
    const { rgb } = await decodeImage(await readBytes(`test/fixtures/nano/${name}`))
    const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', Uint8Array.from(rgb)))
    expect(hash.reduce((text, byte) => text + byte.toString(16).padStart(2, '0'), '')).toBe(sha256)
  })

  // libheif repeats subsampled chroma and libavif doesn't; 4:4:4 is all but the same
  test.each(fixtures.filter(({ name }) => name.startsWith('AVIF')))(
    '$name, within a few levels',
    async ({ name, file, png }) => {
      const [image, expected] = [await decodeImage(bytesOf(file)), await decodeImage(bytesOf(png))]
      expect([image.width, image.height]).toEqual([expected.width, expected.height])
      const sum = expected.rgb.reduce((total, value, i) => total + Math.abs(value - image.rgb[i]!), 0)
      expect(sum / expected.rgb.length).toBeLessThan(name.includes('4:4:4') ? 1 : 4)
    },
  )
})

describe('looked at', async () => {
  const gpu = await anyGpu()
  const vision = ['siglip', 'sam'] as const
  const config = { siglip: { image: 28 }, sam: { image: 64 }, prompt: { vision } }
  const preprocessor = new Preprocessor(gpu, config)
  afterAll(() => preprocessor.release())

  /** The pixels that both encoders get of it. */
  const seen = async (
    input: ImageInput,
  ): Promise<Readonly<Record<(typeof vision)[number], Float32Array>>> => {
    const image = captureImage(input, gpu)
    try {
      const { siglip, sam } = await preprocessor.run(await image.open())
      return { siglip: await valuesOf(gpu, siglip!), sam: await valuesOf(gpu, sam!) }
    } finally {
      image.close()
    }
  }

  const names = [
    '4:2:0, quality 85, baseline',
    '4:2:2, quality 85, progressive',
    '4:1:1, baseline',
    'EXIF 6',
    'WebP, lossless with alpha',
    'CMYK, baseline',
  ]
  test.each(names)(
    `%s on ${gpu.name}: the same as bytes, as a Blob, as a File and as Pillow's pixels`,
    async (name) => {
      const { file, png } = fixtures.find((fixture) => fixture.name === name)!
      const bytes = bytesOf(file)
      const fromBytes = await seen(bytes)
      expect(await seen(new Blob([bytes]))).toEqual(fromBytes)
      expect(await seen(new File([bytes], 'photo.jpg', { type: 'image/jpeg' }))).toEqual(fromBytes)
      if (!isOwn(name)) expect(await seen(await decodeImage(bytesOf(png)))).toEqual(fromBytes)
    },
  )

  test.each(scenes)(
    `the scene $name on ${gpu.name}: the same as bytes, as a Blob, as a File and as Pillow's pixels`,
    async ({ name }) => {
      const bytes = await readBytes(`test/fixtures/nano/${name}`)
      const fromBytes = await seen(bytes)
      expect(await seen(new Blob([bytes]))).toEqual(fromBytes)
      expect(await seen(new File([bytes], name))).toEqual(fromBytes)
      expect(await seen(await decodeImage(bytes))).toEqual(fromBytes) // Pillow's, by the hash above
    },
  )

  // The order of rows and columns by EXIF: where the pixel at column x, row y of the upright image is stored
  const STORED: readonly ((x: number, y: number) => readonly [number, number])[] = [
    (x, y) => [x, y],
    (x, y) => [WIDE - 1 - x, y],
    (x, y) => [WIDE - 1 - x, HIGH - 1 - y],
    (x, y) => [x, HIGH - 1 - y],
    (x, y) => [y, x],
    (x, y) => [y, HIGH - 1 - x],
    (x, y) => [WIDE - 1 - y, HIGH - 1 - x],
    (x, y) => [WIDE - 1 - y, x],
  ]
  const [WIDE, HIGH] = [13, 7]
  test.each([1, 2, 3, 4, 5, 6, 7, 8])(
    `a PNG of EXIF %i on ${gpu.name} is turned upright, as bytes and as a Blob`,
    async (orientation) => {
      const rgb = noise(WIDE, HIGH)
      const stored = encodePng({ width: WIDE, height: HIGH, rgb })
      const bytes = withChunk(stored, 'eXIf', Uint8Array.from(tiffOf(orientation)))

      const [width, height] = orientation >= 5 ? [HIGH, WIDE] : [WIDE, HIGH]
      const turned = Uint8Array.from({ length: rgb.length }, (_, i) => {
        const pixel = Math.floor(i / 3)
        const [x, y] = STORED[orientation - 1]!(pixel % width, Math.floor(pixel / width))
        return rgb[3 * (y * WIDE + x) + (i % 3)]!
      })
      expect(await decodeImage(bytes)).toEqual({ width, height, rgb: turned })
      const expected = await seen({ width, height, rgb: turned })
      expect(await seen(bytes)).toEqual(expected)
      expect(await seen(new Blob([bytes]))).toEqual(expected)
    },
  )

  test.each([1, 2, 3, 4, 5, 6, 7, 8])(
    `a WebP of EXIF %i on ${gpu.name} is turned upright, as bytes and as a Blob`,
    async (orientation) => {
      const plain = bytesOf(fixtures.find(({ name }) => name === 'WebP, lossless')!.file)
      const { width: W, height: H, rgb } = await decodeImage(plain)
      const [width, height] = orientation >= 5 ? [H, W] : [W, H]
      const fromRight = [2, 3, 7, 8].includes(orientation)
      const fromBottom = [3, 4, 6, 7].includes(orientation)
      const turned = Uint8Array.from({ length: rgb.length }, (_, i) => {
        const pixel = Math.floor(i / 3)
        const [right, down] = [pixel % width, Math.floor(pixel / width)]
        const [x, y] = orientation >= 5 ? [down, right] : [right, down]
        const [column, row] = [fromRight ? W - 1 - x : x, fromBottom ? H - 1 - y : y]
        return rgb[3 * (row * W + column) + (i % 3)]!
      })
      const expected = await seen({ width, height, rgb: turned })
      // Exif\0\0, as in a JPEG, is left out or not
      for (const mark of [[], [0x45, 0x78, 0x69, 0x66, 0, 0]]) {
        const bytes = webpWithExif(plain, { width: W, height: H }, [...mark, ...tiffOf(orientation)])
        expect(await decodeImage(bytes)).toEqual({ width, height, rgb: turned })
        expect(await seen(bytes)).toEqual(expected)
        expect(await seen(new Blob([bytes]))).toEqual(expected)
      }
    },
  )

  test(`a PNG's alpha is dropped on ${gpu.name}, and colours aren't multiplied by it`, async () => {
    const bytes = Uint8Array.from(encodePng({ width: 31, height: 17, rgba: noise(31, 17, 4) }))
    const expected = await seen(await decodeImage(bytes))
    expect(await seen(bytes)).toEqual(expected)
    expect(await seen(new Blob([bytes]))).toEqual(expected)
  })

  /** A PNG of 9 x 9 grey pixels with these rows, filters included. */
  async function png(
    rows: Uint8Array<ArrayBuffer>,
    extra: (header: Uint8Array) => Uint8Array[] = () => [],
  ): Promise<Uint8Array> {
    const packed = new Blob([rows]).stream().pipeThrough(new CompressionStream('deflate'))
    const data = new Uint8Array(await new Response(packed).arrayBuffer())
    const header = Uint8Array.of(0, 0, 0, 9, 0, 0, 0, 9, 8, 0, 0, 0, 0)
    const chunk = (type: string, contents: Uint8Array): Uint8Array => {
      const body = Uint8Array.of(...new TextEncoder().encode(type), ...contents)
      const view = new DataView(new ArrayBuffer(body.length + 8))
      view.setUint32(0, contents.length)
      new Uint8Array(view.buffer).set(body, 4)
      view.setUint32(body.length + 4, crc32(body))
      return new Uint8Array(view.buffer)
    }
    const signature = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)
    const head = [signature, chunk('IHDR', header), ...extra(header).map((more) => chunk('IHDR', more))]
    return Uint8Array.of(
      ...head.flatMap((part) => [...part]),
      ...chunk('IDAT', data),
      ...chunk('IEND', new Uint8Array(0)),
    )
  }
  const rows = Uint8Array.from({ length: 90 }, (_, i) => (i % 10 === 0 ? 0 : i))
  const jpeg = bytesOf(fixtures.find(({ name }) => name === '4:2:0, quality 85, baseline')!.file)
  const progressive = bytesOf(fixtures.find(({ name }) => name === '4:2:0, quality 85, progressive')!.file)

  const DAMAGED: [string, () => Uint8Array | Promise<Uint8Array>][] = [
    ['a PNG without its last row', () => png(rows.slice(0, 80))],
    ['a PNG without its last byte', () => png(rows.slice(0, 89))],
    ['a PNG with a row too many', () => png(Uint8Array.of(...rows, ...rows.slice(0, 10)))],
    ['a PNG with two headers', () => png(rows, (header) => [header.map((v, i) => (i === 3 ? 200 : v))])],
    ['a PNG that is cut short', async () => (await png(rows)).slice(0, -20)],
    ['a JPEG without its last bytes', () => Uint8Array.of(...jpeg.slice(0, -12), 0xff, 0xd9)],
    ['a JPEG that is cut short', () => jpeg.slice(0, -100)],
    ['a progressive JPEG that is cut short', () => progressive.slice(0, -100)],
    ...[0.5, 0.9].map((share): [string, () => Uint8Array] => [
      `a progressive JPEG that is cut within a scan, at ${100 * share} %, with an end marker`,
      () => Uint8Array.of(...progressive.slice(0, share * progressive.length), 0xff, 0xd9),
    ]),
    [
      'a JPEG with two frame headers',
      () => {
        const at = jpeg.findIndex((byte, i) => byte === 0xff && jpeg[i + 1] === 0xc0)
        return Uint8Array.of(...jpeg.slice(0, at), ...jpeg.slice(at, at + 19), ...jpeg.slice(at))
      },
    ],
  ]
  test.each(DAMAGED)(`%s on ${gpu.name} is an ImageError, as bytes and as a Blob`, async (title, make) => {
    const bytes = new Uint8Array(await make())
    await expect(decodeImage(bytes)).rejects.toBeInstanceOf(ImageError)
    // Browsers stop after the last row
    if (runtime === 'browser' && title.includes('too many')) return
    for (const input of [bytes, new Blob([bytes])]) {
      await expect(seen(input)).rejects.toBeInstanceOf(ImageError)
    }
  })

  test.each([
    ['baseline', jpeg],
    ['progressive', progressive],
  ])(`a JPEG, %s, without its end marker on ${gpu.name} has all of its pixels`, async (_, whole) => {
    const bytes = whole.slice(0, -2)
    expect(await decodeImage(bytes)).toEqual(await decodeImage(whole))
    expect(await seen(new Blob([bytes]))).toEqual(await seen(whole))
  })

  test(`the PNG of these tests on ${gpu.name}`, async () => {
    const whole = await png(rows)
    expect(await seen(whole)).toEqual(await seen(await decodeImage(whole)))
  })
})

/** One entry of a TIFF directory, in the order of bytes of the processors that begin with the largest. */
function tiffOf(orientation: number): number[] {
  const [header, entry] = [
    [0x4d, 0x4d, 0, 42, 0, 0, 0, 8],
    [0x1, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0],
  ]
  return [...header, 0, 1, ...entry, 0, 0, 0, 0]
}

/** A lossless WebP in the extended format, with EXIF data. */
function webpWithExif(
  plain: Uint8Array,
  { width, height }: { width: number; height: number },
  exif: readonly number[],
): Uint8Array<ArrayBuffer> {
  const u24 = (n: number) => [n & 255, (n >> 8) & 255, n >> 16]
  const u32 = (n: number) => [...u24(n & 0xffffff), n >>> 24]
  const chunk = (id: string, body: readonly number[]) => [
    ...new TextEncoder().encode(id),
    ...u32(body.length),
    ...body,
    ...(body.length % 2 ? [0] : []),
  ]
  const body = [
    ...new TextEncoder().encode('WEBP'),
    ...chunk('VP8X', [8, 0, 0, 0, ...u24(width - 1), ...u24(height - 1)]),
    ...plain.subarray(12),
    ...chunk('EXIF', exif),
  ]
  return Uint8Array.from([...new TextEncoder().encode('RIFF'), ...u32(body.length), ...body])
}

/** A PNG with another chunk behind its header. */
function withChunk(png: Uint8Array, type: string, contents: Uint8Array): Uint8Array<ArrayBuffer> {
  const header = 33
  const bytes = new Uint8Array(png.length + contents.length + 12)
  bytes.set(png.subarray(0, header))
  const view = new DataView(bytes.buffer)
  view.setUint32(header, contents.length)
  bytes.set(new TextEncoder().encode(type), header + 4)
  bytes.set(contents, header + 8)
  view.setUint32(
    header + 8 + contents.length,
    crc32(bytes.subarray(header + 4, header + 8 + contents.length)),
  )
  bytes.set(png.subarray(header), header + 12 + contents.length)
  return bytes
}
