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
  const [head = '', ...rest] = table([['', 'count', 'figure', ''], ...rows(figures)], [0, 2])
  const what = `${printable(model)} on ${printable(data)}: ${grouped(scenes)} ${scenes === 1 ? 'scene' : 'scenes'}, ${duration(seconds)} on ${printable(adapter)}`
  out.write(`${[what, '', painter(out)('dim', head), ...rest].join('\n')}\n`)
}

type FigureRow = readonly [name: string, count: number, figure: string, value: Figure]

function rows(figures: AskFigures): string[][] {
  const { sentences, presence, several, wordings, regions, lists, questions, descriptions, pictures } =
    figures
  const kinds = (of: KindFigures, what: string): FigureRow[] =>
    Object.entries(of).map(([kind, { count, figure }]): FigureRow => [`  ${kind}`, count, what, figure])
  const parts: FigureRow[][] = [
    sentences
      ? [
          ['sentences about one object', sentences.sentences, 'cIoU', sentences.cIoU],
          ['', 0, 'gIoU', sentences.gIoU],
          ['', 0, 'IoU >= 0.5', sentences.half],
          ['', 0, 'found', sentences.found],
          ['', 0, 'AUC', sentences.auc],
          ['', 0, 'boundary IoU', sentences.boundary.refined],
          ['', 0, 'boundary IoU without refinement', sentences.boundary.raw],
        ]
      : [],
    wordings
      ? [
          ['other wordings', wordings.wordings, 'same object', wordings.same],
          ['', 0, 'found', wordings.found],
          ['', 0, 'cIoU', wordings.cIoU],
        ]
      : [],
    presence
      ? [
          ['what is there', presence.present, 'found', presence.found],
          ['', 0, 'AUC', presence.auc],
          ["what isn't", presence.absent, 'not found', presence.refused],
          ...kinds(presence.kinds, 'not found'),
          ['', 0, 'not found in pictures of another world', presence.foreign],
        ]
      : [],
    several
      ? [
          ['several objects', several.phrases, 'gIoU', several.gIoU],
          ['', 0, 'cIoU', several.cIoU],
          ['', 0, 'right number', several.rightNumber],
        ]
      : [],
    regions
      ? [
          ['gestures', regions.regions, 'found', regions.found],
          ...kinds(regions.kinds, 'cIoU'),
          ['  at the background', regions.background.regions, 'not found', regions.background.refused],
        ]
      : [],
    lists ? [['lists of names', lists.lists, 'panoptic quality', lists.pq]] : [],
    questions
      ? [['questions', questions.questions, 'right', questions.right], ...kinds(questions.kinds, 'right')]
      : [],
    descriptions
      ? [
          ['phrases of descriptions', descriptions.phrases, 'right', descriptions.right],
          ['', 0, 'objects named', descriptions.named],
        ]
      : [],
    pictures
      ? [
          ['pictures of its world', pictures.scenes, 'known', pictures.known],
          ['pictures of another world', pictures.others, 'not known', pictures.refused],
          ...kinds(pictures.kinds, 'not known'),
        ]
      : [],
  ]
  return parts
    .flat()
    .map(([name, count, figure, value]) => [
      name,
      name === '' ? '' : grouped(count),
      figure,
      value === null ? '-' : value.toFixed(4),
    ])
}
