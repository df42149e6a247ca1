// Pictures that show nothing of the world: whatever is asked of them, the honest answer is that it isn't there.
//
// Four of the kinds are never trained on: they tell whether a model knows that a picture is foreign, or only knows the
// foreign pictures it has seen. 'empty' is a wall of the world without an object on it.

import type { KeyedRandom } from '../random.ts'
import { fixed } from '../shapes.ts'
import { richBackground } from './backdrop.ts'
import { type Backdrop, covering, SIZE } from './canvas.ts'
import { fromHsl, type RgbBytes, toHex } from './colour.ts'

type DrawBackdrop = (random: KeyedRandom) => Backdrop

const DRAWN: Readonly<Record<ForeignKind, DrawBackdrop>> = {
  empty,
  noise,
  bands,
  text,
  landscape,
  scribble,
  mosaic,
  city,
  plasma,
  portrait,
  circuit,
}

/** A kind of picture without objects. */
export type ForeignKind =
  | 'empty'
  | 'noise'
  | 'bands'
  | 'text'
  | 'landscape'
  | 'scribble'
  | 'mosaic'
  | 'city'
  | 'plasma'
  | 'portrait'
  | 'circuit'

/** Kinds that only scenes for tests show. */
export const HELD_OUT_FOREIGN: readonly ForeignKind[] = ['city', 'plasma', 'portrait', 'circuit']
const TRAINED = (Object.keys(DRAWN) as ForeignKind[]).filter((kind) => !HELD_OUT_FOREIGN.includes(kind))

/** Some picture without objects; half of those for tests are of kinds that training never shows. */
export function anyForeign(
  random: KeyedRandom,
  isForTests: boolean,
): Backdrop & { readonly foreign: ForeignKind } {
  const foreign = random.pick(isForTests && random.chance(0.5) ? HELD_OUT_FOREIGN : TRAINED)
  const draw: DrawBackdrop = DRAWN[foreign]
  return { foreign, ...draw(random) }
}

// ---- Trained on

function empty(random: KeyedRandom): Backdrop {
  return richBackground(
    random,
    [],
    fromHsl(random.int(0, 359), random.range(0.05, 0.35), random.range(0.5, 0.92)),
  )
}

function noise(random: KeyedRandom): Backdrop {
  return { background: covering(colour(random)), grain: random.int(30, 120) }
}

function bands(random: KeyedRandom): Backdrop {
  const turn = random.int(0, 179)
  let y = -SIZE
  const rows: string[] = []
  while (y < 2 * SIZE) {
    const height = random.int(4, 60)
    rows.push(`<rect x="${-SIZE}" y="${y}" width="${3 * SIZE}" height="${height}" fill="${colour(random)}"/>`)
    y += height
  }
  return { background: `<g transform="rotate(${turn} 128 128)">${rows.join('')}</g>` }
}

/** Lines of letters as a display with fourteen bars would show them. */
function text(random: KeyedRandom): Backdrop {
  const [ink, size] = [toHex(dark(random)), random.int(8, 22)]
  const letters: string[] = []
  for (let y = 10; y + 1.6 * size < SIZE; y += 2.1 * size) {
    for (let x = 10; x + size < SIZE - 6; x += 1.25 * size) {
      if (random.chance(0.16)) continue
      const bars = BARS.filter(() => random.chance(0.42)).map(([a, b, c, d]) => {
        const at = (u: number, v: number) => `${fixed(x + u * size)} ${fixed(y + v * size)}`
        return `M${at(a, b)}L${at(c, d)}`
      })
      letters.push(bars.join(''))
    }
  }
  const stroke = `fill="none" stroke="${ink}" stroke-width="${fixed(size / 8)}"`
  return { background: `${covering(toHex(pale(random)))}<path d="${letters.join('')}" ${stroke}/>` }
}

type Bar = readonly [number, number, number, number]
const BARS: readonly Bar[] = [
  [0, 0, 0.8, 0],
  [0, 0.8, 0.8, 0.8],
  [0, 1.6, 0.8, 1.6],
  [0, 0, 0, 0.8],
  [0.8, 0, 0.8, 0.8],
  [0, 0.8, 0, 1.6],
  [0.8, 0.8, 0.8, 1.6],
  [0, 0, 0.8, 1.6],
]

/** A sky, hills one behind the other, and a sun at times. */
function landscape(random: KeyedRandom): Backdrop {
  const sky = fromHsl(random.int(180, 240), random.range(0.3, 0.7), random.range(0.6, 0.85))
  const sun = random.chance(0.6)
    ? `<circle cx="${random.int(20, 236)}" cy="${random.int(15, 90)}" r="${random.int(10, 24)}" fill="#ffe9a0"/>`
    : ''
  const hills = Array.from({ length: random.int(2, 5) }, (_, i) => {
    const y = 90 + 34 * i + random.int(-12, 12)
    const paint = toHex(fromHsl(random.int(70, 150), random.range(0.2, 0.55), 0.62 - 0.1 * i))
    return `<path d="M0 256V${y}${curve(random, y)}V256Z" fill="${paint}"/>`
  })
  return { background: covering(toHex(sky)) + sun + hills.join(''), grain: random.int(0, 12) }
}

function curve(random: KeyedRandom, y: number): string {
  const ups = Array.from({ length: 4 }, (_, i) => {
    const [x, high] = [64 * (i + 1), y + random.int(-30, 30)]
    return `Q${x - 32} ${high - random.int(-25, 25)} ${x} ${high}`
  })
  return ups.join('')
}

function scribble(random: KeyedRandom): Backdrop {
  const lines = Array.from({ length: random.int(4, 14) }, () => {
    const points = Array.from(
      { length: random.int(4, 12) },
      () => `${random.int(0, SIZE)} ${random.int(0, SIZE)}`,
    )
    const width = random.int(1, 9)
    return `<path d="M${points.join(' ')}" fill="none" stroke="${colour(random)}" stroke-width="${width}"/>`
  })
  return { background: covering(toHex(pale(random))) + lines.join('') }
}

function mosaic(random: KeyedRandom): Backdrop {
  const step = random.int(12, 52)
  const tiles: string[] = []
  for (let y = 0; y < SIZE; y += step) {
    for (let x = 0; x < SIZE; x += step) {
      tiles.push(`<rect x="${x}" y="${y}" width="${step}" height="${step}" fill="${colour(random)}"/>`)
    }
  }
  return { background: tiles.join('') }
}

// ---- Held out

/** Towers with windows in front of a sky. */
function city(random: KeyedRandom): Backdrop {
  const parts = [covering(toHex(fromHsl(random.int(190, 260), 0.4, random.range(0.2, 0.8))))]
  for (let x = -8; x < SIZE; x += random.int(20, 46)) {
    const [width, top, wall] = [random.int(22, 52), random.int(40, 190), toHex(dark(random))]
    parts.push(`<rect x="${x}" y="${top}" width="${width}" height="${SIZE}" fill="${wall}"/>`)
    for (let y = top + 6; y < SIZE; y += 12) {
      for (let u = x + 4; u < x + width - 5; u += 9) {
        if (random.chance(0.5)) parts.push(`<rect x="${u}" y="${y}" width="4" height="6" fill="#f4e7a1"/>`)
      }
    }
  }
  return { background: parts.join('') }
}

/** Large soft spots that run into one another. */
function plasma(random: KeyedRandom): Backdrop {
  const spots = Array.from({ length: random.int(6, 12) }, (_, i) => {
    const stops = `<stop offset="0" stop-color="${colour(random)}"/><stop offset="1" stop-color="#000" stop-opacity="0"/>`
    const at = `cx="${random.int(0, SIZE)}" cy="${random.int(0, SIZE)}" r="${random.int(50, 140)}"`
    return `<radialGradient id="s${i}">${stops}</radialGradient><circle ${at} fill="url(#s${i})"/>`
  })
  return { background: covering(colour(random)) + spots.join('') }
}

/** A head with shoulders. */
function portrait(random: KeyedRandom): Backdrop {
  const [x, y, r] = [random.int(96, 160), random.int(90, 130), random.int(38, 62)]
  const skin = toHex(fromHsl(random.int(15, 35), random.range(0.3, 0.6), random.range(0.35, 0.75)))
  const hair = toHex(dark(random))
  const eyes = [-0.38, 0.38]
    .map((u) => `<circle cx="${fixed(x + u * r)}" cy="${y}" r="4" fill="#222"/>`)
    .join('')
  return {
    background:
      covering(colour(random)) +
      `<ellipse cx="${x}" cy="268" rx="${fixed(r * 2)}" ry="${fixed(268 - y - r)}" fill="${colour(random)}"/>` +
      `<ellipse cx="${x}" cy="${fixed(y - 0.2 * r)}" rx="${fixed(r * 1.12)}" ry="${fixed(r * 1.25)}" fill="${hair}"/>` +
      `<ellipse cx="${x}" cy="${fixed(y + 0.1 * r)}" rx="${fixed(r * 0.86)}" ry="${fixed(r * 1.12)}" fill="${skin}"/>` +
      `${eyes}<path d="M${x - 12} ${fixed(y + 0.6 * r)}q12 9 24 0" fill="none" stroke="#7a2e2e" stroke-width="4"/>`,
    grain: random.int(0, 10),
  }
}

/** Straight tracks between round pads. */
function circuit(random: KeyedRandom): Backdrop {
  const paint = colour(random)
  const tracks = Array.from({ length: random.int(14, 34) }, () => {
    const [x, y, dx, dy] = [
      8 * random.int(1, 30),
      8 * random.int(1, 30),
      8 * random.int(-9, 9),
      8 * random.int(-9, 9),
    ]
    const line = `<path d="M${x} ${y}h${dx}v${dy}" fill="none" stroke="${paint}" stroke-width="3"/>`
    return `${line}<circle cx="${x}" cy="${y}" r="5" fill="${paint}"/><circle cx="${x + dx}" cy="${y + dy}" r="4" fill="${paint}"/>`
  })
  return { background: covering(toHex(dark(random))) + tracks.join('') }
}

// ---- Colours

const colour = (random: KeyedRandom): string =>
  toHex(fromHsl(random.int(0, 359), random.range(0.2, 0.9), random.range(0.25, 0.8)))
const dark = (random: KeyedRandom): RgbBytes =>
  fromHsl(random.int(0, 359), random.range(0, 0.5), random.range(0.08, 0.3))
const pale = (random: KeyedRandom): RgbBytes =>
  fromHsl(random.int(0, 359), random.range(0, 0.4), random.range(0.82, 0.97))
