// The child process of one engine: answers the parent's requests one at a time, and between them waits without
// spinning, so that only one engine uses the machine.
//
//   node worker.mjs <engine> <adapter>
//
//   open                     -> { name, version, adapter, note }
//   prepare { case }         -> { status: 'ok' | 'wrong' | 'cannot', ... }   makes inputs, checks outputs, picks a way
//   time { repeat }          -> { ms }                                        of one run of `repeat` ops in a row
//   drop                     -> {}

import { join } from 'node:path'
import { CASES } from './cases.mjs'
import { makeInputs } from './lib/inputs.mjs'
import { median } from './lib/statistics.mjs'
import { WAITS } from './lib/wait.mjs'

const [, , engineName, adapter] = process.argv

/** Runs shorter than this are repeated within one measurement, as their waiting would dominate. */
const SHORTEST_MS = 60
const MOST_REPEATS = 64
/** Beyond this one run tells enough, and naps of a millisecond cost nothing. */
const BRIEF_MS = 500
/** Beyond this a second way to wait or to lay out is not tried: it would cost more than it can win. */
const LONG_MS = 4000
/** A wrong result this close is timed, but never counts. */
const NEARLY = 0.2

/** Our engine in another checkout: its own way to call it, as it was then. */
const before = process.env['BENCH_BEFORE'] && join(process.env['BENCH_BEFORE'], 'bench/engines/ours.mjs')
const files = { ceilings: './ceilings/measure.mjs', before }
const engine = await import(files[engineName] ?? `./engines/${engineName}.mjs`)
let current

const answers = {
  async open() {
    return engine.open(adapter)
  },

  async prepare({ name, samples, expected }) {
    await drop()
    const spec = CASES.find((c) => c.name === name)
    let ways
    try {
      ways = await engine.prepare(spec, makeInputs(spec))
    } catch (error) {
      return { status: 'cannot', message: messageOf(error) }
    }
    let best
    const failures = []
    let wrong
    for (const way of ways) {
      // 1. Right?
      let values
      const started = performance.now()
      try {
        values = await WAITS.calm(way.read())
      } catch (error) {
        failures.push({ status: 'cannot', message: messageOf(error) })
        continue
      }
      const coldMs = performance.now() - started
      const error = relativeError(samples.map(values), expected)
      if (!(error <= spec.tolerance)) {
        const message = `relative error ${error.toExponential(1)} over ${samples.length} outputs`
        failures.push({ status: 'wrong', message })
        // Nearly right is timed as well, so that nobody has to wonder; it never counts as the best
        if (error < NEARLY && coldMs < LONG_MS) {
          const times = []
          for (let i = 0; i < (coldMs > 2 * BRIEF_MS ? 1 : 3); i++) times.push(await run(way, 1, WAITS.calm))
          const ms = median(times)
          if (!wrong || ms < wrong.ms) wrong = { way: way.label, error, ms }
        }
        continue
      }
      // 2. How fast, roughly? A way that is slow even to warm up is not tried twice
      const first = coldMs > LONG_MS ? coldMs : await run(way, 1, WAITS.calm)
      const ms = first > BRIEF_MS ? first : Math.min(first, await run(way, 1, WAITS.calm))
      if (!best || ms < best.ms) best = { way, ms, error, coldMs }
      if (ms > LONG_MS) break
    }
    for (const way of ways) if (way !== best?.way) await way.release?.()
    if (!best) {
      const [first] = [...failures.filter(({ status }) => status === 'wrong'), ...failures]
      return { status: 'cannot', message: 'there is no way', ...first, ...(wrong ? { wrong } : {}) }
    }

    // 3. How often in one measurement, and waiting in which way?
    const repeat = Math.min(MOST_REPEATS, Math.max(1, Math.ceil(SHORTEST_MS / best.ms)))
    if (repeat > 1) await best.way.prepareRepeat?.(repeat)
    const waits = engine.waitsItself || best.ms > BRIEF_MS ? { calm: WAITS.calm } : WAITS
    let chosen
    for (const [label, wait] of Object.entries(waits)) {
      const ms = repeat === 1 && label === 'calm' ? best.ms : (await run(best.way, repeat, wait)) / repeat
      if (!chosen || ms < chosen.ms) chosen = { label, wait, ms }
    }
    current = { way: best.way, wait: chosen.wait, repeat }
    return {
      status: 'ok',
      way: [best.way.label, engine.waitsItself ? '' : `${chosen.label} wait`].filter(Boolean).join(', '),
      error: best.error,
      coldMs: best.coldMs,
      warmMs: chosen.ms,
      repeat,
      ...(wrong ? { wrong } : {}),
    }
  },

  async time() {
    const { way, wait, repeat } = current
    const ms = (await run(way, repeat, wait)) / repeat
    return { ms }
  },

  /** Milliseconds on the device by timestamps, where the engine can tell. */
  async profile() {
    return { ms: await current.way.profile?.() }
  },

  /** For `ceilings` alone. */
  async measure() {
    return engine.measure()
  },

  async drop() {
    await drop()
    return {}
  },
}

async function drop() {
  const { way } = current ?? {}
  current = undefined
  await way?.release?.()
}

/** @returns milliseconds from the first submission until all is done */
async function run(way, repeat, wait) {
  const started = performance.now()
  await way.run(repeat, wait)
  return performance.now() - started
}

function relativeError(actual, expected) {
  let difference = 0
  let norm = 0
  for (let i = 0; i < expected.length; i++) {
    if (!Number.isFinite(actual[i])) return Infinity
    difference += (actual[i] - expected[i]) ** 2
    norm += expected[i] ** 2
  }
  return Math.sqrt(difference / norm)
}

function messageOf(error) {
  const text = error instanceof Error ? error.message : String(error)
  return text.trim().split('\n').slice(0, 3).join(' ').slice(0, 300)
}

process.on('message', ({ id, request, ...body }) => {
  answers[request](body).then(
    (answer) => process.send({ id, answer }),
    (error) => process.send({ id, error: messageOf(error) }),
  )
})
process.on('disconnect', () => process.exit(0))
process.send({ ready: true })
