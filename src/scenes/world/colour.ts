// Colours as the scenes are painted with: bytes, hex and how different two of them look.

import type { KeyedRandom } from '../random.ts'

/** Red, green and blue, 0 to 255. */
export type RgbBytes = readonly [number, number, number]

/** The colour, a little lighter or darker and a little off. */
export function shift(random: KeyedRandom, [r, g, b]: RgbBytes, most: number): RgbBytes {
  const light = random.range(-most, most)
  const channel = (v: number) => Math.min(255, Math.max(0, Math.round(v + light + random.range(-5, 5))))
  return [channel(r), channel(g), channel(b)]
}

/** The colour as a painter would mix it a second time. */
export function jitter(random: KeyedRandom, hex: string): string {
  const channel = (v: number) => Math.min(255, Math.max(0, Math.round(v + random.range(-9, 9))))
  const [r, g, b] = fromHex(hex)
  return toHex([channel(r), channel(g), channel(b)])
}

/** `share` of the way from one colour to the other. */
export function mixHex(a: string, b: string, share: number): string {
  const [from, to] = [fromHex(a), fromHex(b)]
  const at = (c: 0 | 1 | 2) => Math.round(from[c] + (to[c] - from[c]) * share)
  return toHex([at(0), at(1), at(2)])
}

/** #rrggbb as three bytes. */
export function fromHex(hex: string): RgbBytes {
  const at = (i: number) => Number.parseInt(hex.slice(i, i + 2), 16)
  return [at(1), at(3), at(5)]
}

/** Three bytes as #rrggbb. */
export function toHex(rgb: RgbBytes): string {
  return `#${rgb.map((v) => v.toString(16).padStart(2, '0')).join('')}`
}

/** Hue in degrees, saturation and lightness in [0, 1]. */
export function fromHsl(hue: number, saturation: number, lightness: number): RgbBytes {
  const channel = (n: number) => {
    const k = (n + hue / 30) % 12
    const a = saturation * Math.min(lightness, 1 - lightness)
    return Math.round(255 * (lightness - a * Math.max(-1, Math.min(k - 3, 9 - k, 1))))
  }
  return [channel(0), channel(8), channel(4)]
}

/** Distance in Oklab (Ottosson 2020): black to white is 1. */
export function perceivedDistance(a: RgbBytes, b: RgbBytes): number {
  const [la, aa, ba] = toOklab(a)
  const [lb, ab, bb] = toOklab(b)
  return Math.hypot(la - lb, aa - ab, ba - bb)
}

function toOklab(rgb: RgbBytes): RgbBytes {
  const linear = (v: number) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4)
  const [r, g, b] = [linear(rgb[0]), linear(rgb[1]), linear(rgb[2])]
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b)
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b)
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b)
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ]
}
