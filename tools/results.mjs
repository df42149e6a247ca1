// Writes the tables of results into README.md and the model card from the recorded evaluations:
//
//   cd weights/flowseg-nano
//   flowseg eval --json > evaluation.json
//   flowseg eval --asks --json > asks.json
//   flowseg eval --asks --split style2 --json > asks-style2.json
//   node ../../tools/results.mjs

import { readFileSync, writeFileSync } from 'node:fs'

const root = new URL('../', import.meta.url)
const recorded = (name) => JSON.parse(readFileSync(new URL(`weights/flowseg-nano/${name}`, root), 'utf8'))
const percent = (x) => (x === undefined || x === null ? '' : (100 * x).toFixed(1))
const table = (head, rows) => {
  const line = (cells) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

/** All, each kind, then the floors. */
function sentences({ all, kinds, floors }) {
  const row = (name, m) => [
    name,
    m.sentences,
    percent(m.cIoU),
    percent(m.gIoU),
    percent(m.half),
    percent(m.found),
    percent(m.oracle),
  ]
  return table(
    ['sentences', 'count', 'cIoU', 'gIoU', 'share with IoU >= 0.5', 'found', 'oracle cIoU'],
    [
      row('**all**', all),
      ...Object.entries(kinds).map(([kind, m]) => row(kind, m)),
      row('*floor: always the largest object*', floors.largest),
      row('*floor: the answer to another sentence*', floors.shuffled),
    ],
  )
}

/** What each part is called, how many there are, and its figures. */
const PARTS = [
  ['sentences about one object', (f) => f.sentences.sentences, 'cIoU', (f) => f.sentences.cIoU],
  ['', () => '', 'share with IoU >= 0.5', (f) => f.sentences.half],
  ['', () => '', 'boundary IoU', (f) => f.sentences.edges.refined],
  ['', () => '', 'boundary IoU without refinement', (f) => f.sentences.edges.raw],
  ['other wordings', (f) => f.wordings.wordings, 'same object', (f) => f.wordings.same],
  ['what is there', (f) => f.presence.present, 'found', (f) => f.presence.kept],
  ['', () => '', 'AUC', (f) => f.presence.auc],
  ['what is not', (f) => f.presence.absent, 'not found', (f) => f.presence.refused],
  ['', () => '', 'a true sentence with a word changed', (f) => f.presence.kinds['absent-word']],
  ['', () => '', 'words that it does not know', (f) => f.presence.kinds['absent-unknown']],
  ['', () => '', 'gibberish', (f) => f.presence.kinds['absent-gibberish']],
  ['several objects', (f) => f.several.phrases, 'gIoU', (f) => f.several.gIoU],
  ['', () => '', 'right number', (f) => f.several.number],
  ['gestures', (f) => f.regions.regions, 'cIoU of points', (f) => f.regions.kinds.point],
  ['', () => '', 'of boxes', (f) => f.regions.kinds.box],
  ['', () => '', 'of scribbles', (f) => f.regions.kinds.scribble],
  ['', () => '', 'of masks', (f) => f.regions.kinds.mask],
  ['', () => '', 'nothing at the background', (f) => f.regions.nothing],
  ['lists of 3 to 12 names', (f) => f.lists.lists, 'panoptic quality', (f) => f.lists.pq],
  ['questions', (f) => f.questions.questions, 'right', (f) => f.questions.right],
  ['phrases of descriptions', (f) => f.descriptions.phrases, 'right', (f) => f.descriptions.right],
  ['', () => '', 'objects named', (f) => f.descriptions.named],
  ['pictures of its world', (f) => f.pictures.scenes, 'known', (f) => f.pictures.known],
  ['other pictures', (f) => f.pictures.others, 'not known', (f) => f.pictures.refused],
]

function asks(seen, style) {
  const rows = PARTS.map(([name, count, figure, value]) => [
    name,
    count(seen),
    figure,
    percent(value(seen)),
    percent(value(style)),
  ])
  return table(['asked', 'count', 'figure', 'test2', 'icons of another hand'], rows)
}

const tables = {
  results: sentences(recorded('evaluation.json')),
  asks: asks(recorded('asks.json'), recorded('asks-style2.json')),
}
for (const file of ['README.md', 'weights/flowseg-nano/README.md']) {
  const url = new URL(file, root)
  let text = readFileSync(url, 'utf8')
  for (const [name, content] of Object.entries(tables)) {
    const marked = new RegExp(`<!-- ${name} -->[\\s\\S]*?<!-- /${name} -->`)
    if (!marked.test(text)) throw new Error(`${file} has no <!-- ${name} --> ... <!-- /${name} -->`)
    text = text.replace(marked, () => `<!-- ${name} -->\n\n${content}\n\n<!-- /${name} -->`)
  }
  writeFileSync(url, text)
}
