// The suite in every runtime, one after another, and a table of what ran where:
//
//   npm test                                        Node, Deno, Chromium, a smoke test in Bun, and a tour of the studio
//   npm run test:all                                the same, the packed package, and all that people do at the studio
//   npm test -- test/ops/matmul/matmul.test.ts -t linear   arguments are Vitest's; then only Node, Deno and Chromium
//   npm run test:deno                               one of them; test:node, test:browser, test:bun, test:package,
//                                                   test:studio
//
// vitest.config.ts says which files run where. At the end the runtimes' answers about the same images are compared.
// With FLOWSEG_TEST_SUMMARY=FILE the sums are also written as JSON.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { agreement } from './agreement.mjs'

const root = fileURLToPath(new URL('../', import.meta.url))
const inModules = (path) => join(root, 'node_modules', path)
const VITEST = inModules('vitest/vitest.mjs')
const vitest = (project) => [VITEST, 'run', '--project', project, '--passWithNoTests']

/** `runtime` is what the run must say it was; without it, a runtime that isn't one of ours could go unnoticed. */
const RUNTIMES = {
  node: { command: [process.execPath, ...vitest('node')], runtime: /^Node .*Dawn$/, without: [] },
  deno: {
    command: [process.execPath, inModules('deno/bin.cjs'), 'run', '-A', ...vitest('deno')],
    runtime: /^Deno .*wgpu$/,
    without: [],
  },
  browser: {
    command: [process.execPath, ...vitest('browser')],
    runtime: /^(Chromium|Firefox)/,
    without: ['FLOWSEG_ADAPTER'], // a browser has one adapter
  },
  bun: { command: [bun(), 'test/bun/smoke.ts'], runtime: /^Bun .*Dawn$/, without: [] },
  package: { command: [process.execPath, ...vitest('package')], name: 'the package, installed', without: [] },
  studio: { command: [process.execPath, ...vitest('studio')], ...studio() },
  // The files of the studio that take a minute: what most people do, and plain functions
  tour: {
    command: [
      process.execPath,
      ...vitest('studio'),
      ...['tour', 'plain', 'failures'].map((name) => `test/web/${name}.`),
    ],
    ...studio(),
  },
}
/** `npm test`, and with arguments: single files and titles are of these. */
const USUAL = ['node', 'deno', 'browser', 'bun', 'tour']
const COMPUTING = ['node', 'deno', 'browser']
/** `npm run test:all`: the tour is among the files of the studio. */
const ALL = ['node', 'deno', 'browser', 'bun', 'package', 'studio']

const [flags, args] = split(process.argv.slice(2), (arg) => arg.startsWith('--in='))
const chosen = flags.map((flag) => flag.slice('--in='.length))
const unknown = chosen.find((name) => name !== 'all' && !RUNTIMES[name])
if (unknown) {
  console.error(
    `There is no runtime '${unknown}': --in= takes ${[...Object.keys(RUNTIMES), 'all'].join(', ')}.`,
  )
  process.exit(1)
}
const usual = args.length > 0 ? COMPUTING : USUAL
const names = chosen.includes('all') ? ALL : chosen.length > 0 ? chosen : usual

let status = 0
const tallies = names.map((name) => {
  console.log(`\n== ${name}`)
  const tally = run(name)
  for (const { adapter, driver } of tally.rows) {
    if (adapter) console.log(`${tally.runtime} on ${adapter}, driver ${driver || 'unknown'}`)
  }
  return tally
})
const total = report(tallies)
compare(tallies)
if (process.env.FLOWSEG_TEST_SUMMARY) writeFileSync(process.env.FLOWSEG_TEST_SUMMARY, JSON.stringify(total))
process.exitCode = status

/** Driven from Node, where nothing is computed. Where times are recorded, a visitor is alone with the machine. */
function studio() {
  return {
    name: 'the studio in Chromium',
    variables: process.env.FLOWSEG_RECORD ? { VITEST_MAX_WORKERS: '1' } : {},
    without: ['FLOWSEG_SLOW', 'FLOWSEG_ADAPTER'],
  }
}

/** Bun's program itself: the one in .bin is made by an install script, which npm may not have run. */
function bun() {
  const platform = { win32: 'windows' }[process.platform] ?? process.platform
  const arch = { arm64: 'aarch64' }[process.arch] ?? process.arch
  return inModules(`@oven/bun-${platform}-${arch}/bin/bun${process.platform === 'win32' ? '.exe' : ''}`)
}

/** Runs the suite in one runtime. */
function run(name) {
  const { command, runtime, name: title, variables, without } = RUNTIMES[name]
  const folder = mkdtempSync(join(tmpdir(), 'flowseg-tally-'))
  const file = join(folder, 'tally.json')
  const env = { ...process.env, ...variables, FLOWSEG_TALLY: file }
  for (const variable of without) delete env[variable]
  const reporters = args.some((arg) => arg.startsWith('--reporter')) ? [] : ['--reporter=default']
  const rest = name === 'bun' ? [] : [...args, ...reporters, '--reporter=./tools/tally.ts']
  const { status: code, error } = spawnSync(command[0], [...command.slice(1), ...rest], {
    cwd: root,
    env,
    stdio: 'inherit',
  })
  try {
    if (code !== 0) fail(`${name}: ${error?.message ?? `it ended with ${code}`}`)
    const tally = JSON.parse(readFileSync(file, 'utf8'))
    if (title) return { ...tally, runtime: title }
    if (tally.runtime && !runtime.test(tally.runtime)) {
      fail(`${name}: these tests ran in '${tally.runtime}', which is not ${runtime}`)
    }
    return tally
  } catch (cause) {
    if (cause.code !== 'ENOENT') throw cause
    const rows = [{ adapter: '', driver: '', passed: 0, skipped: 0, failed: 1 }]
    return { runtime: `${name}, which did not start`, rows, skipped: [], answers: undefined }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** The table of runtime, adapter and counts, and what was left out where. @returns the sums */
function report(tallies) {
  // If titles were asked for, tests that were left out say nothing about the abilities of a runtime
  const isPart = args.some((arg) => /^(-t|--testNamePattern)/.test(arg))
  for (const { runtime, skipped } of tallies) {
    if (isPart || skipped.length === 0) continue
    console.log(`\nNot run in ${runtime}:`)
    for (const title of skipped) console.log(`  ${title}`)
  }
  const rows = tallies.flatMap(({ runtime, rows }) =>
    rows.map(({ adapter, passed, skipped, failed }) => [
      runtime,
      adapter || 'any, or none',
      passed,
      skipped,
      failed,
    ]),
  )
  const [passed, skipped, failed] = [2, 3, 4].map((i) => rows.reduce((sum, row) => sum + row[i], 0))
  const lines = [
    ['runtime', 'adapter', 'passed', 'skipped', 'failed'],
    ...rows,
    ['', '', passed, skipped, failed],
  ]
  const widths = lines[0].map((_, i) => Math.max(...lines.map((line) => String(line[i]).length)))
  const pad = (cell, i) => (i < 2 ? String(cell).padEnd(widths[i]) : String(cell).padStart(widths[i]))
  console.log()
  for (const line of lines) console.log(line.map(pad).join('  ').trimEnd())
  if (passed + failed === 0) fail('no test was run: no file or title matches')
  if (failed > 0) status = 1
  return { passed, skipped, failed }
}

/** The same sentence about the same image must mean the same thing everywhere. */
function compare(tallies) {
  const [first, ...others] = tallies.filter(({ answers }) => answers)
  for (const other of others) {
    const { sentences, sameQuery, samePixels } = agreement(other.answers, first.answers)
    const percent = (share) => `${+(100 * share).toFixed(4)} %`
    console.log(
      `${other.runtime} and ${first.runtime}: ${sentences} sentences, ${percent(sameQuery)} the same query, ` +
        `${percent(samePixels)} of the pixels equal`,
    )
    if (sameQuery < 1 || samePixels < 0.999) fail('they should be 100 % and at least 99.9 %')
  }
}

function fail(reason) {
  console.error(`FAILED: ${reason}`)
  status = 1
}

function split(list, test) {
  return [list.filter(test), list.filter((item) => !test(item))]
}
