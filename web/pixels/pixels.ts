// Bytes of pixels, read through views: an index past the end is a RangeError, and never undefined.

/** A view of the very bytes that a typed array shows. Its places are counted in bytes. */
export function viewOf({ buffer, byteOffset, byteLength }: ArrayBufferView): DataView {
  return new DataView(buffer, byteOffset, byteLength)
}

/**
 * Copies pixels of four bytes without their fourth.
 *
 * @param at the byte of `into` to begin at
 */
export function copyRgb(rgba: Uint8ClampedArray, into: Uint8Array, at: number): void {
  const from = viewOf(rgba)
  for (let i = 0; i < rgba.length; i += 4) {
    into[at++] = from.getUint8(i)
    into[at++] = from.getUint8(i + 1)
    into[at++] = from.getUint8(i + 2)
  }
}

/** Pixels of three bytes as opaque ones of four, for a canvas. */
export function rgbaOf(rgb: Uint8Array): Uint8ClampedArray<ArrayBuffer> {
  const from = viewOf(rgb)
  const rgba = new Uint8ClampedArray((rgb.length / 3) * 4)
  for (let i = 0, to = 0; i < rgb.length; i += 3, to += 4) {
    rgba[to] = from.getUint8(i)
    rgba[to + 1] = from.getUint8(i + 1)
    rgba[to + 2] = from.getUint8(i + 2)
    rgba[to + 3] = 255
  }
  return rgba
}
