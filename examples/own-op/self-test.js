// Tests `blur` on this machine's GPU: node self-test.js, deno run -A self-test.js, or bun self-test.js

import { openGpu, selfTest } from 'flowseg/engine'
import { blurTest } from './blur-case.js'

const gpu = await openGpu({ boundsChecks: true }) // an index that is wrong should show, not crash
const { report, failed } = await selfTest(gpu, { own: [blurTest], count: 20 })
gpu.close()

console.log(report)
if (failed > 0) throw new Error('blur is wrong here')
