// The test suite with each variant of the kernel families in turn, not only the chosen ones:
//
//   npm run test:variants                              everything, for an hour
//   npm run test:variants -- test/ops/matmul.test.ts   as for vitest
//
// Where a variant can't run a problem, the choice falls to another, as it would for a user.

import { spawnSync } from 'node:child_process'

/** Ops along rows, each a family of its own. */
function rows(variant) {
  const families = ['layerNorm', 'rmsNorm', 'softmax', 'reduce', 'argmax', 'normalizeRows']
  return families.map((family) => `${family}=${variant}`).join(' ')
}

const TURNS = [
  `weights=rows matmul=registers conv=registers attention=registers ${rows('thread')}`,
  `weights=rows matmul=subgroup attention=subgroup ${rows('team')}`,
  'weights=panels matmul=subgroup conv=subgroup attention=subgroup',
  'weights=panels matmul=few',
  'weights=rows matmul=tiles conv=tiles attention=tiles',
  'weights=rows matmul=rows',
  'weights=rows matmul=rows-subgroup',
  'weights=rows matmul=tiles-half',
  'weights=rows matmul=quads conv=quads',
]

/** A family's own test says nothing new while others are forced. */
function worthwhile(file, variants) {
  const own = /([\w-]+)\.test\.ts$/.exec(file)?.[1]
  return !['matmul', 'conv', 'attention'].includes(own) || variants.includes(` ${own}=`)
}

function isFile(arg) {
  return !arg.startsWith('-')
}

let failed = 0
for (const variants of TURNS) {
  const args = process.argv.slice(2)
  const wanted = args.filter((arg) => worthwhile(arg, variants))
  // No file left would mean all files
  if (args.some(isFile) && !wanted.some(isFile)) continue
  console.log(`== ${variants}`)
  const env = { ...process.env, FLOWSEG_VARIANTS: variants }
  const { status } = spawnSync('npx', ['vitest', 'run', '--project', 'node', ...wanted], {
    env,
    stdio: 'inherit',
  })
  if (status !== 0) {
    failed++
    console.error(`== FAILED with ${variants}`)
  }
}
process.exitCode = failed > 0 ? 1 : 0
