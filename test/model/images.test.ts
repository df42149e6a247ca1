// Image files become the pixels that Pillow reads from them, value by value, in every runtime; and look takes the same pixels
// from a file's bytes and from a Blob.

import { afterAll, describe, expect, test } from 'vitest'
import { decodeImage, encodePng } from '../../src/io/image.ts'
import { captureImage, type ImageInput } from '../../src/model/image-input.ts'
import { Preprocessor } from '../../src/model/preprocess.ts'
import { noise } from '../io/pixels.ts'
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
/** What a canvas keeps is multiplied by alpha. */
const isClear = (name: string) => runtime === 'browser' && name.includes('with alpha')

describe(`as Pillow ${versions.pillow}`, () => {
  test.each(fixtures.filter(({ name }) => !/^(BMP|AVIF)/.test(name) && !isOwn(name) && !isClear(name)))(
    '$name',
    async ({ file, png }) => {
      const image = await decodeImage(bytesOf(file))
      const expected = await decodeImage(bytesOf(png))
      expect([image.width, image.height]).toEqual([expected.width, expected.height])
      const differing = expected.rgb.reduce((sum, value, i) => sum + (value === image.rgb[i] ? 0 : 1), 0)
      expect(differing).toBe(0)
    },
  )

  test.each(scenes)('the scene $name', async ({ name, sha256 }) => {
    const { rgb } = await decodeImage(await readBytes(`test/fixtures/nano/${name}`))
    const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', Uint8Array.from(rgb)))
    expect(hash.reduce((text, byte) => text + byte.toString(16).padStart(2, '0'), '')).toBe(sha256)
  })

  // Where chroma is subsampled, libheif repeats it and libavif doesn't: 4:4:4 is all but the same
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
  const config = { siglip: { image: 28 }, sam: { image: 64 }, prompt: { vision: ['sam'] as const } }
  const preprocessor = new Preprocessor(gpu, config)
  afterAll(() => preprocessor.release())

  /** What SAM takes of it. */
  const seen = async (input: ImageInput): Promise<Float32Array> => {
    const image = captureImage(input, gpu)
    try {
      const { sam } = await preprocessor.run(await image.open())
      return await valuesOf(gpu, sam!)
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

  test(`a PNG's alpha is dropped on ${gpu.name}, and colours aren't multiplied by it`, async () => {
    const bytes = Uint8Array.from(encodePng({ width: 31, height: 17, rgba: noise(31, 17, 4) }))
    const expected = await seen(await decodeImage(bytes))
    expect(await seen(bytes)).toEqual(expected)
    expect(await seen(new Blob([bytes]))).toEqual(expected)
  })
})
