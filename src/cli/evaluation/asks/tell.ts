// The figures of asks, as a line of JSON or as a table.

import { printable } from '../../../printable.ts'
import { jsonLine } from '../../json.ts'
import { grouped, painter, type Terminal, table } from '../../output/terminal.ts'
import { duration } from '../measure.ts'
import type { Run } from '../summary.ts'
import type { AskFigures, Figure, KindFigures } from './figures.ts'

/** Writes the figures. */
export function tellAsks(run: Run, figures: AskFigures, asJson: boolean, { out }: Terminal): void {
  if (asJson) {
    out.write(jsonLine({ ...run, ...figures }))
    return
  }
  const { model, adapter, data, scenes, seconds } = run
  const [head = '', ...rest] = table(
    [['', 'count', 'figure', ''], ...partsOf(figures).flatMap(rowsOf)],
    [0, 2],
  )
  const what = `${printable(model)} on ${printable(data)}: ${grouped(scenes)} ${scenes === 1 ? 'scene' : 'scenes'}, ${duration(seconds)} on ${printable(adapter)}`
  out.write(`${[what, '', painter(out)('dim', head), ...rest].join('\n')}\n`)
}

/** A kind of question, the number of those asked, and its figures. */
interface Part {
  readonly name: string
  readonly count: number
  readonly figures: readonly (readonly [name: string, value: Figure])[]
}

/** A row per figure; name and number stand in the first. */
function rowsOf({ name, count, figures }: Part): string[][] {
  return figures.map(([figure, value], i) => [
    i === 0 ? name : '',
    i === 0 ? grouped(count) : '',
    figure,
    value === null ? '-' : value.toFixed(4),
  ])
}

function partsOf(all: AskFigures): Part[] {
  const { sentences, presence, several, wordings, regions, lists, shortLists } = all
  const { questions, descriptions, pictures } = all
  const part = (name: string, count: number, ...figures: Part['figures']): Part => ({ name, count, figures })
  const kinds = (of: KindFigures, what: string): Part[] =>
    Object.entries(of).map(([kind, { count, figure }]) => part(`  ${kind}`, count, [what, figure]))
  const parts: Part[] = []
  if (sentences) {
    parts.push(
      part(
        'sentences about one object',
        sentences.sentences,
        ['cIoU', sentences.cIoU],
        ['gIoU', sentences.gIoU],
        ['IoU >= 0.5', sentences.half],
        ['found', sentences.found],
        ['AUC', sentences.auc],
        ['boundary IoU', sentences.boundary.refined],
        ['boundary IoU without refinement', sentences.boundary.raw],
      ),
    )
  }
  if (wordings) {
    const { same, found, cIoU } = wordings
    parts.push(
      part('other wordings', wordings.wordings, ['same object', same], ['found', found], ['cIoU', cIoU]),
    )
  }
  if (presence) {
    const { present, found, auc, absent, refused, foreign } = presence
    parts.push(
      part('what is there', present, ['found', found], ['AUC', auc]),
      part("what isn't", absent, ['not found', refused], ['not found in pictures of another world', foreign]),
      ...kinds(presence.kinds, 'not found'),
    )
  }
  if (several) {
    const { phrases, gIoU, cIoU, rightNumber } = several
    parts.push(
      part('several objects', phrases, ['gIoU', gIoU], ['cIoU', cIoU], ['right number', rightNumber]),
    )
  }
  if (regions) {
    const { found, background } = regions
    parts.push(
      part('gestures', regions.regions, ['found', found]),
      ...kinds(regions.kinds, 'cIoU'),
      part('  at the background', background.regions, ['not found', background.refused]),
    )
  }
  if (lists) parts.push(part('lists of names', lists.lists, ['panoptic quality', lists.pq]))
  if (shortLists)
    parts.push(part('short lists of names', shortLists.lists, ['panoptic quality', shortLists.pq]))
  if (questions) {
    parts.push(
      part('questions', questions.questions, ['right', questions.right]),
      ...kinds(questions.kinds, 'right'),
    )
  }
  if (descriptions) {
    const { phrases, right, named } = descriptions
    parts.push(part('phrases of descriptions', phrases, ['right', right], ['objects named', named]))
  }
  if (pictures) {
    parts.push(
      part('pictures of its world', pictures.scenes, ['known', pictures.known]),
      part('pictures of another world', pictures.others, ['not known', pictures.refused]),
      ...kinds(pictures.kinds, 'not known'),
    )
  }
  return parts
}
