// The model at its true size, from random weights, held against PyTorch stage by stage:
//
//   FLOWSEG_PYTHON=python3 npm run full-size                          half an hour or more on two cores, 25 GB of disk
//   npm run full-size -- --config weights/flowseg-nano/config.json    another config; nothing is recorded then
//   npm run full-size -- --only stored,int4 --adapter SwiftShader --folder DIR --keep
//   npm run full-size -- --loading                                    how many times as fast stored int4 loads, and why
//                                                                     not faster; three minutes, without Python
//
// 1. A random checkpoint of the config's tensors in bf16 (tools/full-size/checkpoint.ts), the same every time.
// 2. `flowseg convert` makes its int8 and int4 forms.
// 3. The engine loads each, looks at an image, answers two sentences, and writes what every stage computed
//    (tools/full-size/answer.ts), in a process of its own.
// 4. PyTorch streams the same weights through the modules of training/flowseg (training/full_size.py), as they were,
//    and as rounded. FLOWSEG_PYTHON names a Python with torch and safetensors.
// 5. bench/results/full-size.json and full-size.md, form by form: what --only leaves out stays as it was recorded.

import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { report } from './full-size/report.mjs'

const root = fileURLToPath(new URL('../', import.meta.url))
const STEPS = join(root, 'node_modules/.cache/flowseg-full-size/main.js')
const TRUE_SIZE = 'weights/configs/flowseg-qwen3-4b.json'
const TYPES = ['stored', 'int8', 'int4']
const RESULTS = join(root, 'bench/results/full-size')

const { values } = parseArgs({
  options: {
    config: { type: 'string', default: TRUE_SIZE },
    folder: { type: 'string', default: join(tmpdir(), 'flowseg-full-size') },
    adapter: { type: 'string', default: 'llvmpipe' },
    only: { type: 'string', default: TYPES.join() },
    seed: { type: 'string', default: '1' },
    keep: { type: 'boolean', default: false },
    loading: { type: 'boolean', default: false },
  },
})
if (!existsSync(STEPS)) fail('`npm run full-size` builds what is run here.')
if (values.loading) {
  await compareLoading()
  process.exit()
}
const types = values.only.split(',')
const unknown = types.find((type) => !TYPES.includes(type))
if (unknown !== undefined) fail(`There is no '${unknown}': --only takes ${TYPES.join(', ')}.`)
const python = process.env.FLOWSEG_PYTHON
if (!python)
  fail('FLOWSEG_PYTHON must name a Python with torch and safetensors: training/README.md says which.')

const base = resolve(values.folder)
const stored = join(base, 'stored')
mkdirSync(base, { recursive: true })
if (!existsSync(join(stored, 'config.json'))) {
  await step('random weights', [process.execPath, STEPS, 'make', resolve(values.config), stored, values.seed])
}

const { name: config } = JSON.parse(readFileSync(join(stored, 'config.json'), 'utf8'))
const isRecorded = values.config === TRUE_SIZE
const rows = isRecorded ? recorded().filter(({ type }) => !types.includes(type)) : []
for (const type of types) {
  rows.push(await measure(type))
  rows.sort((a, b) => TYPES.indexOf(a.type) - TYPES.indexOf(b.type))
  if (!isRecorded) continue
  writeFileSync(`${RESULTS}.json`, `${JSON.stringify({ config, rows }, null, 1)}\n`)
  writeFileSync(`${RESULTS}.md`, report({ config, rows }))
}
console.log(report({ config, rows }))
if (!values.keep) rmSync(base, { recursive: true })

/** Stored int4 against rounding to it at load, both from the same weights, in turns and in one process. */
async function compareLoading() {
  const folder = join(resolve(values.folder), 'loading')
  const [original, int4] = [join(folder, 'stored'), join(folder, 'int4')]
  mkdirSync(folder, { recursive: true })
  await step('random weights', [
    process.execPath,
    STEPS,
    'make',
    resolve(values.config),
    original,
    values.seed,
    'small',
  ])
  const convert = ['convert', original, int4, '--quantize', 'int4', '--force']
  await step('convert to int4', [process.execPath, join(root, 'dist/cli/main.js'), ...convert])
  console.log(await step('load', [process.execPath, STEPS, 'loading', original, int4, values.adapter]))
  if (!values.keep) rmSync(folder, { recursive: true })
}

/** The rows of earlier runs. */
function recorded() {
  return existsSync(`${RESULTS}.json`) ? JSON.parse(readFileSync(`${RESULTS}.json`, 'utf8')).rows : []
}

/** One form of the weights, from its conversion to its errors. */
async function measure(type) {
  const folder = join(base, type)
  let convert
  if (type !== 'stored') {
    const started = performance.now()
    const command = ['convert', stored, folder, '--quantize', type, '--force']
    await step(`convert to ${type}`, [process.execPath, join(root, 'dist/cli/main.js'), ...command])
    convert = performance.now() - started
  }
  const answer = join(base, `${type}.safetensors`)
  const measured = JSON.parse(
    await step(`answer, ${type}`, [process.execPath, STEPS, 'answer', folder, answer, values.adapter]),
  )
  const compared = async (weights, reference) => {
    const options = ['--weights', weights, '--answer', answer, '--reference', join(base, reference)]
    const name = reference === 'reference-stored.safetensors' ? 'as stored' : 'rounded alike'
    return JSON.parse(
      await step(`PyTorch, ${name}`, [python, join(root, 'training/full_size.py'), ...options]),
    )
  }
  return {
    type,
    date: today(),
    disk: bytesIn(folder),
    ...(convert === undefined ? {} : { convert }),
    ...measured,
    exact: await compared(folder, `reference-${type}.safetensors`),
    ...(type === 'stored' ? {} : { rounding: await compared(stored, 'reference-stored.safetensors') }),
  }
}

function bytesIn(folder) {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.safetensors'))
    .reduce((sum, name) => sum + statSync(join(folder, name)).size, 0)
}

/** Runs a command, shows what it says on standard error, and returns its last line on standard output. */
function step(name, [command, ...args]) {
  console.error(`== ${name}`)
  const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] })
  let printed = ''
  child.stdout.setEncoding('utf8').on('data', (piece) => (printed += piece))
  return new Promise((done) => {
    child.on('error', (error) => fail(`${command}: ${error.message}`))
    child.on('close', (code, signal) => {
      if (code !== 0) fail(`${name}: ended with ${signal ?? code}.`)
      done(printed.trim().split('\n').at(-1))
    })
  })
}

function today() {
  return new Date().toISOString().slice(0, 10)
}

function fail(message) {
  console.error(message)
  process.exit(1)
}
