// The test suite with each variant of the kernel families in turn, not only the chosen ones:
//
//   npm run test:variants                              everything that computes, for half an hour or more
//   npm run test:variants -- test/ops/matmul/matmul.test.ts   as for vitest
//
// If a variant can't run a problem, another is chosen, as for a user.

import { spawn } from 'node:child_process'
import { TURNS } from './variant-turns.mjs'

/**
 * A family's own test says something new once for each variant. Of these it has said all without any being forced: it
 * forces them itself, or, of conv, computes on packed weights, which one variant only reads.
 */
const said = new Set(['conv=subgroup', 'attention=registers', 'attention=subgroup', 'attention=tiled'])

function worthwhile(file, variants) {
  const own = /([\w-]+)\.test\.ts$/.exec(file)?.[1]
  if (own === 'tiled') return false // forces its variants itself
  if (!['matmul', 'conv', 'attention'].includes(own)) return true
  return variants.split(' ').some((word) => word.startsWith(`${own}=`) && !said.has(word))
}

/** Tests that force every variant themselves. */
const FORCING = '.*by every variant'

/** Variants that read packed weights. Under others, tests of these would repeat what no variant forced gives. */
function readsPacked(variants) {
  return /=subgroup( |$)/.test(variants)
}

function isFile(arg) {
  return !arg.startsWith('-')
}

function isPattern(arg) {
  return /^(-t|--testNamePattern)\b/.test(arg)
}

/** Tests that compute; the others would say the same each time. */
const COMPUTING = [
  'test/gpu/',
  'test/tensor/',
  'test/kernels/',
  'test/ops/',
  'test/tuning/',
  'test/model/',
  'test/e2e/',
  'examples/',
]

const args = process.argv.slice(2)
const passed = args.some(isFile) ? args : [...args, ...COMPUTING]
const turns = TURNS.flatMap((variants) => {
  const wanted = passed.filter((arg) => worthwhile(arg, variants))
  // No file left would mean all files
  if (passed.some(isFile) && !wanted.some(isFile)) return []
  for (const word of variants.split(' ')) said.add(word)
  const repeating = readsPacked(variants) ? FORCING : `${FORCING}|.*(packed weight|weights, packed)`
  const pattern = passed.some(isPattern) ? [] : ['-t', `^(?!${repeating})`]
  return [{ variants, args: [...wanted, ...pattern] }]
})

/** Two turns at a time, each with what it printed: they compile on one core most of the time. */
async function takeTurns() {
  for (let turn = turns.shift(); turn; turn = turns.shift()) {
    const { status, printed } = await run(turn)
    console.log(`== ${turn.variants}\n${printed}`)
    if (status === 0) continue
    process.exitCode = 1
    console.error(`== FAILED with ${turn.variants}`)
  }
}
await Promise.all([takeTurns(), takeTurns()])

function run({ variants, args }) {
  const env = { ...process.env, FLOWSEG_VARIANTS: variants, VITEST_MAX_WORKERS: '1' }
  const child = spawn('npx', ['vitest', 'run', '--project', 'node', ...args], { env })
  let printed = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (piece) => (printed += piece))
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status) => resolve({ status, printed }))
  })
}
