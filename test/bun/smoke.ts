// Bun runs the package as it is built: a kernel computes, a JPEG is decoded, and the embedded checkpoint answers like
// the reference. Vitest doesn't run in Bun, so this is a script that throws when something is wrong.

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { upToDate } from '../built.ts'
import { pixelsOf, reference } from '../e2e/reference.ts'

await upToDate()
// Names that no type checker resolves, as there may be no dist/ yet
const load = (door: string): Promise<unknown> =>
  import(new URL(`../../dist/${door}.js`, import.meta.url).href)
const { openGpu, plan, softmax } = (await load('engine')) as typeof import('../../src/engine.ts')
const { decodeImage, FlowSeg } = (await load('index')) as typeof import('../../src/index.ts')

const gpu = await openGpu()
let passed = 0

// 1. A kernel
const softmaxPlan = await plan(gpu, 'softmax', ({ input }) => ({ read: { y: softmax(input('x', [2, 4])) } }))
const { y } = (await softmaxPlan.run({ inputs: { x: new Float32Array(8) } })).read
expect(
  y.every((value) => value === 0.25),
  `softmax of zeros is [${y}]`,
)

// The driver from npm, also where the system has others: it has to be mapped and announced to native code
if (process.platform === 'linux' && process.arch === 'x64') {
  const software = await openGpu({ adapter: 'SwiftShader' })
  expect(/swiftshader/i.test(software.name), `SwiftShader is found, not ${software.name}`)
  software.close()
}

// 2. A photograph
const jpeg = new Uint8Array(readFileSync('test/fixtures/nano/0.jpg'))
const { rgb } = await decodeImage(jpeg)
const images = JSON.parse(readFileSync('test/fixtures/io/images.json', 'utf8')) as {
  name?: string
  sha256?: string
}[]
const { sha256 } = images.find(({ name }) => name === '0.jpg')!
expect(createHash('sha256').update(rgb).digest('hex') === sha256, 'the JPEG is decoded as Pillow does')

// 3. The model
const model = await FlowSeg.load('weights/flowseg-nano', { gpu })
const scene = await model.look(new Uint8Array(readFileSync('test/fixtures/nano/0.png')))
const answer = reference[0]!
const { query, mask } = await scene.segment(answer.sentence)
const pixels = pixelsOf(answer)
const same = pixels.reduce((sum, bit, i) => sum + (bit === mask.data[i] ? 1 : 0), 0) / pixels.length
expect(query === answer.query, `query ${query}, expected ${answer.query}`)
expect(same >= 0.999, `${100 * same} % of the pixels are those of the reference`)

scene.close()
model.close()
gpu.close()

// 4. The command, which opens an adapter of its own and reads its limits and features
for (const command of ['inspect weights/flowseg-nano', 'kernel norm/rms-norm']) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['dist/cli/main.js', ...command.split(' ')],
    {
      encoding: 'utf8',
    },
  )
  expect(status === 0, `flowseg ${command} ends with ${status}: ${stderr}`)
  expect(!command.startsWith('inspect') || /^ {2}int4 .* on the device/m.test(stdout), stdout)
}

const rows = [{ adapter: gpu.name, driver: gpu.identity.driver, passed, skipped: 0, failed: 0 }]
const file = process.env['FLOWSEG_TALLY']
if (file) writeFileSync(file, JSON.stringify({ runtime: gpu.runtime, rows, skipped: [] }))

function expect(truth: boolean, what: string): void {
  if (!truth) throw new Error(what)
  passed++
}
