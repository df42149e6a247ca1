// The variants that can compute a case, found by recording it: nothing runs, and no device is needed.

import { type AdapterFacts, Choices } from '../gpu/adapter.ts'
import { type Recorder, recordWith } from '../gpu/recorder.ts'
import { packedAs, type WeightLayout } from '../kernels/packed.ts'
import { SCALE_TYPES } from '../kernels/quantize.ts'
import { problemsSeenIn } from '../kernels/variants.ts'
import { bytesOf, sizeOf, type Tensor } from '../tensor/tensor.ts'
import type { KernelCase, KernelTest } from './case.ts'
import { type HostTensor, Outline, type WeightType } from './random.ts'

/** An op with one type and layout of its weights. */
export interface Subject {
  /** The family of ops, or 'own'. */
  readonly family: string
  /** The op. */
  readonly test: KernelTest
  /** The type of its weights. */
  readonly type: WeightType
  /** The layout of its weights. */
  readonly layout: WeightLayout
}

/** The names that case `index` of a subject is drawn for. */
export function namesOfCase(
  { family, test, type, layout }: Subject,
  index: number,
): readonly (string | number)[] {
  return [family, test.name, type, layout, index]
}

/** The inputs of a case as a plan has them, without their data. */
export function symbolicInputs(
  recorder: Recorder,
  { inputs }: Pick<KernelCase, 'inputs'>,
  { subgroupSize }: Pick<AdapterFacts, 'subgroupSize'>,
): Record<string, Tensor> {
  const entries = Object.entries(inputs).map(([label, host]): [string, Tensor] => {
    const { shape, dtype, place = 'input', scales, runs = 1 } = host
    const bytes = bytesOf(shape, dtype)
    const storage = place === 'input' ? recorder.input(label, bytes) : recorder.bind(label, bytes)
    return [
      label,
      {
        shape,
        dtype,
        size: sizeOf(shape),
        storage,
        ...(place === 'packed' ? { packed: packedAs({ shape, dtype, runs }, subgroupSize) } : {}),
        ...(scales ? { scales: scalesOf(recorder, label, host, scales) } : {}),
      },
    ]
  })
  return Object.fromEntries(entries)
}

function scalesOf(
  recorder: Recorder,
  label: string,
  { dtype }: HostTensor,
  { length }: Float32Array,
): Tensor {
  const type = dtype === 'int4' ? SCALE_TYPES.int4 : SCALE_TYPES.int8
  return {
    shape: [length],
    dtype: type,
    size: length,
    storage: recorder.bind(`${label} scales`, bytesOf([length], type)),
  }
}

/** These choices, and one more variant, 'family/name', that is forced. */
export function withVariant(choices: Choices, variant?: string): Choices {
  const [family = '', name = ''] = variant?.split('/') ?? []
  const own = new Choices({ ...Object.fromEntries(choices.forced), ...(variant ? { [family]: name } : {}) })
  for (const [key, value] of choices.tuned) own.tuned.set(key, value)
  for (const vetoed of choices.vetoed) own.vetoed.add(vetoed)
  return own
}

/** The variants that were taken while a plan was recorded: 'matmul/registers'. */
export function takenOf({ taken }: Choices): string[] {
  return [...taken].map(([key, variant]) => `${key.slice(0, key.indexOf(' '))}/${variant}`)
}

/** The variants, 'matmul/registers', of the kernel families that come up in a recording; whether or not they fit. */
export function variantsSeenIn(record: () => unknown): string[] {
  const families = new Set(problemsSeenIn(record).map(({ family }) => family))
  return [...families].flatMap(({ name, variants }) => variants.map((one) => `${name}/${one.name}`))
}

/** True if the variant, when it is forced, computes the case on an adapter of these facts. */
export function fits(one: KernelCase, adapter: AdapterFacts, variant: string): boolean {
  const choices = withVariant(adapter.choices, variant)
  if (choices.vetoed.has(variant)) return false
  recordWith((r) => one.run(symbolicInputs(r, one, adapter)), { ...adapter, choices })
  return takenOf(choices).includes(variant)
}

/** Cases that are drawn in search of one that a variant fits. */
const MOST_DRAWS = 50

/** A case by its index, and the variants that are to run it. */
interface Further {
  readonly index: number
  readonly variants: readonly string[]
}

/**
 * More cases of a subject, for variants that none of the first cases fits, each with the variants that it fits. A
 * variant that fits none of fifty cases gets none: it can't compute this op with such weights, or hardly ever.
 *
 * @param missing  the variants that are still to run; the caller takes out those that have
 * @param first    the index of the first case to try
 */
export function* furtherCases(
  subject: Subject,
  { seed, first }: { readonly seed: number; readonly first: number },
  adapter: AdapterFacts,
  missing: ReadonlySet<string>,
): Generator<Further> {
  const { test, type, layout } = subject
  for (let index = first; index < first + MOST_DRAWS && missing.size > 0; index++) {
    const outline = test.draw(new Outline(seed, ...namesOfCase(subject, index)), type, layout)
    const variants = [...missing].filter((variant) => fits(outline, adapter, variant))
    if (variants.length > 0) yield { index, variants }
  }
}
