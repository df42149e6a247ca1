// Files that strangers wrote, thousands of them: mutated from good ones, and read by the library.
//
//   npm run fuzz                                        30,000 cases in all, 2,500 per format
//   npm run fuzz -- --count 1200 --seed 2               fewer of them, others with another seed
//   npm run fuzz -- --only png,jpeg --seconds 60        of some formats, for a minute at most
//   npm run fuzz -- --only png --case 123 --seed 1      one of them again, and what it said
//
// A case is told by its format, the seed and its number, and is the same every time. It may end well or with an error
// of the library's own. Anything else is a failure, and so are 5 seconds, 512 MiB more than before it, and the end of
// the process. Cases run in processes of their own (tools/fuzz/child.ts); one that ends its process is known, as each
// is announced, and is tried once more alone. Failing inputs are saved in out/fuzz, and the exit code is 1.

import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

/** Cases of a format by default: 20,000 of the eight that a checkpoint's files and images have. */
const PER_FORMAT = 2500
const MOST_BYTES = 512 * 2 ** 20
/** Cases of a process: what they leave behind must not look like the last one's. */
const BATCH = 1000

const root = fileURLToPath(new URL('../', import.meta.url))
const CHILD = join(root, 'node_modules/.cache/flowseg-fuzz/child.js')
const OUT = join(root, 'out/fuzz')
/** By the name of a format, the extension of its saved inputs. */
const EXTENSIONS = JSON.parse(readFileSync(join(root, 'tools/fuzz/formats.json'), 'utf8'))
const FORMATS = Object.keys(EXTENSIONS)

const { values } = parseArgs({
  options: {
    count: { type: 'string' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string', default: FORMATS.join() },
    seconds: { type: 'string', default: '3600' },
    case: { type: 'string' },
  },
})
const formats = values.only.split(',')
// 'broken' fails in all ways there are, for the test of this program
const unknown = formats.find((format) => !FORMATS.includes(format) && format !== 'broken')
if (unknown !== undefined) fail(`There is no format '${unknown}': --only takes ${FORMATS.join(', ')}.`)
const count = values.count === undefined ? PER_FORMAT * formats.length : wholeNumber('count')
const seconds = wholeNumber('seconds')
/** Per case; the test of this program need not wait as long. */
const MOST_SECONDS = values.only === 'broken' ? 1 : 5
if (!existsSync(CHILD)) fail('npm run fuzz builds what is run here.')
const deadline = performance.now() + 1000 * seconds

if (values.case !== undefined) {
  const number = wholeNumber('case')
  for (const format of formats) {
    const { end } = await runBatch(format, number, number + 1)
    console.log(`${format} ${number}: ${end.result}${end.why ? `, ${end.why}` : ''}\n${save(format, number)}`)
  }
  process.exit(0)
}

const rows = []
const failures = []
const each = Math.ceil(count / formats.length)
for (const [done, format] of formats.entries()) {
  // Each format gets its share of the time that is left
  const until = performance.now() + (deadline - performance.now()) / (formats.length - done)
  const tally = { format, cases: 0, results: new Map(), slowest: 0, most: 0 }
  for (let next = 0; next < each && performance.now() < until; ) {
    const { cases, end } = await runBatch(format, next, Math.min(each, next + BATCH), tally, until)
    next += cases
    if (end?.why) {
      const alone = (await runBatch(format, end.number, end.number + 1)).end
      const note = alone?.why ? '' : ' (not alone: only after the cases before it)'
      failures.push({ format, ...end, note, file: save(format, end.number) })
    }
  }
  rows.push(tally)
}
report()
process.exitCode = failures.length > 0 ? 1 : 0

/**
 * Runs cases until one fails.
 *
 * @returns how many were run, and how the last one ended if it failed, or was the only one; a failure has a reason
 */
async function runBatch(format, begin, stop, tally, until = Number.POSITIVE_INFINITY) {
  const flags = ['--max-old-space-size=1024', '--stack-trace-limit=6']
  const child = spawn(process.execPath, [...flags, CHILD, format, values.seed, String(begin), String(stop)], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stderr = ''
  child.stderr.on('data', (piece) => {
    stderr = (stderr + piece).slice(-4000)
  })
  const exit = new Promise((resolve) => {
    child.on('close', (code, signal) => resolve(signal ?? `exit code ${code}`))
  })

  let cases = 0
  let current
  let end
  const stopWith = (failure) => {
    end = { number: current.begins, ...failure }
    child.kill('SIGKILL')
  }
  const watchdog = setInterval(() => {
    if (!current || end) return
    // Of the processor's time: a busy machine is no fault of the case
    const used = (processorSeconds(child.pid) ?? Number.POSITIVE_INFINITY) - current.used
    const waited = (performance.now() - current.since) / 1000
    if (waited > MOST_SECONDS && (used > MOST_SECONDS || waited > 12 * MOST_SECONDS)) {
      stopWith({ result: 'time', why: `more than ${MOST_SECONDS} s` })
    }
  }, 500)

  for await (const line of createInterface({ input: child.stdout })) {
    if (end) continue
    const message = JSON.parse(line)
    if (message.begins !== undefined) {
      current = { ...message, since: performance.now(), used: processorSeconds(child.pid) ?? 0 }
      continue
    }
    cases++
    const grown = message.peak - current.rss
    const slow = message.milliseconds > 12 * 1000 * MOST_SECONDS
    if (message.untyped) stopWith({ result: 'untyped', why: message.untyped })
    else if (slow) stopWith({ result: 'time', why: `${message.milliseconds} ms` })
    else if (grown > MOST_BYTES) {
      stopWith({ result: 'memory', why: `${Math.round(grown / 2 ** 20)} MiB more than before` })
    } else if (stop - begin === 1) end = { number: begin, result: message.result }
    count1(tally, { ...message, ...end })
    current = undefined
    if (performance.now() > until && !end) {
      child.kill('SIGKILL')
      break
    }
  }
  clearInterval(watchdog)
  const how = await exit
  if (current && !end && performance.now() <= until) {
    end = {
      number: current.begins,
      result: 'crash',
      why: `${how} ${stderr.trim().split('\n').slice(0, 12).join('\n')}`,
    }
    count1(tally, end)
    cases++
  } else if (end?.result === 'time' && current) {
    count1(tally, end)
    cases++
  }
  if (cases === 0 && !end && performance.now() <= until) fail(`The child ended with ${how}: ${stderr}`)
  return { cases: Math.max(cases, 1), end }
}

function count1(tally, { result, milliseconds = 0 }) {
  if (!tally) return
  tally.cases++
  tally.results.set(result, (tally.results.get(result) ?? 0) + 1)
  tally.slowest = Math.max(tally.slowest, milliseconds)
}

/** That a process has used; undefined where there is no telling. */
function processorSeconds(pid) {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
    return (Number(fields[11]) + Number(fields[12])) / 100
  } catch {
    return undefined
  }
}

/** @returns where the input of a case now lies */
function save(format, number) {
  mkdirSync(OUT, { recursive: true })
  const file = join(OUT, `${format}-${values.seed}-${number}.${EXTENSIONS[format] ?? 'json'}`)
  spawnSync(process.execPath, [CHILD, format, values.seed, String(number), String(number + 1), file], {
    cwd: root,
  })
  return relative(root, file)
}

function report() {
  const codes = [...new Set(rows.flatMap(({ results }) => [...results.keys()]))]
    .filter((code) => code !== 'ok')
    .toSorted((a, b) => (a < b ? -1 : 1))
  const lines = [
    ['format', 'cases', 'ok', ...codes, 'slowest'],
    ...rows.map(({ format, cases, results, slowest }) => [
      format,
      cases,
      results.get('ok') ?? 0,
      ...codes.map((code) => results.get(code) ?? 0),
      `${slowest} ms`,
    ]),
  ]
  const widths = lines[0].map((_, i) => Math.max(...lines.map((line) => String(line[i]).length)))
  for (const line of lines) {
    console.log(
      line
        .map((cell, i) => (i === 0 ? String(cell).padEnd(widths[i]) : String(cell).padStart(widths[i])))
        .join('  '),
    )
  }
  const total = rows.reduce((sum, { cases }) => sum + cases, 0)
  console.log(`\nseed ${values.seed}: ${total} cases, ${failures.length} failures`)
  for (const { format, number, result, why, note, file } of failures) {
    console.log(`\n${format} ${number}: ${result}${note}\n${why}\n${file}`)
  }
}

function wholeNumber(option) {
  const value = Number(values[option])
  return Number.isSafeInteger(value) && value >= 0 ? value : fail(`--${option} takes a whole number.`)
}

function fail(message) {
  console.error(message)
  process.exit(2)
}
