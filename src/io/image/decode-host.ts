// `#decoder` outside of browsers is libvips, by the package sharp, on threads of its own.
//
// Its JPEG is libjpeg-turbo's: on a corpus of 101 files (every sampling, progressive, restarts, grey, CMYK, YCCK;
// November 2026) not one value differs from Pillow 12.2, where mozjpeg in WebAssembly (@jsquash/jpeg 1.6) refuses four
// inks and differs for 4:4:0. It gets a file whose headers were read before (image.ts), without metadata, so that it
// has no profile to go by. Inflate is zlib's: the streams of these runtimes disagree about data that lack their end,
// and about what comes after it.

import { pipeline, Readable } from 'node:stream'
import { createInflate } from 'node:zlib'
import type sharp from 'sharp'
import type { Sharp } from 'sharp'
import { breathe } from '../../breathe.ts'
import { ImageError } from '../../errors.ts'
import { printable } from '../../printable.ts'
import { viewOf } from '../../view.ts'
import type { Image, ImageFile } from './image.ts'
import { type ImageKind, withArticle } from './image-kind.ts'

type SharpConstructor = typeof sharp

/** Kinds that this runtime decodes, besides PNG. */
export function canDecode(kind: ImageKind): boolean {
  return ['JPEG', 'WebP', 'AVIF', 'GIF'].includes(kind)
}

/** @throws ImageError if the file is damaged */
export async function decodeFile(file: ImageFile, signal: AbortSignal | undefined): Promise<Image> {
  const { bytes, kind, name, maxPixels, orientation, jpeg } = file
  const open = await loadSharp(kind, name)
  const isCmyk = jpeg?.components === 4
  const plain = jpeg ? jpeg.plain() : bytes
  const decode = async (failOn: 'warning' | 'truncated'): Promise<Image> => {
    const limitInputPixels = Number.isSafeInteger(maxPixels) ? maxPixels : false // sharp takes no other numbers
    const image = open(plain, { failOn, ignoreIcc: true, limitInputPixels })
    turn(image, orientation)
    if (isCmyk) image.pipelineColourspace('cmyk').toColourspace('cmyk')
    else image.removeAlpha().toColourspace('srgb')
    const { data, info } = await image.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true })
    const { width, height, channels } = info
    if (channels !== (isCmyk ? 4 : 3)) {
      throw new ImageError(
        `${name} is ${withArticle(kind)} that decodes to ${channels} channels: save it as RGB.`,
      )
    }
    const pixels = new Uint8Array(data.buffer, data.byteOffset, data.length)
    return { width, height, rgb: isCmyk ? await rgbOfCmyk(pixels, signal) : pixels }
  }

  try {
    return await decode('warning').catch((error: unknown) => {
      // Some programs pad the last scan: it is whole when the first complaint is about what comes after it
      if (/extraneous bytes before marker 0xd9/.test(String(error))) return decode('truncated')
      throw error
    })
  } catch (cause) {
    if (cause instanceof ImageError || signal?.aborted) throw cause
    const reason = printable(cause instanceof Error ? cause.message.trim() : String(cause))
    throw new ImageError(
      `${name} is damaged or cut short: its ${kind} data can't be decoded (${reason}). Copy or download it again, or save it ` +
        'as PNG.',
      { cause },
    )
  }
}

/**
 * Inflates a zlib stream, on a thread of its own.
 *
 * @param packedBytes of all pieces together
 * @throws Error if the stream is damaged, cut short, or not all that the pieces hold
 */
export async function* inflate(
  pieces: AsyncIterable<Uint8Array<ArrayBuffer>>,
  packedBytes: number,
): AsyncGenerator<Uint8Array> {
  const inflating = createInflate()
  // Whatever goes wrong in it comes out of the loop
  pipeline(Readable.from(pieces), inflating, () => undefined)
  for await (const bytes of inflating as AsyncIterable<Uint8Array>) yield bytes
  if (inflating.bytesWritten < packedBytes) throw new Error('data go on after their end')
}

async function loadSharp(kind: ImageKind, name: string): Promise<SharpConstructor> {
  try {
    return (await import('sharp')).default
  } catch (cause) {
    throw new ImageError(
      `${name} is ${withArticle(kind)}, and the package sharp, which decodes it, can't be loaded here: install it for this platform ` +
        '(npm install sharp), or save the image as PNG.',
      { cause },
    )
  }
}

/** EXIF orientations 2 to 8. The pipeline mirrors first, then turns. */
function turn(image: Sharp, orientation: number): void {
  const [angle, mirror] = TURNS[orientation] ?? [0, undefined]
  if (angle !== 0) image.rotate(angle)
  if (mirror === 'flop') image.flop()
  if (mirror === 'flip') image.flip()
}

const TURNS: Readonly<Record<number, readonly [angle: number, mirror?: 'flip' | 'flop']>> = {
  2: [0, 'flop'],
  3: [180],
  4: [0, 'flip'],
  5: [90, 'flip'],
  6: [90],
  7: [90, 'flop'],
  8: [270],
}

/** Pixels between two moments for other work. */
const STEP = 2 ** 16

/**
 * CMYK to RGB as Pillow does it: r = (255 - k) - c (255 - k) / 255, rounded. Inks come inverted, as Adobe writes them.
 */
async function rgbOfCmyk(inks: Uint8Array, signal: AbortSignal | undefined): Promise<Uint8Array> {
  const view = viewOf(inks)
  const pixels = inks.length / 4
  const rgb = new Uint8Array(pixels * 3)
  for (let first = 0; first < pixels; first += STEP) {
    await breathe(signal)
    for (let i = first; i < Math.min(pixels, first + STEP); i++) {
      const light = 255 - view.getUint8(i * 4 + 3)
      for (let c = 0; c < 3; c++) {
        const product = view.getUint8(i * 4 + c) * light + 128
        rgb[i * 3 + c] = light - ((product + (product >> 8)) >> 8)
      }
    }
  }
  return rgb
}
