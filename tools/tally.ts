// A Vitest reporter beside the one that people read: what ran on which adapter, for the table of tools/test.mjs.
//
// A test names the adapter it ran on in its title; those that name none are counted together, without an adapter.
// The result is written to the file $FLOWSEG_TALLY as JSON.

import { writeFileSync } from 'node:fs'
import type { Reporter, SerializedError, TestModule } from 'vitest/node'

export interface Row {
  /** '' for tests that name none. */
  readonly adapter: string
  readonly driver: string
  passed: number
  skipped: number
  failed: number
}

export interface Tally {
  /** 'Deno 2.9.6, wgpu'; '' if no test ran. */
  readonly runtime: string
  readonly rows: readonly Row[]
  /** Titles of the tests that were not run here. */
  readonly skipped: readonly string[]
  /** The answers of test/e2e/nano.test.ts, if it ran. */
  readonly answers: readonly unknown[] | undefined
}

export default class TallyReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const file = process.env['FLOWSEG_TALLY']
    if (!file) throw new Error('tools/tally.ts is for tools/test.mjs: FLOWSEG_TALLY names no file.')
    writeFileSync(file, JSON.stringify(tallyOf(modules, unhandled.length)))
  }
}

function tallyOf(modules: readonly TestModule[], unhandled: number): Tally {
  const ran = modules.flatMap((module) => module.meta().ranOn ?? [])
  const drivers = new Map(ran.flatMap(({ adapters }) => adapters.map(({ name, driver }) => [name, driver])))
  const rows = new Map(
    [...drivers, ['', ''] as const].map(([adapter, driver]): [string, Row] => [
      adapter,
      { adapter, driver, passed: 0, skipped: 0, failed: 0 },
    ]),
  )
  const none = rows.get('')!
  none.failed += unhandled

  const skipped: string[] = []
  let answers: readonly unknown[] | undefined
  for (const module of modules) {
    none.failed += module.errors().length // it could not be read, or a hook of it failed
    for (const test of module.children.allTests()) {
      answers ??= test.meta().answers
      const row = [...rows.values()].find(({ adapter }) => adapter && test.fullName.includes(adapter)) ?? none
      const { state } = test.result()
      if (state === 'passed' || state === 'failed') row[state]++
      else {
        row.skipped++
        // Left out by .only, it has no say in what this runtime can't do
        if (test.options.mode === 'skip') skipped.push(`${module.relativeModuleId}: ${test.fullName}`)
      }
    }
  }
  const used = [...rows.values()].filter((row) => row.passed + row.skipped + row.failed > 0)
  return { runtime: ran[0]?.runtime ?? '', rows: used, skipped, answers }
}
