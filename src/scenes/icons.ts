// The baked sprites (icons.json, made by tools/bake-icons.ts), ready to draw and to test for coverage.

import baked from './icons.json' with { type: 'json' }

/** A picture of a category. */
export interface Icon {
  /** The word for what it shows, unique per style. */
  readonly category: string
  /** The wider word: 'animal', 'food'. */
  readonly group: string
  /** Its name in @iconify-json/fluent-emoji-flat. */
  readonly icon: string
  /** SVG elements in a 32 x 32 view box. */
  readonly body: string
  /** Centre and half side of the square around its ink, in view box units. */
  readonly centre: readonly [number, number]
  /** Half the side of that square. */
  readonly half: number
  /** 48 x 48 bits over that square, row by row, lowest bit first, base64. */
  readonly silhouette: string
  /** Colours that cover more than an eighth of it each, 0 to 255. */
  readonly inks: readonly (readonly [number, number, number])[]
  /** Colour words somebody might use for a part of it. */
  readonly colours: readonly string[]
}

const GRID = 48

/** Icons of another hand than the world's own. */
export type IconStyle = 'noto'
type Icons = ReadonlyMap<string, Icon>

const byCategory = (list: unknown): Icons =>
  new Map((list as readonly Icon[]).map((icon) => [icon.category, icon]))
const icons = new Map<IconStyle | 'own', Icons>([['own', byCategory(baked)]])
const silhouettes = new Map<Icon, Uint8Array>()

/** Makes a style known. Its icons are a file of their own, which only the tests' scenes need. */
export function addIcons(style: IconStyle, list: unknown): void {
  icons.set(style, byCategory(list))
}

/**
 * The icon of a category.
 *
 * @throws RangeError if none shows it
 */
export function icon(category: string, style: IconStyle | 'own' = 'own'): Icon {
  const match = icons.get(style)?.get(category)
  if (!match) throw new RangeError(`icon: there is no sprite "${category}" of style "${style}"`)
  return match
}

/** True if the sprite covers (u, v) of its square, each in [-1, 1]. */
export function spriteCovers(category: string, u: number, v: number, style?: IconStyle): boolean {
  const x = Math.floor((u + 1) * (GRID / 2))
  const y = Math.floor((v + 1) * (GRID / 2))
  if (x < 0 || y < 0 || x >= GRID || y >= GRID) return false
  const one = icon(category, style)
  let bits = silhouettes.get(one)
  if (!bits) {
    bits = Uint8Array.from(atob(one.silhouette), (c) => c.charCodeAt(0))
    silhouettes.set(one, bits)
  }
  const cell = y * GRID + x
  return (((bits[cell >> 3] as number) >> (cell & 7)) & 1) === 1
}
