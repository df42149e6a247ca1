// The options of a self-test, checked by name.

import { describe, listed } from '../check.ts'
import { UsageError } from '../errors.ts'
import { VARIANTS } from '../gpu/adapter.ts'
import {
  COUNT,
  expectKind,
  expectOptions,
  FLAG,
  FUNCTION,
  NAME,
  type OptionKinds,
  POSITIVE,
  SECONDS,
  TABLE,
  TASK_KINDS,
} from '../options.ts'
import { printable } from '../printable.ts'
import type { TaskOptions } from '../progress.ts'
import type { KernelCase, KernelTest } from './case.ts'
import { OP_FAMILIES, type OpFamily } from './families.ts'
import { WEIGHT_TYPES, type WeightType } from './random.ts'
import type { KernelResult } from './results.ts'

/** The choice of tests that a self-test runs, and where it reports. */
export interface SelfTestOptions extends TaskOptions {
  /** Families of ops; all by default. */
  readonly families?: readonly OpFamily[]
  /** Ops by name, such as 'linear'; all of the families by default. */
  readonly ops?: readonly string[]
  /**
   * Variants, each by name ('registers') or with its kernel family ('matmul/registers'), forced in turn; all by
   * default. 'default' tests the variant that this adapter takes by itself, and no others.
   */
  readonly variants?: readonly string[] | 'default'
  /** Types of weights; all by default. Ops without weights are tested with 'f32'. */
  readonly types?: readonly WeightType[]
  /** Another seed draws other problems; 1 by default. */
  readonly seed?: number
  /**
   * Problems per op, weight type and weight layout; 3 by default. A variant of the engine's that none of them fits gets
   * one more problem, if one of the next fifty fits it.
   */
  readonly count?: number
  /** No problem is begun after this many milliseconds. */
  readonly timeoutMs?: number
  /** Disable variants that compute wrong values: plans that this Gpu records from then on don't take them. */
  readonly veto?: boolean
  /**
   * Kernels of your own, with references. They are tested alone, unless `families` or `ops` name some of the engine's
   * too.
   */
  readonly own?: readonly KernelTest[]
  /** Called with each result as it comes. */
  readonly onResult?: ((result: KernelResult) => void) | undefined
}

const ARRAY = { is: Array.isArray, what: 'an array' }

const KINDS: OptionKinds<SelfTestOptions> = {
  ...TASK_KINDS,
  families: { is: Array.isArray, what: 'an array of families of ops' },
  ops: { is: Array.isArray, what: 'an array of names of ops' },
  variants: {
    is: (value) => Array.isArray(value) || value === 'default',
    what: "an array of names of variants, or 'default'",
  },
  types: { is: Array.isArray, what: 'an array of types of weights' },
  seed: {
    is: (value) => Number.isSafeInteger(value) && (value as number) >= 0,
    what: 'a whole number of at least 0',
  },
  count: COUNT,
  timeoutMs: POSITIVE,
  veto: FLAG,
  own: ARRAY,
  onResult: FUNCTION,
}

const CASE_KINDS: OptionKinds<KernelCase> = {
  shape: NAME,
  inputs: TABLE,
  params: TABLE,
  run: FUNCTION,
  reference: FUNCTION,
  tolerance: SECONDS,
  measure: FUNCTION,
}

const TEST_KINDS: OptionKinds<KernelTest> = { name: NAME, draw: FUNCTION, types: ARRAY, packs: FLAG }

/** The variants that can be asked for: by name, and with their families. */
export function variantNames(): string[] {
  const families = Object.entries(VARIANTS).filter(([family]) => family !== 'weights')
  const names = new Set(families.flatMap(([, variants]) => variants))
  return [...names, ...families.flatMap(([family, variants]) => variants.map((name) => `${family}/${name}`))]
}

/** @throws UsageError naming the option and what it can be */
export function expectSelfTestOptions(options: SelfTestOptions): void {
  expectOptions('selfTest', options, KINDS)
  const { families = [], variants = [], types = [], own = [], count = 1 } = options
  expectKnown('a family', families, OP_FAMILIES)
  expectKnown('a type', types, WEIGHT_TYPES)
  if (variants !== 'default') expectKnown('a variant', variants, variantNames())
  expectKind('selfTest: count', count, { ...SECONDS, what: 'a finite whole number' })
  own.forEach((test, i) => {
    const what = `selfTest: own[${i}]`
    expectOptions(what, test, TEST_KINDS)
    for (const name of ['name', 'draw'] as const) {
      expectKind(`${what}: ${name}`, test[name], TEST_KINDS[name])
    }
    expectKnown(`a type of own[${i}]`, test.types ?? [], WEIGHT_TYPES)
  })
}

/** The case that a test of a caller's own draws. @throws UsageError naming what is wrong with it */
export function expectCase(test: string, one: KernelCase): void {
  const what = `selfTest: a case of '${printable(test)}'`
  expectOptions(what, one, CASE_KINDS)
  for (const name of ['shape', 'inputs', 'run', 'reference', 'tolerance'] as const) {
    expectKind(`${what}: ${name}`, one[name], CASE_KINDS[name])
  }
}

/** @param known names of the ops, told only once the cases are loaded */
export function expectKnown(what: string, names: readonly unknown[], known: readonly string[]): void {
  const wrong = names.find((name) => !known.includes(name as string))
  if (wrong === undefined) return
  throw new UsageError(
    `selfTest: there is no ${what.replace(/^an? /, '')} ${describe(wrong)}. There are ${listed(known)}.`,
  )
}
