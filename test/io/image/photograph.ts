// A photograph of 12 megapixels in every format that is read outside of pages.

import sharp from 'sharp'
import { noise } from './pixels.ts'

export const PHOTOGRAPH: { readonly width: number; readonly height: number } = { width: 4000, height: 3000 }

const small = sharp(noise(400, 300), { raw: { width: 400, height: 300, channels: 3 } })
const large = small.resize(PHOTOGRAPH.width, PHOTOGRAPH.height)

const ENCODED = {
  JPEG: () => large.clone().jpeg({ quality: 90 }),
  'progressive JPEG': () => large.clone().jpeg({ quality: 90, progressive: true }),
  'JPEG turned by EXIF': () => large.clone().withMetadata({ orientation: 6 }).jpeg({ quality: 90 }),
  'CMYK JPEG': () => large.clone().toColourspace('cmyk').jpeg({ quality: 90 }),
  PNG: () => large.clone().png({ compressionLevel: 1 }),
  'interlaced PNG': () => large.clone().png({ compressionLevel: 1, progressive: true }),
  WebP: () => large.clone().webp({ quality: 80, effort: 0 }),
  AVIF: () => large.clone().avif({ quality: 50, effort: 0 }),
}

/** The formats of the photograph. */
export type PhotographFormat = keyof typeof ENCODED
export const PHOTOGRAPH_FORMATS: readonly PhotographFormat[] = Object.keys(ENCODED) as PhotographFormat[]

/** The file's bytes. */
export async function photograph(format: PhotographFormat): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await ENCODED[format]().toBuffer())
}
