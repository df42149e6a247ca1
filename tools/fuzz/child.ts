// Runs the cases of a batch, one after the other, and says on standard output when each begins and how it ended. It is
// a process of its own: what takes too long or too much, or crashes, ends this one only.
//
//   node child.js TARGET SEED BEGIN END        cases BEGIN to END - 1
//   node child.js TARGET SEED BEGIN END FILE   the input of case BEGIN is written to FILE, and nothing is run

import { writeFileSync, writeSync } from 'node:fs'
import { FlowSegError } from '../../src/errors.ts'
import { Random } from './random.ts'
import { TARGETS } from './targets.ts'

const [name = '', seed = '', begin = '', end = '', file] = process.argv.slice(2)
const target = TARGETS[name]
if (!target) throw new Error(`There is no target '${name}'.`)

/** At once, whatever happens next. */
const tell = (message: object): number => writeSync(1, `${JSON.stringify(message)}\n`)

for (let i = Number(begin); i < Number(end); i++) {
  const random = new Random(seed, name, i)
  const bytes = new Uint8Array(target.make(random, i))
  if (file !== undefined) {
    writeFileSync(file, bytes)
    break
  }
  const before = process.memoryUsage.rss()
  tell({ begins: i, rss: before })
  const started = performance.now()
  const outcome = await target.run(bytes, random).then(
    () => ({ result: 'ok' }),
    (error: unknown) => resultOf(error),
  )
  const { maxRSS } = process.resourceUsage() // in KiB, the most so far
  tell({ ends: i, ...outcome, milliseconds: Math.round(performance.now() - started), peak: maxRSS * 1024 })
}

/** An error that is meant for whoever gave the file, or one that isn't. */
function resultOf(error: unknown): { result: string; untyped?: string } {
  if (!(error instanceof FlowSegError)) {
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error)
    return { result: 'untyped', untyped: what.slice(0, 2000) }
  }
  const { code, message } = error
  const isPlain = !/[\p{Cc}\p{Cf}]/u.test(message) && message.length < 2000
  return isPlain
    ? { result: code }
    : { result: 'untyped', untyped: `not plain text: ${JSON.stringify(message).slice(0, 2000)}` }
}
