// How well two sets of answers agree, the engine's and the PyTorch reference's:
//
//   flowseg eval --dump engine.jsonl
//   python training/reference.py --data TEST --weights weights/flowseg-nano --out reference.jsonl
//   node tools/agreement.mjs engine.jsonl reference.jsonl
//
// Prints one line of JSON: sentences in both, the share with the same query, and the share of equal mask pixels.

import { readFileSync } from 'node:fs'

const [engine, reference] = process.argv.slice(2, 4).map((file) => {
  const lines = readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  return new Map(lines.map((line) => [`${line.scene} ${line.sentence}`, line]))
})

let [sentences, sameQuery, pixels, samePixels] = [0, 0, 0, 0]
for (const [key, ours] of engine) {
  const theirs = reference.get(key)
  if (!theirs) continue
  sentences++
  sameQuery += ours.query === theirs.query
  const [a, b] = [bits(ours.runs), bits(theirs.runs)]
  if (a.length !== b.length) throw new Error(`"${ours.sentence}": ${a.length} pixels and ${b.length}`)
  pixels += a.length
  samePixels += a.reduce((sum, bit, i) => sum + (bit === b[i]), 0)
}
if (sentences === 0) throw new Error('The two files have no sentence in common.')
console.log(JSON.stringify({ sentences, sameQuery: sameQuery / sentences, samePixels: samePixels / pixels }))

function bits(runs) {
  return runs.flatMap((length, i) => Array.from({ length }, () => i % 2))
}
