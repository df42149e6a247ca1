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

/** Runs before December 2026 were not asked these. */
const SHORT_LISTS = 'lists of 1 to 4 names'

/** Each part of the figures: its name, its number, and its lines; a line's number where it has one of its own. */
const PARTS = [
  [
    'sentences about one object',
    (f) => f.sentences.sentences,
    ['cIoU', (f) => f.sentences.cIoU],
    ['share with IoU >= 0.5', (f) => f.sentences.half],
    ['found', (f) => f.sentences.found],
    ['AUC', (f) => f.sentences.auc],
    ['boundary IoU', (f) => f.sentences.boundary.refined],
    ['boundary IoU without refinement', (f) => f.sentences.boundary.raw],
  ],
  ['other wordings', (f) => f.wordings.wordings, ['same object', (f) => f.wordings.same]],
  ["what isn't there", (f) => f.presence.absent, ['not found', (f) => f.presence.refused]],
  ...[
    ['a true sentence with a word changed', 'absent-word'],
    ["words that it doesn't know", 'absent-unknown'],
    ['gibberish', 'absent-gibberish'],
  ].map(([name, kind]) => [
    name,
    (f) => f.presence.kinds[kind].count,
    ['not found', (f) => f.presence.kinds[kind].figure],
  ]),
  [
    'several objects',
    (f) => f.several.phrases,
    ['gIoU', (f) => f.several.gIoU],
    ['right number', (f) => f.several.rightNumber],
  ],
  ...['point', 'box', 'scribble', 'mask'].map((kind) => [
    { point: 'points', box: 'boxes', scribble: 'scribbles', mask: 'masks' }[kind],
    (f) => f.regions.kinds[kind].count,
    ['cIoU', (f) => f.regions.kinds[kind].figure],
  ]),
  [
    'gestures at the background',
    (f) => f.regions.background.regions,
    ['not found', (f) => f.regions.background.refused],
  ],
  ['lists of 3 to 12 names', (f) => f.lists.lists, ['panoptic quality', (f) => f.lists.pq]],
  [SHORT_LISTS, (f) => f.shortLists.lists, ['panoptic quality', (f) => f.shortLists.pq]],
  ['questions', (f) => f.questions.questions, ['right', (f) => f.questions.right]],
  [
    'phrases of descriptions',
    (f) => f.descriptions.phrases,
    ['right', (f) => f.descriptions.right],
    ['objects named', (f) => f.descriptions.named],
  ],
  ['pictures of its world', (f) => f.pictures.scenes, ['known', (f) => f.pictures.known]],
  ['pictures of another world', (f) => f.pictures.others, ['not known', (f) => f.pictures.refused]],
]

/** Both splits side by side: figures, and numbers where they differ. */
function asks(own, style) {
  const recordedParts = PARTS.filter(([name]) => own.shortLists || name !== SHORT_LISTS)
  const rows = recordedParts.flatMap(([name, count, ...lines]) =>
    lines.map(([figure, value], i) => [
      i === 0 ? name : '',
      i === 0 ? [...new Set([count(own), count(style)])].join(', ') : '',
      figure,
      percent(value(own)),
      percent(value(style)),
    ]),
  )
  return table(['asked', 'count', 'figure', 'test2', 'icons of a second style'], rows)
}

const results = sentences(recorded('evaluation.json'))
const tables = {
  'README.md': { results },
  'weights/flowseg-nano/README.md': {
    results,
    asks: asks(recorded('asks.json'), recorded('asks-style2.json')),
  },
}
// All files are checked before one is written
const texts = Object.entries(tables).map(([file, own]) => {
  const url = new URL(file, root)
  let text = readFileSync(url, 'utf8')
  for (const [name, content] of Object.entries(own)) {
    const marked = new RegExp(`<!-- ${name} -->[\\s\\S]*?<!-- /${name} -->`)
    if (!marked.test(text)) throw new Error(`${file} has no <!-- ${name} --> ... <!-- /${name} -->`)
    text = text.replace(marked, () => `<!-- ${name} -->\n\n${content}\n\n<!-- /${name} -->`)
  }
  return [url, text]
})
for (const [url, text] of texts) writeFileSync(url, text)
