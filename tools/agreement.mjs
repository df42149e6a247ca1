// The agreement of two sets of answers, the engine's and the PyTorch reference's, or those of two runtimes:
//
//   flowseg eval --dump engine.jsonl
//   python training/reference.py --data TEST --weights weights/flowseg-nano --out reference.jsonl
//   node tools/agreement.mjs engine.jsonl reference.jsonl
//
// Prints one line of JSON: sentences in both, the share with the same query, and the share of equal mask pixels.

import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** @param ours, theirs lists of {scene, sentence, query, runs} */
export function agreement(ours, theirs) {
  const key = ({ scene, sentence }) => `${scene} ${sentence}`
  const known = new Map(theirs.map((answer) => [key(answer), answer]))
  let [sentences, sameQuery, pixels, samePixels] = [0, 0, 0, 0]
  for (const answer of ours) {
    const other = known.get(key(answer))
    if (!other) continue
    sentences++
    sameQuery += answer.query === other.query
    const [a, b] = [bits(answer.runs), bits(other.runs)]
    if (a.length !== b.length) throw new Error(`"${answer.sentence}": ${a.length} pixels and ${b.length}`)
    pixels += a.length
    samePixels += a.reduce((sum, bit, i) => sum + (bit === b[i]), 0)
  }
  if (sentences === 0) throw new Error('The two have no sentence in common.')
  return { sentences, sameQuery: sameQuery / sentences, samePixels: samePixels / pixels }
}

function bits(runs) {
  return runs.flatMap((length, i) => Array.from({ length }, () => i % 2))
}

function readLines(file) {
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
  return lines.map((line) => JSON.parse(line))
}

if (resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const [ours, theirs] = process.argv.slice(2, 4).map(readLines)
  console.log(JSON.stringify(agreement(ours, theirs)))
}
