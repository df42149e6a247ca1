// Checks of decodeImage and encodePng: callers in JavaScript may give anything instead of bytes and pixels.

import { describe } from '../../check.ts'
import { ImageError } from '../../errors.ts'
import { expectOptions, type OptionKinds, POSITIVE, SIGNAL, TEXT } from '../../options.ts'
import type { DecodeOptions } from './image.ts'

const DECODE_KINDS: OptionKinds<DecodeOptions> = { maxPixels: POSITIVE, name: TEXT, signal: SIGNAL }

/** @throws ImageError, UsageError */
export function expectDecodable(bytes: unknown, options: object): void {
  if (!isBytes(bytes)) {
    throw new ImageError(
      `decodeImage was given ${describe(bytes)}; it takes the bytes of an image file, a Uint8Array.`,
    )
  }
  expectOptions('decodeImage', options, DECODE_KINDS)
}

/** @throws ImageError */
export function expectEncodable(image: unknown): void {
  const isObject = typeof image === 'object' && image !== null
  const [name] = isObject ? ['rgb', 'rgba', 'grey'].filter((key) => key in image) : []
  if (isObject && name && isBytes(image[name as keyof typeof image])) return
  const what =
    isObject && name ? `${name} that is ${describe(image[name as keyof typeof image])}` : describe(image)
  throw new ImageError(
    `encodePng was given ${what}; it takes { width, height, rgb }, or rgba or grey, with a Uint8Array of the pixels.`,
  )
}

function isBytes(value: unknown): boolean {
  return ArrayBuffer.isView(value) && 'BYTES_PER_ELEMENT' in value && value.BYTES_PER_ELEMENT === 1
}
