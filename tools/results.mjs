// Writes the table of results into README.md and the model card from the recorded evaluation:
//
//   flowseg eval --json > weights/flowseg-nano/evaluation.json && node tools/results.mjs

import { readFileSync, writeFileSync } from 'node:fs'

const root = new URL('../', import.meta.url)
const evaluation = JSON.parse(readFileSync(new URL('weights/flowseg-nano/evaluation.json', root), 'utf8'))

const percent = (x) => (100 * x).toFixed(1)
const row = (name, m) =>
  `| ${name} | ${m.sentences} | ${percent(m.cIoU)} | ${percent(m.gIoU)} | ${percent(m.half)} | ${m.oracle === undefined ? '' : percent(m.oracle)} |`

const table = [
  '| sentences | count | cIoU | gIoU | share with IoU >= 0.5 | oracle cIoU |',
  '|---|---|---|---|---|---|',
  ...rows(evaluation).map(([name, metrics]) => row(name, metrics)),
].join('\n')

/** All, each kind, then the floors. */
function rows({ all, kinds, floors }) {
  return [
    ['**all**', all],
    ...Object.entries(kinds),
    ['*floor: always the largest object*', floors.largest],
    ['*floor: the answer to another sentence*', floors.shuffled],
  ]
}

for (const file of ['README.md', 'weights/flowseg-nano/README.md']) {
  const url = new URL(file, root)
  const text = readFileSync(url, 'utf8')
  const marked = /<!-- results -->[\s\S]*?<!-- \/results -->/
  if (!marked.test(text)) throw new Error(`${file} has no <!-- results --> ... <!-- /results -->`)
  writeFileSync(url, text.replace(marked, `<!-- results -->\n\n${table}\n\n<!-- /results -->`))
}
