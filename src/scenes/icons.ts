// The baked sprites (icons.json, made by tools/bake-icons.ts), ready to draw and to test for coverage.

import baked from './icons.json' with { type: 'json' }

/** A picture of a category. */
export interface Icon {
  readonly category: string
  readonly group: string
  /** Its name in @iconify-json/fluent-emoji-flat. */
  readonly icon: string
  /** SVG elements in a 32 x 32 view box. */
  readonly body: string
  /** Centre and half side of the square around its ink, in view box units. */
  readonly centre: readonly [number, number]
  readonly half: number
  /** 48 x 48 bits over that square, row by row, lowest bit first, base64. */
  readonly silhouette: string
  /** Colours that cover more than an eighth of it each, 0 to 255. */
  readonly inks: readonly (readonly [number, number, number])[]
  /** Colour words somebody might use for a part of it. */
  readonly colours: readonly string[]
}

const GRID = 48

const icons = new Map((baked as unknown as readonly Icon[]).map((icon) => [icon.category, icon]))
const silhouettes = new Map<string, Uint8Array>()

/**
 * The icon of a category.
 *
 * @throws RangeError if none shows it
 */
export function icon(category: string): Icon {
  const match = icons.get(category)
  if (!match) throw new RangeError(`icon: there is no sprite "${category}"`)
  return match
}

/** Whether the sprite covers (u, v) of its square, each in [-1, 1]. */
export function spriteCovers(category: string, u: number, v: number): boolean {
  const x = Math.floor((u + 1) * (GRID / 2))
  const y = Math.floor((v + 1) * (GRID / 2))
  if (x < 0 || y < 0 || x >= GRID || y >= GRID) return false
  let bits = silhouettes.get(category)
  if (!bits) {
    bits = Uint8Array.from(atob(icon(category).silhouette), (c) => c.charCodeAt(0))
    silhouettes.set(category, bits)
  }
  const cell = y * GRID + x
  return (((bits[cell >> 3] as number) >> (cell & 7)) & 1) === 1
}
