// Bakes src/scenes/icons.json from @iconify-json/fluent-emoji-flat, or the second style from @iconify-json/noto:
//
//   npx rolldown tools/bake-icons.ts --platform node --format esm --external @resvg/resvg-js \
//     --file node_modules/.cache/bake-icons.mjs && node node_modules/.cache/bake-icons.mjs [noto]
//
// A sprite is its SVG body, the square around its ink, a 48 x 48 silhouette (so that layouts can be
// judged without rasterising), its main colours and the colour words somebody might use for it.

import { readFileSync, writeFileSync } from 'node:fs'
import { Resvg } from '@resvg/resvg-js'
import { SPRITES } from '../src/scenes/catalogue.ts'
import type { Icon } from '../src/scenes/icons.ts'

const GRID = 48
const SCALE = 8 // the 32 x 32 view box is measured at 256 x 256

interface IconSet {
  width?: number
  icons: Record<string, { body: string }>
}

const isSecond = process.argv[2] === 'noto'
const name = isSecond ? 'noto' : 'fluent-emoji-flat'
const out = isSecond ? 'src/scenes/world/noto.json' : 'src/scenes/icons.json'
const { icons, width = 32 } = JSON.parse(
  readFileSync(`node_modules/@iconify-json/${name}/icons.json`, 'utf8'),
) as IconSet

const baked: Record<string, Icon> = {}
for (const [group, names] of Object.entries(SPRITES)) {
  for (const [category, name] of Object.entries(names)) {
    const drawn = icons[name]?.body
    const body = drawn && isSecond ? shortened(drawn, width) : drawn
    if (!body) throw new Error(`bake-icons: the package has no icon "${name}" for "${category}"`)
    baked[category] = { category, group, icon: name, body, ...measure(body) }
  }
}

const lines = Object.values(baked).map((icon) => `  ${JSON.stringify(icon)}`)
writeFileSync(out, `[\n${lines.join(',\n')}\n]\n`)
console.log(`${lines.length} sprites`)

/** In a 32 x 32 view box, with numbers of two decimals: a sprite is at most 76 pixels wide. */
function shortened(body: string, width: number): string {
  const short = body.replace(/-?\d*\.\d{3,}/g, (number) => String(Math.round(Number(number) * 100) / 100))
  return `<g transform="scale(${32 / width})">${short}</g>`
}

function measure(body: string): Pick<Icon, 'centre' | 'half' | 'silhouette' | 'inks' | 'colours'> {
  // 1. Where the ink is
  const pixels = render(body, '0 0 32 32', 32 * SCALE)
  let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity]
  for (let y = 0; y < 32 * SCALE; y++) {
    for (let x = 0; x < 32 * SCALE; x++) {
      if ((pixels[4 * (y * 32 * SCALE + x) + 3] as number) < 128) continue
      x0 = Math.min(x0, x)
      x1 = Math.max(x1, x + 1)
      y0 = Math.min(y0, y)
      y1 = Math.max(y1, y + 1)
    }
  }
  const centre: [number, number] = [(x0 + x1) / 2 / SCALE, (y0 + y1) / 2 / SCALE]
  const half = Math.max(x1 - x0, y1 - y0) / 2 / SCALE

  // 2. The silhouette on a grid over that square, and what colours it holds
  const side = GRID * 4
  const view = `${centre[0] - half} ${centre[1] - half} ${2 * half} ${2 * half}`
  const square = render(body, view, side)
  const bits = new Uint8Array((GRID * GRID) / 8)
  const shares = new Map<string, number>()
  const inks = new Map<string, number>()
  let count = 0
  for (let i = 0; i < side * side; i++) {
    const [r, g, b, a] = square.subarray(4 * i, 4 * i + 4) as unknown as [number, number, number, number]
    const [x, y] = [i % side, Math.floor(i / side)]
    if (x % 4 === 2 && y % 4 === 2 && a >= 128) {
      const cell = Math.floor(y / 4) * GRID + Math.floor(x / 4)
      bits[cell >> 3] = (bits[cell >> 3] as number) | (1 << (cell & 7))
    }
    if (a < 250) continue
    count++
    inks.set(`${r},${g},${b}`, (inks.get(`${r},${g},${b}`) ?? 0) + 1)
    for (const word of colourWords(r, g, b)) shares.set(word, (shares.get(word) ?? 0) + 1)
  }
  return {
    centre,
    half,
    silhouette: Buffer.from(bits).toString('base64'),
    inks: [...inks]
      .filter(([, n]) => n > 0.12 * count)
      .map(([rgb]) => rgb.split(',').map(Number) as [number, number, number]),
    colours: [...shares]
      .filter(([, n]) => n > 0.04 * count)
      .map(([word]) => word)
      .sort(),
  }
}

function render(body: string, viewBox: string, width: number): Uint8Array {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="${viewBox}" width="${width}" height="${width}">${body}</svg>`
  return new Resvg(svg, { font: { loadSystemFonts: false } }).render().pixels
}

/** Every word somebody might use, generously: near a border both are said. */
function colourWords(r: number, g: number, b: number): string[] {
  const max = Math.max(r, g, b)
  const min = Math.min(r, g, b)
  const words: string[] = []
  if (max < 95) words.push('black')
  if (max - min < 30) return words
  const d = max - min
  const turn = max === r ? ((g - b) / d + 6) % 6 : max === g ? (b - r) / d + 2 : (r - g) / d + 4
  const hue = 60 * turn
  const between = (low: number, high: number) =>
    low <= high ? hue >= low && hue <= high : hue >= low || hue <= high
  if (between(325, 20)) words.push('red')
  if (between(10, 48)) words.push(max < 200 ? 'brown' : 'orange')
  if (between(10, 40) && max < 225) words.push('brown')
  if (between(36, 70) && max > 150) words.push('yellow')
  if (between(65, 175)) words.push('green')
  if (between(175, 260)) words.push('blue')
  if (between(245, 335)) words.push('purple')
  return words
}
