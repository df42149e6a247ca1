// `npm run test:variants` forces variants that there are, and leaves none out.

import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { parse } from '../../src/cli/args.ts'
import { doctor } from '../../src/cli/commands/doctor.ts'
import { engineOptions } from '../../src/cli/engine.ts'
import { VARIANTS } from '../../src/gpu/adapter.ts'

const { TURNS } = (await import(pathToFileURL('tools/variant-turns.mjs').href)) as {
  readonly TURNS: readonly string[]
}

/** What a turn forces, as the command reads it. */
function forced(turn: string): Record<string, string> {
  const env = { FLOWSEG_VARIANTS: turn, FLOWSEG_TUNE: 'off' }
  return { ...engineOptions(parse(doctor.page, []), { env }).variants }
}

test.each(TURNS)('%s', (turn) => {
  const pairs = turn.split(' ').map((word) => word.split('=') as [family: string, variant: string])
  for (const [family, variant] of pairs) expect(VARIANTS[family], family).toContain(variant)
  expect(forced(turn)).toEqual(Object.fromEntries(pairs))
})

test('each variant has its turn', () => {
  const taken = new Set(TURNS.flatMap((turn) => turn.split(' ')))
  const all = Object.entries(VARIANTS).flatMap(([family, variants]) => variants.map((v) => `${family}=${v}`))
  expect(all.filter((one) => !taken.has(one))).toEqual(['tiles=f32']) // the default
})
