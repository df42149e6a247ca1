// The flow: what no other tool shows. A card a layer with the chosen query's mask then, how the gate weighed vision and
// language, how far the condition had moved and who led; then the edge, before and after; then the scores' course.

import { pointAt } from './answer.ts'
import { byId, make, ordinal, percent, picture, setWidth } from './dom.ts'
import type { AnswerFacts, EdgeFacts, LayerFacts } from './protocol.ts'
import type { Stage } from './stage.ts'
import type { Maps } from './view/protocol.ts'

/** What a card shows on the stage. */
interface Card {
  readonly button: HTMLButtonElement
  readonly maps: Maps
  readonly caption: string
}

export function showFlow(answer: AnswerFacts, stage: Stage): void {
  const section = byId('flow')
  section.hidden = answer.layers.length === 0
  if (section.hidden) return
  const most = Math.max(1e-9, ...answer.layers.map(({ moved }) => moved))
  const cards = answer.layers.map((layer) => layerCard(layer, answer, most))
  const items = cards.map(({ button }) => make('li', {}, button))
  if (answer.edge) {
    const edge = edgeCards(answer.edge)
    const [whole, ...sides] = edge.map(({ button }) => button)
    items.push(make('li', {}, whole, make('div', { className: 'row sides' }, ...sides)))
    cards.push(...edge)
  }
  connect(cards, stage)
  byId('flow-body').replaceChildren(make('ol', { className: 'layers', 'aria-label': 'Layers' }, ...items))
}

/** Pointing shows a card on the stage; pressing keeps it there until it is pressed again. */
function connect(cards: readonly Card[], stage: Stage): void {
  let kept: Card | undefined
  const show = (card: Card | undefined): void => {
    if (card) stage.preview(card.maps, card.caption)
    else stage.endPreview()
  }
  for (const card of cards) {
    pointAt(
      card.button,
      () => show(card),
      () => show(kept),
    )
    card.button.addEventListener('click', () => {
      kept = kept === card ? undefined : card
      for (const other of cards) other.button.setAttribute('aria-pressed', String(other === kept))
      show(kept)
      if (kept) stage.reveal() // on a phone it is a page away
    })
  }
}

function layerCard(layer: LayerFacts, { rank: finalRank }: AnswerFacts, most: number): Card {
  const { gate, moved, score, rank, soft, leader, leaderSoft } = layer
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
          layer.layer === 0 ? 'It has neither looked nor read yet' : 'No gate',
        )
      : gateMeter(gate),
    ...(layer.layer === 0 ? [] : [movedMeter(moved, most)]),
  )
  const ghost = leaderSoft ? ', dashed the candidate that led' : ''
  return {
    button: card(picture(layer.picture), facts),
    maps: { mask: soft, ghost: leaderSoft },
    caption: `${name}: its mask then${ghost}`,
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

function movedMeter(moved: number, most: number): HTMLElement {
  const bar = make('i')
  setWidth(bar, moved / most)
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
  )
}

/** Boundary refinement: the mask after it, dashed before it, hatched where it was free; and each of the two alone. */
function edgeCards({ before, after, band, cells, flipped, picture: blob }: EdgeFacts): Card[] {
  const changed = flipped === 0 ? 'None of them changed sides' : `${flipped} of them changed sides`
  const facts = make(
    'span',
    { className: 'facts' },
    make('span', { className: 'head' }, 'Edge refined'),
    make('span', {}, `${cells} cells along the edge were free to move`),
    make('span', { className: 'faint' }, changed),
  )
  const side = (name: string): HTMLButtonElement =>
    make('button', { type: 'button', 'aria-pressed': 'false' }, name)
  return [
    {
      button: card(picture(blob), facts),
      maps: { mask: after, ghost: before, band },
      caption: 'Hatched: where the edge could move. Dashed: where it was before',
    },
    { button: side('Before'), maps: { mask: before }, caption: 'Before the edge was refined' },
    { button: side('After'), maps: { mask: after }, caption: 'After the edge was refined' },
  ]
}

function card(...children: Node[]): HTMLButtonElement {
  return make('button', { type: 'button', className: 'layer', 'aria-pressed': 'false' }, ...children)
}
