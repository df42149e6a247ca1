// The model at its true size, from random weights, held against PyTorch stage by stage:
//
//   FLOWSEG_PYTHON=python3 npm run full-size                          an hour or more on two cores, 30 GB of disk
//   npm run full-size -- --config weights/flowseg-nano/config.json    another config; nothing is recorded then
//   npm run full-size -- --only stored,int4,bin --adapter SwiftShader --folder DIR --keep
//   npm run full-size -- --loading                                    how many times as fast stored int4 loads, and why
//                                                                     not faster; three minutes, without Python
//   npm run full-size -- --report                                     full-size.md again from full-size.json
//
// 1. A random checkpoint of the config's tensors in bf16 (tools/full-size/checkpoint.ts), the same every time.
// 2. `flowseg convert` makes its int8 and int4 forms; and of the same weights as pytorch_model.bin (torch-file.ts),
//    which are answered from in place, the safetensors that they came from, bit by bit.
// 3. The engine loads each, looks at an image, answers two sentences, and writes what every stage computed
//    (tools/full-size/answer.ts), in a process of its own.
// 4. PyTorch streams the same weights through the modules of training/flowseg (training/full_size.py), as they were,
//    and as rounded. FLOWSEG_PYTHON names a Python with torch and safetensors.
// 5. bench/results/full-size.json and full-size.md, form by form: what --only leaves out stays as it was recorded. A
//    form's files go when it has been measured, unless --keep.
//
// It fails where memory is more than `flowseg inspect` predicts, or a .bin gives other bits.

import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { failuresOf, LOADING_LIMIT } from './full-size/limits.mjs'
import { report, TYPES } from './full-size/report.mjs'

const root = fileURLToPath(new URL('../', import.meta.url))
const STEPS = join(root, 'node_modules/.cache/flowseg-full-size/main.js')
const TRUE_SIZE = 'weights/configs/flowseg-qwen3-4b.json'
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
    report: { type: 'boolean', default: false },
  },
})
if (values.report) {
  record({})
  process.exit()
}
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
const rows = []
const failures = []
for (const type of types) {
  const row = await (type === 'bin' ? measureBin() : measure(type))
  rows.push(row)
  failures.push(...failuresOf(row))
  if (isRecorded) record({ config, rows: [row] })
}
console.log(report(isRecorded ? recorded() : { config, rows }))
if (!values.keep) rmSync(base, { recursive: true })
if (failures.length > 0) fail(failures.join('\n'))

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
  const loading = JSON.parse(
    await step('load', [process.execPath, STEPS, 'loading', original, int4, values.adapter]),
  )
  if (!values.keep) rmSync(folder, { recursive: true })
  console.log(JSON.stringify(loading, null, 1))
  if (values.config === TRUE_SIZE) record({ loading: { date: today(), ...loading } })
  const ratio = loading.rounding / loading.stored
  if (ratio < LOADING_LIMIT) {
    fail(
      `Stored int4 loads ${ratio.toFixed(1)} times as fast as rounding at load, not ${LOADING_LIMIT} times.`,
    )
  }
}

/** The record of earlier runs. */
function recorded() {
  return existsSync(`${RESULTS}.json`)
    ? JSON.parse(readFileSync(`${RESULTS}.json`, 'utf8'))
    : { config: 'flowseg-qwen3-4b', rows: [] }
}

/** Adds rows, which replace those of their form, or a comparison of loading; and writes the report. */
function record({ rows: fresh = [], ...more }) {
  const before = recorded()
  const others = before.rows.filter(({ type }) => fresh.every((row) => row.type !== type))
  const all = [...others, ...fresh].sort((a, b) => TYPES.indexOf(a.type) - TYPES.indexOf(b.type))
  const now = { ...before, ...more, rows: all }
  if (fresh.length > 0 || 'loading' in more)
    writeFileSync(`${RESULTS}.json`, `${JSON.stringify(now, null, 1)}\n`)
  writeFileSync(`${RESULTS}.md`, report(now))
}

/** One form of the weights, from its conversion to its errors. */
async function measure(type) {
  const folder = join(base, type)
  const convert = type === 'stored' ? {} : { convert: await converted(stored, folder, type) }
  const measured = await answered(type)
  const row = {
    type,
    date: today(),
    disk: bytesIn(folder),
    ...convert,
    ...measured,
    exact: await compared(type, folder, type),
    ...(type === 'stored' ? {} : { rounding: await compared(type, stored, 'stored') }),
  }
  if (type !== 'stored') drop(folder)
  return row
}

/** The same weights as PyTorch's file: answered from in place, and converted. */
async function measureBin() {
  const folder = join(base, 'bin')
  const back = join(base, 'converted')
  if (!existsSync(join(folder, 'config.json'))) {
    await step('pytorch_model.bin', [process.execPath, STEPS, 'pack', stored, folder])
  }
  const measured = await answered('bin')
  if (!existsSync(answerOf('stored'))) await answered('stored')
  const convert = await converted(folder, back)
  const sameTensors = Number(await step('same tensors', [process.execPath, STEPS, 'same', back, stored]))
  const row = {
    type: 'bin',
    date: today(),
    disk: bytesIn(folder),
    convert,
    ...measured,
    sameAnswers: readFileSync(answerOf('bin')).equals(readFileSync(answerOf('stored'))),
    sameTensors,
    exact: await compared('bin', stored, 'stored'),
  }
  drop(back)
  drop(folder)
  return row
}

/** Milliseconds of a conversion. */
async function converted(from, to, type) {
  const started = performance.now()
  const command = ['convert', from, to, ...(type ? ['--quantize', type] : []), '--force']
  await step(`convert to ${type ?? 'safetensors'}`, [
    process.execPath,
    join(root, 'dist/cli/main.js'),
    ...command,
  ])
  return performance.now() - started
}

function answerOf(type) {
  return join(base, `${type}.safetensors`)
}

/** What the engine measured while it answered; the answer is in a file. */
async function answered(type) {
  const options = ['answer', join(base, type), answerOf(type), values.adapter]
  return {
    headStored: false,
    ...JSON.parse(await step(`answer, ${type}`, [process.execPath, STEPS, ...options])),
  }
}

/** The errors of a form's answer against PyTorch with these weights, whose stages are kept under a form's name. */
async function compared(type, weights, reference) {
  const kept = join(base, `reference-${reference}.safetensors`)
  const options = ['--weights', weights, '--answer', answerOf(type), '--reference', kept]
  const name = reference === 'stored' ? 'as stored' : 'rounded alike'
  return JSON.parse(await step(`PyTorch, ${name}`, [python, join(root, 'training/full_size.py'), ...options]))
}

function drop(folder) {
  if (!values.keep) rmSync(folder, { recursive: true })
}

function bytesIn(folder) {
  return readdirSync(folder)
    .filter((name) => /\.(safetensors|bin)$/.test(name))
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
