// The chart: a bar a case, as long as ours is faster than the best peer, on a logarithmic scale around 1.

const WIDTH = 960
const LEFT = 400
const RIGHT = 70
const ROW = 22
const TOP = 66
const COLOURS = { ahead: '#1f7a5c', behind: '#b4472e', alone: '#8a8f98', ink: '#1f2328', grid: '#d9dce1' }

/** @returns SVG */
export function chartOf(title, rows) {
  const shown = rows.filter(({ ours }) => ours.rate !== undefined)
  const ratios = shown.map(({ ratio }) => ratio).filter((ratio) => ratio !== undefined)
  const [low, high] = [Math.min(0.5, ...ratios), Math.max(2, ...ratios)]
  const ticks = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100].filter((t) => t >= low / 2.1 && t <= high * 2.1)
  const [from, to] = [Math.min(low, ticks[0]), Math.max(high, ticks.at(-1))].map(Math.log)
  const x = (ratio) => LEFT + ((Math.log(ratio) - from) / (to - from)) * (WIDTH - LEFT - RIGHT)
  const height = TOP + shown.length * ROW + 40
  const bottom = TOP + shown.length * ROW + 6

  const grid = ticks.map((tick) => {
    const at = x(tick).toFixed(1)
    const isOne = tick === 1
    return (
      `<line x1="${at}" y1="${TOP - 8}" x2="${at}" y2="${bottom}" stroke="${isOne ? COLOURS.ink : COLOURS.grid}"/>` +
      `<text x="${at}" y="${bottom + 18}" text-anchor="middle" fill="${COLOURS.ink}">${tick}x</text>`
    )
  })
  const bars = shown.map(({ name, ratio, best }, i) => {
    const y = TOP + i * ROW
    const label = `<text x="${LEFT - 12}" y="${y + 14}" text-anchor="end" fill="${COLOURS.ink}">${escape(name)}</text>`
    if (ratio === undefined) {
      const at = (x(1) + 6).toFixed(1)
      return `${label}<text x="${at}" y="${y + 14}" fill="${COLOURS.alone}">no peer gets it right</text>`
    }
    const [start, end] = [x(1), x(ratio)].sort((a, b) => a - b)
    const isAhead = ratio >= 1
    const side = isAhead ? `x="${(end + 6).toFixed(1)}"` : `x="${(start - 6).toFixed(1)}" text-anchor="end"`
    const said = `${ratio.toPrecision(2)}x ${best.engine}`
    return (
      `${label}<rect x="${start.toFixed(1)}" y="${y + 2}" width="${Math.max(1, end - start).toFixed(1)}" ` +
      `height="${ROW - 6}" fill="${isAhead ? COLOURS.ahead : COLOURS.behind}"/>` +
      `<text ${side} y="${y + 14}" fill="${COLOURS.ink}" font-size="11">${said}</text>`
    )
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="Helvetica, Arial, sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="16" y="26" font-size="16" font-weight="bold" fill="${COLOURS.ink}">Speed over the best peer, ${escape(title)}</text>
<text x="16" y="45" fill="${COLOURS.ink}">Right of 1x ours is faster. Beside each bar: the peer that is best at this case.</text>
${grid.join('\n')}
${bars.join('\n')}
</svg>
`
}

function escape(text) {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;')
}
