// Writes a folder of synthetic scenes, for training and evaluation:
//
//   npx rolldown tools/scenes.ts --platform node --format esm --external @resvg/resvg-js \
//     --file node_modules/.cache/scenes.mjs
//   node node_modules/.cache/scenes.mjs --split train --count 20000 --out DIR [--start 0] [--raw]

import { parseArgs } from 'node:util'
import { writeDataset } from '../src/scenes/dataset.ts'
import type { Split } from '../src/scenes/scene.ts'

const USAGE = 'usage: scenes --split train|val|test --count N --out DIR [--start N] [--raw]'

const { values } = parseArgs({
  options: {
    split: { type: 'string', default: 'train' },
    count: { type: 'string' },
    start: { type: 'string', default: '0' },
    out: { type: 'string' },
    raw: { type: 'boolean', default: false },
  },
})

const { split, out, raw } = values
const [count, start] = [Number(values.count), Number(values.start)]
if (!isSplit(split) || !out || !(count > 0) || !(start >= 0)) {
  console.error(USAGE)
  process.exit(2)
}

const begun = performance.now()
await writeDataset(out, {
  split,
  count,
  start,
  raw,
  onProgress({ loaded, total }) {
    if (loaded % 500 && loaded !== total) return
    const each = (performance.now() - begun) / loaded
    console.log(`${loaded} of ${total} scenes, ${each.toFixed(1)} ms each`)
  },
})

function isSplit(name: string): name is Split {
  return name === 'train' || name === 'val' || name === 'test'
}
