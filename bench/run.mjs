#!/usr/bin/env node
// The benchmark: our engine and its peers, the same ops on the same adapter, one after another in turns.
//
// Each engine lives in a child process (worker.mjs) and only one works at a time. A case is prepared by each (inputs
// made, outputs checked against float64, the engine's best way picked), then timed in rounds: ours, peer, peer,
// ours, peer, peer... so that a machine that slows down slows all of them. Results are merged into
// results/<adapter>.json after every case; report.mjs makes tables and a chart of them.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { cpus, release, totalmem, type } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { CASES } from './cases.mjs'
import { buildEngine } from './lib/build.mjs'
import { Engine } from './lib/client.mjs'
import { driverEnvironment } from './lib/drivers.mjs'
import { makeInputs, sizeOf } from './lib/inputs.mjs'
import { BENCH, ROOT } from './lib/paths.mjs'
import { samplePlaces } from './lib/random.mjs'
import { referenceOf } from './lib/reference.mjs'
import { median } from './lib/statistics.mjs'

const ENGINES = ['ours', 'ort-web', 'ort-node', 'tfjs', 'jax-js', 'ort-cpu']

const HELP = `node run.mjs [options]

  --adapter NAME    llvmpipe (default), SwiftShader, or part of a GPU's name
  --only TEXT       cases whose name or group has this text; several with commas
  --peers LIST      engines, with commas: ${ENGINES.join(', ')} (all by default)
  --runs N          timed runs of each engine and case (5)
  --cap SECONDS     of timed runs of one engine and case, after which no more are started (6)
  --gflop N         leave out larger cases (100, on SwiftShader 3)
  --resume          leave out what the results have already
  --no-ceilings     don't measure the adapter's ceilings
  --ceilings-only   measure nothing else
  --out FILE        results/<adapter>.json by default
  --before FOLDER   compare with the engine of another checkout, instead of peers; nothing is recorded
  --list            print the cases

Results are merged into the file case by case; \`node report.mjs\` makes RESULTS.md and the chart of them.`

const { values: options } = parseArgs({
  options: {
    adapter: { type: 'string', default: 'llvmpipe' },
    only: { type: 'string', default: '' },
    peers: { type: 'string', default: ENGINES.join(',') },
    runs: { type: 'string', default: '5' },
    cap: { type: 'string', default: '6' },
    gflop: { type: 'string' },
    resume: { type: 'boolean', default: false },
    'no-ceilings': { type: 'boolean', default: false },
    'ceilings-only': { type: 'boolean', default: false },
    out: { type: 'string' },
    before: { type: 'string' },
    list: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
})

/** One request to an engine; the largest case takes the slowest peer this long on SwiftShader. */
const TIMEOUT_MS = 180_000

if (options.help) console.log(HELP)
else if (options.list) for (const { group, name } of CASES) console.log(`${group.padEnd(12)} ${name}`)
else {
  await main().catch((error) => {
    console.error(`bench: ${error.message}`)
    process.exitCode = 1
  })
}

async function main() {
  const { adapter } = options
  const runs = positive('runs')
  const capMs = positive('cap') * 1000
  const isSlow = /swiftshader/i.test(adapter)
  const largest = Number(options.gflop ?? (isSlow ? 3 : 100)) * 1e9
  const names = options.before ? ['ours', 'before'] : options.peers.split(',')
  const unknown = names.filter((name) => ![...ENGINES, 'before'].includes(name))
  if (unknown.length > 0) throw new Error(`No engine ${unknown.join(', ')}; there are ${ENGINES.join(', ')}.`)
  const wanted = options['ceilings-only'] ? [] : CASES.filter(isWanted)
  if (wanted.length === 0 && !options['ceilings-only']) {
    throw new Error(`No case has '${options.only}' in its name or group; --list shows them.`)
  }

  const bundle = await buildEngine()
  if (options.before) {
    const checkout = resolve(options.before)
    process.env['BENCH_BEFORE'] = checkout
    const its = await import(pathToFileURL(join(checkout, 'bench/lib/build.mjs')))
    await its.buildEngine()
  }
  const environment = driverEnvironment(adapter, await import(bundle))
  const file = options.out ?? join(BENCH, 'results', `${adapter.toLowerCase().replace(/\W+/g, '-')}.json`)
  const results = existsSync(file) && !options.before ? JSON.parse(readFileSync(file, 'utf8')) : { cases: {} }
  const run = { when: new Date().toISOString().slice(0, 16), commit: commit() }
  const save = () => {
    if (options.before) return
    mkdirSync(join(BENCH, 'results'), { recursive: true })
    writeFileSync(`${file}.part`, `${JSON.stringify(results, undefined, 1)}\n`)
    renameSync(`${file}.part`, file)
  }

  // 1. Who takes part, on what
  const all = names.map((name) => new Engine(name, adapter, environment, TIMEOUT_MS))
  const engines = []
  Object.assign(results, { machine: machine(), versions: versions() })
  console.log(`${results.machine.cpu}, ${results.machine.cores} cores, Node ${process.versions.node}`)
  try {
    for (const engine of all) {
      try {
        const info = await engine.ask('open')
        engines.push(engine)
        if (engine.name === 'ours') Object.assign(results, { adapter: info.adapter, features: info.features })
        console.log(`  ${engine.name.padEnd(9)} ${info.adapter ?? ''} ${info.note ?? ''}`)
      } catch (error) {
        console.log(`  ${engine.name.padEnd(9)} can't be opened: ${error.message}`)
      }
    }
    if (names.includes('ours') && !engines.some(({ name }) => name === 'ours')) {
      throw new Error('Without our own engine there is nothing to compare: see above why it has no adapter.')
    }
    save()

    // 2. What the adapter could do
    if (!options['no-ceilings'] && !options.before) {
      const ceilings = new Engine('ceilings', adapter, environment, TIMEOUT_MS)
      all.push(ceilings)
      console.log('ceilings')
      results.ceilings = { ...run, measured: rounded(await ceilings.ask('measure')) }
      ceilings.stop()
      for (const [name, { value, unit, best }] of Object.entries(results.ceilings.measured)) {
        console.log(`    ${name.padEnd(32)} ${value} ${unit} ${best ?? ''}`)
      }
      save()
    }

    // 3. The cases
    for (const [i, spec] of wanted.entries()) {
      if (spec.flops > largest) {
        console.log(`${spec.name}: left out, ${(spec.flops / 1e9).toFixed(0)} GFLOP (--gflop)`)
        continue
      }
      const before = results.cases[spec.name]?.engines ?? {}
      const missing = options.resume ? engines.filter(({ name }) => !before[name]) : engines
      if (missing.length === 0) continue
      console.log(`[${i + 1}/${wanted.length}] ${spec.name}`)
      const measured = await measure(spec, missing, { runs, capMs })
      for (const result of Object.values(measured)) Object.assign(result, run)
      const { group, unit, flops, bytes } = spec
      results.cases[spec.name] = { group, unit, flops, bytes, engines: { ...before, ...measured } }
      save()
    }
  } finally {
    for (const engine of all) engine.stop()
  }
  console.log(options.before ? comparison(results.cases) : `Wrote ${file}`)
}

/** The ratio of each case's median times, now over before, the slowest first, and their geometric mean. */
function comparison(cases) {
  const ratios = Object.entries(cases).flatMap(([name, { engines }]) => {
    const [now, before] = [engines.ours, engines.before].map((one) => (one?.ms ? median(one.ms) : undefined))
    return now && before ? [{ name, ratio: now / before }] : []
  })
  ratios.sort((a, b) => b.ratio - a.ratio)
  const mean = Math.exp(ratios.reduce((sum, { ratio }) => sum + Math.log(ratio), 0) / ratios.length)
  return [
    'now / before',
    ...ratios.map(({ name, ratio }) => `  ${ratio.toFixed(3)}  ${name}`),
    `geometric mean of ${ratios.length} cases: ${mean.toFixed(3)}`,
  ].join('\n')
}

function positive(name) {
  const value = Number(options[name])
  if (value > 0) return value
  throw new Error(`--${name} is '${options[name]}', expected a number greater than 0.`)
}

/** Three digits are more than such figures are worth. */
function rounded(tree) {
  return JSON.parse(JSON.stringify(tree, (_, x) => (typeof x === 'number' ? Number(x.toPrecision(3)) : x)))
}

function isWanted({ name, group }) {
  return options.only.split(',').some((text) => `${group} ${name}`.toLowerCase().includes(text.toLowerCase()))
}

/** @returns results by engine */
async function measure(spec, engines, { runs, capMs }) {
  const samples = samplePlaces(spec.name, sizeOf(spec.output))
  const expected = Float64Array.from(samples, referenceOf(spec, makeInputs(spec)))
  const results = {}

  // 1. Right?
  const ready = []
  for (const engine of engines) {
    const started = performance.now()
    const answer = await engine
      .ask('prepare', { name: spec.name, samples, expected })
      .catch((error) => ({ status: 'cannot', message: error.message }))
    results[engine.name] = answer
    answer.prepareSeconds = Number(((performance.now() - started) / 1000).toPrecision(2))
    if (answer.status === 'ok') ready.push({ engine, result: Object.assign(answer, { ms: [] }), spentMs: 0 })
    else console.log(`    ${engine.name.padEnd(9)} ${answer.status}: ${answer.message}`)
    const { wrong } = answer
    if (!wrong) continue
    for (const key of ['error', 'ms']) wrong[key] = Number(wrong[key].toPrecision(3))
    console.log(`    ${engine.name.padEnd(9)} in ${wrong.ms} ms wrong (error ${wrong.error}): ${wrong.way}`)
  }

  // 2. How fast, in turns
  for (let round = 0; round < runs; round++) {
    for (const one of ready) {
      const { engine, result } = one
      const next = result.warmMs * result.repeat
      if (result.status !== 'ok' || (round > 0 && one.spentMs + next > capMs)) continue
      try {
        const { ms } = await engine.ask('time')
        result.ms.push(Number(ms.toPrecision(5)))
        one.spentMs += ms * result.repeat
      } catch (error) {
        Object.assign(result, { status: 'cannot', message: error.message })
      }
    }
  }
  for (const { engine, result } of ready) {
    if (result.status !== 'ok') continue
    const { ms } = engine.name === 'ours' ? await engine.ask('profile') : {}
    if (ms) result.deviceMs = Number(ms.toPrecision(5))
    await engine.ask('drop')
    for (const key of ['coldMs', 'warmMs', 'error']) result[key] = Number(result[key].toPrecision(3))
    const typical = median(result.ms)
    const rate = (spec.unit === 'GB/s' ? spec.bytes : spec.flops) / typical / 1e6
    const times = `${typical.toPrecision(3)} ms (${result.ms.length} x ${result.repeat})`
    console.log(
      `    ${engine.name.padEnd(9)} ${rate.toPrecision(3).padStart(6)} ${spec.unit}  ${times}  ` +
        `error ${result.error.toExponential(0)}  ${result.way}`,
    )
  }
  return results
}

// ---------------------------------------------------------------------------------------------------------

function machine() {
  const [cpu] = cpus()
  return {
    cpu: cpu?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release()}`,
    node: process.versions.node,
  }
}

function versions() {
  const require = createRequire(join(BENCH, 'run.mjs'))
  const names = [
    'webgpu',
    'onnxruntime-web',
    'onnxruntime-node',
    '@tensorflow/tfjs-backend-webgpu',
    '@jax-js/jax',
    '@sparticuz/chromium',
  ]
  return Object.fromEntries(
    names.map((name) => {
      const folder = require.resolve
        .paths(name)
        .map((path) => join(path, name, 'package.json'))
        .find(existsSync)
      return [name, folder ? JSON.parse(readFileSync(folder, 'utf8')).version : 'absent']
    }),
  )
}

function commit() {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], { cwd: ROOT, encoding: 'utf8' }).trim()
  } catch {
    return 'unknown'
  }
}
