// The scores' course through the layers, as lines: the chosen candidate's, and pale the others'.

import { make, makeSvg } from './dom.ts'
import type { AnswerFacts } from './protocol.ts'

const WIDEST = 720
const HEIGHT = 200
const LEFT = 36
const RIGHT = 110
const TOP = 10
const BOTTOM = 26

export function course(answer: AnswerFacts): HTMLElement {
  const title = make('figcaption', {}, make('h3', {}, 'Scores, layer by layer'))
  const figure = make('figure', { className: 'course' }, title)
  // Drawn for the width there is, so that letters keep their size
  let drawn = 0
  new ResizeObserver(() => {
    const width = Math.min(WIDEST, figure.clientWidth)
    if (width === drawn || width === 0) return
    drawn = width
    figure.replaceChildren(title, draw(answer, width))
  }).observe(figure)
  return figure
}

function draw({ layers, rank }: AnswerFacts, width: number): SVGElement {
  const last = layers.length - 1
  const x = (layer: number): number => LEFT + (layer / Math.max(1, last)) * (width - LEFT - RIGHT)
  const y = (score: number): number => TOP + (1 - score) * (HEIGHT - TOP - BOTTOM)
  const path = (i: number): string =>
    layers
      .map(
        ({ scores }, layer) => `${layer ? 'L' : 'M'}${x(layer).toFixed(1)} ${y(scores[i] ?? 0).toFixed(1)}`,
      )
      .join('')

  const svg = makeSvg('svg', {
    viewBox: `0 0 ${width} ${HEIGHT}`,
    height: HEIGHT,
    role: 'img',
    'aria-label': `Scores by layer. ${layers
      .map(({ layer, score }) => `${layer === 0 ? 'Before layer 1' : `Layer ${layer}`}: ${score.toFixed(2)}`)
      .join('. ')}.`,
  })
  for (const score of [0, 0.5, 1]) {
    svg.append(
      makeSvg('line', { class: 'grid', x1: LEFT, x2: x(last), y1: y(score), y2: y(score) }),
      makeSvg('text', { x: LEFT - 8, y: y(score) + 4, 'text-anchor': 'end' }, String(score)),
    )
  }
  layers.forEach(({ layer }) => {
    const name = layer === 0 ? 'before' : `layer ${layer}`
    svg.append(makeSvg('text', { x: x(layer), y: HEIGHT - 6, 'text-anchor': 'middle' }, name))
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
      { class: 'chosen-name', x: x(last) + 12, y: y(end?.score ?? 0) + 4 },
      rank === 1 ? 'the answer' : `candidate ${rank}`,
    ),
  )
  return svg
}
