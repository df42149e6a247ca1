// Two pictures of a bench: where the time of each piece goes, and how near kernels come to the roofline. SVG.

import { entryOf } from '../../check.ts'
import type { Ceilings } from '../../tuning/ceilings.ts'
import { byKernel, type MeasuredPiece } from './measure.ts'

/** Neighbours differ in lightness too, for readers who see fewer colours (Tol 2021, muted; Okabe & Ito 2008). */
const PALETTE = [
  '#332288',
  '#e69f00',
  '#117733',
  '#cc6677',
  '#56b4e9',
  '#882255',
  '#ddcc77',
  '#44aa99',
  '#aa4499',
  '#6b4d1f',
]
const OTHERS = '#b9bec6'
const BETWEEN = '#e9ebee'
const INK = '#1f2328'
const FAINT = '#6a7079'
const GRID = '#dfe2e6'
/** Wide enough for the letters of any sans serif, at font size 12. */
const LETTER = 7

interface Legend {
  readonly colourOf: (kernel: string) => string
  readonly entries: readonly (readonly [name: string, colour: string])[]
}

/** A colour for each of the kernels that take the most, in shares of their pieces; one for all others. */
function legendOf(measured: readonly MeasuredPiece[], ceilings: Ceilings): Legend {
  const shares = new Map<string, number>()
  for (const { dispatches, runMs } of measured) {
    for (const [kernel, { ms }] of byKernel(dispatches, ceilings)) {
      shares.set(kernel, (shares.get(kernel) ?? 0) + known(ms) / runMs)
    }
  }
  const ranked = [...shares].sort(([, a], [, b]) => b - a).map(([kernel]) => kernel)
  const colours = new Map(ranked.slice(0, PALETTE.length).map((kernel, i) => [kernel, entryOf(PALETTE, i)]))
  const others: [string, string][] = ranked.length > PALETTE.length ? [['other kernels', OTHERS]] : []
  return { colourOf: (kernel) => colours.get(kernel) ?? OTHERS, entries: [...colours, ...others] }
}

// ---------------------------------------------------------------------------------------------------------
// Bars

const BARS = { width: 1120, left: 330, bar: 490, row: 26 }

/** A bar a piece, all of one length: its time, by kernel. */
export function barsChart(measured: readonly MeasuredPiece[], ceilings: Ceilings, adapter: string): string {
  const { width, left, bar, row } = BARS
  const { colourOf, entries } = legendOf(measured, ceilings)
  const legend = legendLines([...entries, ['between kernels', BETWEEN]], 16, 62, width - 32)
  const top = 62 + legend.height + 34
  const columns = [left + bar + 90, left + bar + 180, left + bar + 275]
  const rows = measured.map(({ title, dispatches, runMs }, i) => {
    const y = top + i * row
    const kernels = byKernel(dispatches, ceilings)
    let [x, flops, ideal] = [left, 0, 0]
    // The sum of the kernels may be a little more than a run takes, as each is timed alone
    const whole = Math.max(
      runMs,
      [...kernels.values()].reduce((sum, { ms }) => sum + known(ms), 0),
    )
    const segment = (kernelMs: number, colour: string): string => {
      const w = (bar * kernelMs) / whole
      const share = (100 * kernelMs) / whole
      const label =
        w > 38
          ? text(x + w / 2, y + 13.5, `${share.toFixed(0)} %`, {
              anchor: 'middle',
              size: 11,
              fill: inkOn(colour),
            })
          : ''
      const shape = `<rect x="${fixed(x)}" y="${y}" width="${fixed(w)}" height="18" fill="${colour}"/>`
      x += w
      return shape + label
    }
    const parts = [...kernels].map(([kernel, { ms, ...total }]) => {
      flops += total.flops
      ideal += total.idealMs
      return [known(ms), colourOf(kernel)] as const
    })
    // Those without a colour of their own stand together at the end
    const shown = [...parts.filter(([, c]) => c !== OTHERS), ...parts.filter(([, c]) => c === OTHERS)]
    const sum = parts.reduce((all, [ms]) => all + ms, 0)
    const joined = merged(shown)
    return [
      text(left - 12, y + 13.5, title, { anchor: 'end' }),
      ...joined.map(([ms, colour]) => segment(ms, colour)),
      segment(Math.max(0, runMs - sum), BETWEEN),
      text(entryOf(columns, 0), y + 13.5, duration(runMs), { anchor: 'end' }),
      text(entryOf(columns, 1), y + 13.5, rate(flops / runMs / 1e6), { anchor: 'end' }),
      text(entryOf(columns, 2), y + 13.5, `${((100 * ideal) / runMs).toFixed(0)} %`, { anchor: 'end' }),
    ].join('\n')
  })
  const heads = ['time', 'GFLOP/s', 'of the ceiling'].map((head, i) =>
    text(entryOf(columns, i), top - 12, head, { anchor: 'end', fill: FAINT }),
  )
  return svg(width, top + measured.length * row + 16, [
    text(16, 28, 'Where the time goes', { size: 17, bold: true }),
    text(16, 48, `Each bar is one piece of the model on ${adapter}, its time by kernel.`, { fill: FAINT }),
    legend.svg,
    ...heads,
    ...rows,
  ])
}

/** Nothing, where there are no timestamps. */
function known(ms: number): number {
  return Number.isFinite(ms) ? ms : 0
}

/** Neighbours of one colour as one. */
function merged(parts: readonly (readonly [number, string])[]): [number, string][] {
  const joined: [number, string][] = []
  for (const [ms, colour] of parts) {
    const last = joined.at(-1)
    if (last?.[1] === colour) last[0] += ms
    else joined.push([ms, colour])
  }
  return joined
}

// ---------------------------------------------------------------------------------------------------------
// Roofline

const ROOF = { width: 1120, height: 700, left: 76, right: 28, bottom: 62 }
/** The least share of a piece's time that gets a mark: what takes less says little. */
const LEAST_SHARE = 0.005

/** A dot a kernel and piece: FLOPs for each byte that must move, against what came of it. */
export function rooflineChart(
  measured: readonly MeasuredPiece[],
  ceilings: Ceilings,
  adapter: string,
): string {
  const { width, height, left, right, bottom } = ROOF
  const { colourOf, entries } = legendOf(measured, ceilings)
  const legend = legendLines(entries, 16, 82, width - 32)
  const top = 82 + legend.height + 18
  const dots = measured.flatMap(({ title, dispatches, runMs, count }) =>
    [...byKernel(dispatches, ceilings)].flatMap(([kernel, { flops, bytes, ms }]) => {
      const share = ms / runMs
      if (!(flops > 0 && ms > 0 && share >= LEAST_SHARE)) return []
      return [{ title, kernel, share, isFull: count > 0, intensity: flops / bytes, gflops: flops / ms / 1e6 }]
    }),
  )
  const [peak, bandwidth] = [ceilings.flopsPerSecond / 1e9, ceilings.bytesPerSecond / 1e9]
  const decades = (values: readonly number[]): [number, number] => [
    Math.floor(Math.log10(Math.min(...values))),
    Math.ceil(Math.log10(Math.max(...values))),
  ]
  const [x0, x1] = decades([...dots.map((d) => d.intensity), (2 * peak) / bandwidth])
  const [y0, y1] = decades([...dots.map((d) => d.gflops), 1.3 * peak])
  const x = (intensity: number): number =>
    left + ((Math.log10(intensity) - x0) / (x1 - x0)) * (width - left - right)
  const y = (gflops: number): number =>
    height - bottom - ((Math.log10(gflops) - y0) / (y1 - y0)) * (height - bottom - top)

  const grid: string[] = []
  for (let d = x0; d <= x1; d++) {
    grid.push(line(x(10 ** d), top, x(10 ** d), height - bottom, GRID))
    grid.push(text(x(10 ** d), height - bottom + 20, tick(d), { anchor: 'middle' }))
  }
  for (let d = y0; d <= y1; d++) {
    grid.push(line(left, y(10 ** d), width - right, y(10 ** d), GRID))
    grid.push(text(left - 10, y(10 ** d) + 4, tick(d), { anchor: 'end' }))
  }

  // The roof: bandwidth up to where the multiply-adds end it. It may begin below or beside the picture.
  const ridge = peak / bandwidth
  const start = Math.max(10 ** x0, 10 ** y0 / bandwidth)
  const roof =
    `<polyline fill="none" stroke="${INK}" stroke-width="1.6" points="${fixed(x(start))},${fixed(y(start * bandwidth))} ` +
    `${fixed(x(ridge))},${fixed(y(peak))} ${fixed(x(10 ** x1))},${fixed(y(peak))}"/>`
  const slope = (Math.atan2(y(start * bandwidth) - y(peak), x(ridge) - x(start)) * 180) / Math.PI
  const middle = Math.sqrt(start * ridge)
  const [sx, sy] = [x(middle), y(middle * bandwidth) - 8]
  const labels = [
    // Above the roof nothing should be, and left of the ridge least
    text(x(ridge) - 12, y(peak) + 2, `${rate(peak)} GFLOP/s of multiply-adds from registers`, {
      anchor: 'end',
    }),
    `<g transform="rotate(${fixed(-slope)} ${fixed(sx)} ${fixed(sy)})">${text(sx, sy, `${rate(bandwidth)} GB/s copied`, { anchor: 'middle' })}</g>`,
  ]
  const circles = dots
    .sort((a, b) => b.share - a.share)
    .map(({ title, kernel, share, isFull, intensity, gflops }) => {
      const colour = colourOf(kernel)
      const paint = isFull
        ? `fill="${colour}" fill-opacity="0.75" stroke="#ffffff" stroke-width="0.8"`
        : `fill="#ffffff" fill-opacity="0.6" stroke="${colour}" stroke-width="1.8"`
      const said = `${title}: ${kernel}, ${rate(intensity)} FLOP/byte, ${rate(gflops)} GFLOP/s, ${(100 * share).toFixed(0)} % of the time`
      return (
        `<circle cx="${fixed(x(intensity))}" cy="${fixed(y(gflops))}" r="${fixed(2.5 + 9 * Math.sqrt(share))}" ${paint}>` +
        `<title>${escaped(said)}</title></circle>`
      )
    })
  const axis = (top + height - bottom) / 2
  return svg(width, height, [
    text(16, 28, 'Kernels under the roofline', { size: 17, bold: true }),
    text(16, 48, `${adapter}. A dot is a kernel in one piece, as large as its share of the piece's time:`, {
      fill: FAINT,
    }),
    text(
      16,
      66,
      'filled in the full model, hollow in the small one. Kernels without arithmetic are not shown.',
      { fill: FAINT },
    ),
    legend.svg,
    ...grid,
    roof,
    ...circles,
    ...labels,
    text((left + width - right) / 2, height - 16, 'FLOPs for each byte that must move', { anchor: 'middle' }),
    `<g transform="rotate(-90 22 ${fixed(axis)})">${text(22, fixed(axis), 'GFLOP/s', { anchor: 'middle' })}</g>`,
  ])
}

function tick(decade: number): string {
  return decade >= 0 ? `${10 ** decade}` : (10 ** decade).toFixed(-decade)
}

// ---------------------------------------------------------------------------------------------------------
// SVG

/** Colours with names, in as many lines as they need. */
function legendLines(
  entries: readonly (readonly [name: string, colour: string])[],
  left: number,
  top: number,
  width: number,
): { svg: string; height: number } {
  let [x, y] = [left, top]
  const parts = entries.map(([name, colour]) => {
    const needed = 18 + name.length * LETTER + 14
    if (x + needed > left + width) [x, y] = [left, y + 20]
    const part =
      `<rect x="${x}" y="${y}" width="12" height="12" rx="2" fill="${colour}"/>` +
      text(x + 18, y + 10.5, name)
    x += needed
    return part
  })
  return { svg: parts.join('\n'), height: y + 12 - top }
}

interface TextStyle {
  readonly anchor?: 'start' | 'middle' | 'end'
  readonly size?: number
  readonly fill?: string
  readonly bold?: boolean
}

function text(x: number | string, y: number | string, content: string, style: TextStyle = {}): string {
  const { anchor = 'start', size = 12, fill = INK, bold = false } = style
  const weight = bold ? ' font-weight="bold"' : ''
  return `<text x="${x}" y="${y}" text-anchor="${anchor}" font-size="${size}" fill="${fill}"${weight}>${escaped(content)}</text>`
}

function line(x1: number, y1: number, x2: number, y2: number, colour: string): string {
  return `<line x1="${fixed(x1)}" y1="${fixed(y1)}" x2="${fixed(x2)}" y2="${fixed(y2)}" stroke="${colour}"/>`
}

function svg(width: number, height: number, parts: readonly string[]): string {
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" ` +
    `font-family="Helvetica, Arial, DejaVu Sans, sans-serif">\n<rect width="100%" height="100%" fill="#ffffff"/>\n` +
    `${parts.filter(Boolean).join('\n')}\n</svg>\n`
  )
}

function fixed(value: number): string {
  return value.toFixed(1)
}

function escaped(content: string): string {
  return content.replace(/&/g, '&amp;').replace(/</g, '&lt;')
}

/** White on dark colours: by their luma (Rec. 601). */
function inkOn(colour: string): string {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((i) => Number.parseInt(colour.slice(i, i + 2), 16))
  return 0.299 * r + 0.587 * g + 0.114 * b < 140 ? '#ffffff' : INK
}

function rate(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(2)
}

function duration(ms: number): string {
  if (ms >= 10_000) return `${(ms / 1000).toFixed(1)} s`
  return `${ms >= 100 ? ms.toFixed(0) : ms.toPrecision(3)} ms`
}
