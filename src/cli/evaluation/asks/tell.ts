// The figures of asks, as a line of JSON or as a table.

import { printable } from '../../../printable.ts'
import { jsonLine } from '../../json.ts'
import { grouped, painter, type Terminal, table } from '../../output/terminal.ts'
import { duration } from '../measure.ts'
import type { Run } from '../summary.ts'
import type { AskFigures, Share } from './figures.ts'

/** Writes the figures. */
export function tellAsks(run: Run, figures: AskFigures, asJson: boolean, { out }: Terminal): void {
  if (asJson) {
    out.write(jsonLine({ ...run, ...figures }))
    return
  }
  const { model, adapter, data, scenes, seconds } = run
  const [head = '', ...rest] = table([['', 'asked', 'figure', ''], ...lines(figures)], [0, 2])
  const what = `${printable(model)} on ${printable(data)}: ${grouped(scenes)} ${scenes === 1 ? 'scene' : 'scenes'}, ${duration(seconds)} on ${printable(adapter)}`
  out.write(`${[what, '', painter(out)('dim', head), ...rest].join('\n')}\n`)
}

/** Name and number of what was asked, with its first figure; then a line for each further one. */
function lines(figures: AskFigures): string[][] {
  const { sentences, presence, several, wordings, regions, lists, questions, descriptions, pictures } =
    figures
  const part = (name: string, count: number, ...values: (readonly [string, Share])[]): string[][] =>
    values.map(([figure, value], i) => [
      i === 0 ? name : '',
      i === 0 ? grouped(count) : '',
      figure,
      digits(value),
    ])
  const kinds = (of: Readonly<Record<string, Share>>): (readonly [string, Share])[] =>
    Object.entries(of).map(([kind, value]) => [`  ${kind}`, value])
  return [
    ...(sentences
      ? part(
          'sentences about one object',
          sentences.sentences,
          ['cIoU', sentences.cIoU],
          ['gIoU', sentences.gIoU],
          ['IoU >= 0.5', sentences.half],
          ['boundary IoU', sentences.edges.refined],
          ['  without refinement', sentences.edges.raw],
        )
      : []),
    ...(wordings
      ? part('other wordings', wordings.wordings, ['same object', wordings.same], ['cIoU', wordings.cIoU])
      : []),
    ...(presence
      ? [
          ...part('what is there', presence.present, ['found', presence.kept], ['AUC', presence.auc]),
          ...part('what is not', presence.absent, ['not found', presence.refused], ...kinds(presence.kinds), [
            '  in other pictures',
            presence.foreign,
          ]),
        ]
      : []),
    ...(several
      ? part(
          'several objects',
          several.phrases,
          ['gIoU', several.gIoU],
          ['cIoU', several.cIoU],
          ['right number', several.number],
        )
      : []),
    ...(regions
      ? part('gestures, cIoU', regions.regions, ...kinds(regions.kinds), [
          'nothing at the background',
          regions.nothing,
        ])
      : []),
    ...(lists ? part('lists', lists.lists, ['panoptic quality', lists.pq]) : []),
    ...(questions
      ? part('questions', questions.questions, ['right', questions.right], ...kinds(questions.kinds))
      : []),
    ...(descriptions
      ? part(
          'phrases of descriptions',
          descriptions.phrases,
          ['right', descriptions.right],
          ['objects named', descriptions.named],
        )
      : []),
    ...(pictures
      ? [
          ...part('pictures of its world', pictures.scenes, ['known', pictures.known]),
          ...part('others', pictures.others, ['not known', pictures.refused]),
        ]
      : []),
  ]
}

function digits(value: Share): string {
  return value === null ? '-' : value.toFixed(4)
}
