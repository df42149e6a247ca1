// The test suite with each variant of the kernel families in turn, not only the chosen ones:
//
//   npm run test:variants                              everything, for an hour
//   npm run test:variants -- test/ops/matmul.test.ts   as for vitest
//
// Where a variant can't run a problem, the choice falls to another, as it would for a user.

import { spawnSync } from 'node:child_process'

const TURNS = [
  'weights=rows matmul=registers conv=registers attention=registers',
  'weights=rows matmul=subgroup attention=subgroup',
  'weights=panels matmul=subgroup conv=subgroup attention=subgroup',
  'weights=panels matmul=few',
  'weights=rows matmul=tiles attention=tiles',
  'weights=rows matmul=rows',
]

let failed = 0
for (const variants of TURNS) {
  console.log(`== ${variants}`)
  const env = { ...process.env, FLOWSEG_VARIANTS: variants }
  const { status } = spawnSync('npx', ['vitest', 'run', ...process.argv.slice(2)], { env, stdio: 'inherit' })
  if (status !== 0) {
    failed++
    console.error(`== FAILED with ${variants}`)
  }
}
process.exitCode = failed > 0 ? 1 : 0
