// The flow: what no other tool shows. A card a layer with the chosen query's mask then, how the gate weighed vision and
// language, how far the condition had moved and who led; then the edge, before and after where it changed anything;
// then the scores' course.

import type { ImageCanvas, Look } from '../canvas/image-canvas.ts'
import { ordinal, percent } from '../common/format.ts'
import type { AnswerFacts, EdgeFacts, LayerFacts } from '../common/protocol.ts'
import { byId, make, picture, setWidth } from '../page/dom.ts'
import { pointAt } from './answer.ts'

/** The picture that a card shows on the canvas. */
interface Card {
  readonly button: HTMLButtonElement
  readonly look: Look
}

let shownCards: readonly Card[] = []

/** Fills the section of the layers with a card per layer; without layers it is hidden. */
export function showFlow(answer: AnswerFacts, canvas: ImageCanvas): void {
  const section = byId('flow')
  section.hidden = answer.layers.length === 0
  if (section.hidden) return
  // All bars share one scale, 0 to 100 %; it grows to the next 100 % only if a value exceeds it
  const full = Math.max(1, Math.ceil(Math.max(...answer.layers.map(({ moved }) => moved))))
  const cards = answer.layers.map((layer) => layerCard(layer, answer, full))
  const items = cards.map(({ button }) => make('li', {}, button))
  if (answer.edge) {
    const edge = edgeCards(answer.edge)
    const [whole, ...sides] = edge.map(({ button }) => button)
    const row = sides.length > 0 ? make('div', { className: 'row sides' }, ...sides) : undefined
    items.push(make('li', {}, whole, row))
    cards.push(...edge)
  }
  connect(cards, canvas)
  const body = byId('flow-body')
  body.inert = false
  body.replaceChildren(make('ol', { className: 'layers', 'aria-label': 'Layers' }, ...items))
}

/** Pointing shows a card on the canvas; pressing keeps it there until it is pressed again, or let go. */
function connect(cards: readonly Card[], canvas: ImageCanvas): void {
  shownCards = cards
  for (const { button, look } of cards) {
    pointAt(
      button,
      () => canvas.preview(look),
      () => canvas.endPreview(),
    )
    button.addEventListener('click', () => {
      canvas.keep(canvas.kept === look ? undefined : look)
      if (canvas.kept) canvas.reveal() // on a phone it is a page away
    })
  }
}

/** Marks the card whose look stays on the canvas, if there is one. */
export function markKept(kept: Look | undefined): void {
  for (const { button, look } of shownCards) button.setAttribute('aria-pressed', String(look === kept))
}

/** Disables the cards of the previous answer until the new ones are made. */
export function closeFlow(): void {
  byId('flow-body').inert = true
}

/** @param full the value at which a bar of the condition's distance is full */
function layerCard(layer: LayerFacts, { rank: finalRank }: AnswerFacts, full: number): Card {
  const { gate, moved, score, rank, preview, leader, leaderPreview } = layer
  const name = layer.layer === 0 ? 'Before layer 1' : `Layer ${layer.layer}`
  const leads = leader.finalRank === finalRank
  const who = leads
    ? 'It leads'
    : `Candidate ${leader.finalRank} leads with ${leader.score.toFixed(3)}; this one is ${ordinal(rank)}`
  const facts = make(
    'span',
    { className: 'facts' },
    make('span', { className: 'head' }, name, make('em', { title: 'Score in this layer' }, score.toFixed(3))),
    make('span', { className: leads ? 'leader' : 'leader other' }, who),
    gate === undefined
      ? make(
          'span',
          { className: 'faint' },
          layer.layer === 0
            ? 'Where it starts: matched with image and sentence, before any layer worked on it'
            : 'No gate',
        )
      : gateMeter(gate),
    ...(layer.layer === 0 ? [] : [movedMeter(moved, full)]),
  )
  const ghost = leaderPreview ? ', dashed the candidate that led' : ''
  return {
    button: card(picture(layer.picture), facts),
    look: {
      maps: { mask: preview, ghost: leaderPreview },
      caption: `${name}: its mask then${ghost}`,
      shown: { kind: 'layer', layer: layer.layer },
    },
  }
}

function gateMeter(gate: number): HTMLElement {
  const vision = make('i')
  setWidth(vision, gate)
  return make(
    'span',
    {},
    make(
      'span',
      { className: 'ends' },
      make('span', {}, `vision ${percent(gate)}`),
      `language ${percent(1 - gate)}`,
    ),
    make('span', { className: 'meter two', 'aria-hidden': 'true' }, vision, make('i')),
  )
}

function movedMeter(moved: number, full: number): HTMLElement {
  const bar = make('i')
  setWidth(bar, moved / full)
  return make(
    'span',
    {},
    make(
      'span',
      { className: 'ends', title: 'Distance of the condition from what the sentence said, by its length' },
      make('span', {}, 'condition moved'),
      percent(moved),
    ),
    make('span', { className: 'meter', 'aria-hidden': 'true' }, bar),
    make('span', { className: 'axis', 'aria-hidden': 'true' }, make('span', {}, '0'), percent(full)),
  )
}

/** Boundary refinement: the mask after it, dashed before it, hatched where it was free; and each of the two alone. */
function edgeCards({ before, after, band, cells, flipped, picture: blob }: EdgeFacts): Card[] {
  const hasChanged = flipped > 0
  const facts = make(
    'span',
    { className: 'facts' },
    make('span', { className: 'head' }, hasChanged ? 'Edge refined' : 'Edge left as it was'),
    make('span', {}, `${cells} cells along the edge were free to move`),
    make(
      'span',
      { className: 'faint' },
      hasChanged ? `${flipped} of them changed sides` : 'None of them changed sides',
    ),
  )
  const dashed = hasChanged ? '. Dashed: where it was before' : ''
  const whole: Card = {
    button: card(picture(blob), facts),
    look: {
      maps: { mask: after, ghost: hasChanged ? before : undefined, band },
      caption: `Hatched: where the edge could move${dashed}`,
      shown: { kind: 'answer' },
    },
  }
  if (!hasChanged) return [whole]
  const side = (name: string, look: Look): Card => ({
    button: make('button', { type: 'button', 'aria-pressed': 'false' }, name),
    look,
  })
  return [
    whole,
    side('Before', {
      maps: { mask: before },
      caption: 'Before the edge was refined',
      shown: { kind: 'unrefined' },
    }),
    side('After', {
      maps: { mask: after },
      caption: 'After the edge was refined',
      shown: { kind: 'answer' },
    }),
  ]
}

function card(...children: Node[]): HTMLButtonElement {
  return make('button', { type: 'button', className: 'layer', 'aria-pressed': 'false' }, ...children)
}
