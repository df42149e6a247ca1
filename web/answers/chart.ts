// The scores' course through the layers, as lines: the chosen candidate's, and pale the others'.

import type { AnswerFacts } from '../common/protocol.ts'
import { make, makeSvg } from '../page/dom.ts'

/** Size and margins of the chart, in em of the page's text. */
const WIDEST = 48
const HEIGHT = 13.4
const LEFT = 2.4
const RIGHT = 7.4
const TOP = 0.7
const BOTTOM = 1.8
/** Columns narrower than this many em show the layer's number only. */
const ROOMY = 3.6

/** A chart of the best candidates' scores, layer by layer, with its legend. */
export function scoreChart(answer: AnswerFacts): HTMLElement {
  const title = make('figcaption', {}, make('h3', {}, 'Scores, layer by layer'))
  const figure = make('figure', { className: 'chart' }, title)
  // Drawn for the width there is, so that letters keep their size
  let drawn = { width: 0, em: 0 }
  new ResizeObserver(() => {
    const room = figure.clientWidth
    if (room === 0) return // hidden, or removed for another answer: then it has no font size either
    const em = Number.parseFloat(getComputedStyle(figure).fontSize)
    const width = Math.min(WIDEST * em, room)
    if (width === drawn.width && em === drawn.em) return
    drawn = { width, em }
    figure.replaceChildren(title, draw(answer, width, em))
  }).observe(figure)
  return figure
}

/** @param em the font size in pixels */
function draw({ layers, rank, found }: AnswerFacts, width: number, em: number): SVGElement {
  const last = layers.length - 1
  const height = HEIGHT * em
  const isNarrow = width - (LEFT + RIGHT) * em < last * ROOMY * em
  // The line's label stands beside its end, or above the chart where there is no room
  const [left, right] = [LEFT * em, (isNarrow ? 1 : RIGHT) * em]
  const top = (isNarrow ? TOP + 1.4 : TOP) * em
  const x = (layer: number): number => left + (layer / Math.max(1, last)) * (width - left - right)
  const y = (score: number): number => top + (1 - score) * (height - top - BOTTOM * em)
  const path = (i: number): string =>
    layers
      .map(
        ({ scores }, layer) => `${layer ? 'L' : 'M'}${x(layer).toFixed(1)} ${y(scores[i] ?? 0).toFixed(1)}`,
      )
      .join('')

  const svg = makeSvg('svg', {
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
    role: 'img',
    'aria-label': `Scores by layer. ${layers
      .map(({ layer, score }) => `${layer === 0 ? 'Before layer 1' : `Layer ${layer}`}: ${score.toFixed(2)}`)
      .join('. ')}.`,
  })
  for (const score of [0, 0.5, 1]) {
    svg.append(
      makeSvg('line', { class: 'grid', x1: left, x2: x(last), y1: y(score), y2: y(score) }),
      makeSvg('text', { x: left - em / 2, y: y(score) + em / 4, 'text-anchor': 'end' }, String(score)),
    )
  }
  layers.forEach(({ layer }) => {
    const name = isNarrow ? String(layer) : layer === 0 ? 'before' : `layer ${layer}`
    svg.append(makeSvg('text', { x: x(layer), y: height - 0.4 * em, 'text-anchor': 'middle' }, name))
  })
  const chosen = rank - 1
  layers[0]?.scores.forEach((_, i) => {
    if (i !== chosen) svg.append(makeSvg('path', { class: 'other', d: path(i) }))
  })
  const at = layers.map(({ score }, layer) => makeSvg('circle', { cx: x(layer), cy: y(score), r: 4 }))
  const end = layers[last]
  const line = layers
    .map(({ score }, layer) => `${layer ? 'L' : 'M'}${x(layer).toFixed(1)} ${y(score).toFixed(1)}`)
    .join('')
  svg.append(
    makeSvg('path', { class: 'chosen', d: line }),
    ...at,
    makeSvg(
      'text',
      isNarrow
        ? { class: 'chosen-name', x: x(last), y: em, 'text-anchor': 'end' }
        : { class: 'chosen-name', x: x(last) + 0.8 * em, y: y(end?.score ?? 0) + em / 4 },
      rank > 1 ? `candidate ${rank}` : found ? 'the answer' : 'best guess',
    ),
  )
  return svg
}
