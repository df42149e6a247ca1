// Pixels by formula, the same here and in test/fixtures/io/make.py.

/** Byte i is a mix of i. @returns [height, width, channels] */
export function noise(width: number, height: number, channels = 3): Uint8Array {
  return Uint8Array.from({ length: width * height * channels }, (_, i) => {
    let v = Math.imul(i, 2654435761) >>> 0
    v = Math.imul(v ^ (v >>> 15), 2246822519) >>> 0
    return (v ^ (v >>> 13)) & 255
  })
}
