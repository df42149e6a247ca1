// The values that go into a plan and come out of it: arrays, tensors and names that a caller passes to `run`, and what
// its `build` returned, each checked against its declaration.

import { expectDefined, expectNames, listed, namesOf } from '../check.ts'
import { ShapeError, UsageError } from '../errors.ts'
import type { PlanSpec } from '../gpu/plan/plan.ts'
import type { Recorder } from '../gpu/recorder.ts'
import { expectKind, NAME, type OptionKinds, TABLE, TASK_KINDS } from '../options.ts'
import { printable } from '../printable.ts'
import { expectPlain, expectShape, expectTensor, expectType, isPromise } from './check.ts'
import { deviceBytes, expectIds, type HostArray } from './host-array.ts'
import type { Outputs, RunValues, Tensors } from './plan.ts'
import type { Tensor } from './tensor.ts'

/** Tensors by the names that the plan has for them. */
export type TensorMap = ReadonlyMap<string, Tensor>

/** The kinds of the fields of RunValues. */
export const RUN_KINDS: OptionKinds<RunValues> = {
  inputs: TABLE,
  bound: TABLE,
  params: TABLE,
  into: TABLE,
  owner: NAME,
  ...TASK_KINDS,
}

/** The bytes of a run's inputs, one array per input that the plan declared. */
export function bytesOfInputs(
  what: string,
  passed: Readonly<Record<string, HostArray>>,
  own: ReadonlyMap<string, Tensor>,
  { recorder: { tableRows } }: PlanSpec,
): Record<string, Uint8Array> {
  expectKnown(what, 'input', passed, own)
  const entries = [...own].map(([label, { shape, dtype, storage }]): [string, Uint8Array] => {
    const name = `${what}: input '${printable(label)}'`
    if (!Object.hasOwn(passed, label)) throw new UsageError(`${name} is missing from the run.`)
    const bytes = deviceBytes(name, passed[label], shape, dtype)
    const rows = tableRows.get(storage)
    if (rows !== undefined) expectIds(name, passed[label] as Uint32Array, rows)
    return [label, bytes]
  })
  return Object.fromEntries(entries)
}

function expectKnown(
  what: string,
  kind: string,
  passed: Readonly<Record<string, unknown>>,
  own: ReadonlyMap<string, Tensor>,
): void {
  const other = Object.keys(passed).find((label) => !own.has(label))
  if (other === undefined) return
  throw new UsageError(
    `${what}: there is no ${kind} '${printable(other)}'. It has ${listed([...own.keys()])}.`,
  )
}

/** Buffers of tensors that a run names, each like the plan's own of that name. */
export function buffersOf(
  what: string,
  table: 'bound' | 'into',
  passed: Readonly<Record<string, Tensor | undefined>>,
  own: ReadonlyMap<string, Tensor>,
): Record<string, GPUBuffer> {
  expectKnown(what, table === 'bound' ? 'bound tensor' : 'kept output', passed, own)
  const entries = Object.entries(passed).map(([label, x]): [string, GPUBuffer] => {
    const wanted = expectDefined(own.get(label), `${what}: ${table} ${label}`)
    expectTensor(what, label, x)
    expectShape(what, label, x, wanted.shape)
    expectType(what, label, x, wanted.dtype)
    if (!x.storage.buffer || x.storage.offset) {
      throw new ShapeError(`${what}: '${printable(label)}' must be a whole resident tensor to be bound.`)
    }
    return [label, x.storage.buffer]
  })
  return Object.fromEntries(entries)
}

const OUTPUTS = namesOf<Outputs>({ read: true, keep: true })

/** Checks the result of `build`, which may be anything. */
export function outputsOf(
  what: string,
  result: unknown,
  recorded: Recorder,
): { read: TensorMap; keep: TensorMap } {
  if (isPromise(result)) {
    // Its own failure would only be a consequence of this one
    Promise.resolve(result).catch(() => undefined)
    throw new UsageError(
      `${what}: build returned a promise. Ops are recorded while it runs, so it can't be async: await what it needs before.`,
    )
  }
  if (result === undefined || result === null) {
    throw new UsageError(`${what}: build returned ${result}. Return { read } or { keep }, or {} for neither.`)
  }
  expectNames(`${what}: what build returned`, result, OUTPUTS)
  const { read = {}, keep = {} } = result as Outputs
  const checked = (table: 'read' | 'keep', passed: Tensors): TensorMap => {
    expectKind(`${what}: ${table}`, passed, TABLE)
    for (const [label, x] of Object.entries(passed)) {
      const output = `${table}.${printable(label)}`
      expectTensor(what, output, x)
      if (x.storage.kind !== 'resident' && !recorded.owns(x.storage)) {
        throw new UsageError(`${what}: ${output} is a tensor of another plan.`)
      }
      if (table === 'keep' && x.storage.kind !== 'intermediate') {
        throw new ShapeError(`${what}: kept output '${printable(label)}' is not made by the plan.`)
      }
      if (x.shards) {
        throw new ShapeError(
          `${what}: output '${printable(label)}' is sharded; gather the rows you want to read.`,
        )
      }
      expectPlain(what, output, x)
      if (table === 'read' && x.dtype !== 'f32' && x.dtype !== 'u32') {
        throw new ShapeError(`${what}: ${output} is ${x.dtype}; only f32 and u32 are read back.`)
      }
    }
    return new Map(Object.entries(passed))
  }
  return { read: checked('read', read), keep: checked('keep', keep) }
}
