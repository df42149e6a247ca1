// Checks of a dispatch before it is recorded: it has all that its kernel binds and sizes, nothing else, in numbers that
// the device takes. A slip in an op of a caller's own is a UsageError; in one of ours it is a fault of the engine.

import { describe, listed, MOST, namesOf } from '../../check.ts'
import { KernelError, UsageError } from '../../errors.ts'
import { printable } from '../../printable.ts'
import type { Kernel, SizeField } from '../kernel.ts'
import type { Dispatch, Param, SizeValue, Storage } from '../recorder.ts'

const FIELDS = namesOf<Dispatch>({
  kernel: true,
  reads: true,
  writes: true,
  sizes: true,
  workgroups: true,
  flops: true,
  bytes: true,
  inPlace: true,
  cut: true,
})

/**
 * @throws UsageError for a kernel of the caller's own, KernelError for one of the engine's, if a dispatch doesn't
 * fit its kernel
 */
export function checkDispatch(dispatch: Dispatch): void {
  const problem =
    unknownField(dispatch) ??
    wrongBinding(dispatch) ??
    wrongSharing(dispatch) ??
    wrongSize(dispatch) ??
    wrongGrid(dispatch)
  if (problem === undefined) return
  const { own, name } = dispatch.kernel
  throw own
    ? new UsageError(`Your kernel '${printable(name)}': ${problem}`)
    : new KernelError(`Kernel ${name}: ${problem}`)
}

function unknownField(dispatch: Dispatch): string | undefined {
  const other = Object.keys(dispatch).find((name) => !FIELDS.includes(name))
  return other && `the dispatch has no field '${printable(other)}'. It takes ${listed(FIELDS)}.`
}

function wrongBinding({ kernel, reads, writes, inPlace }: Dispatch): string | undefined {
  for (const { name, access } of kernel.bindings) {
    if (access === 'uniform') continue
    const isWritten = access === 'read_write'
    if (Object.hasOwn(isWritten ? writes : reads, name)) continue
    const other = Object.hasOwn(isWritten ? reads : writes, name)
    const trouble = other ? `is among the ${isWritten ? 'reads' : 'writes'}` : 'is missing from the dispatch'
    return `binding '${name}' (${access}) ${trouble}: pass it in \`${isWritten ? 'writes' : 'reads'}\`.`
  }
  for (const name of [...Object.keys(reads), ...Object.keys(writes)]) {
    if (kernel.bindings.some((b) => b.name === name && b.access !== 'uniform')) continue
    return `the dispatch names '${printable(name)}', which the shader doesn't bind.`
  }
  if (!inPlace) return undefined
  if (!/ IN_PLACE=false( |$)/.test(kernel.key))
    return 'a dispatch in place needs the constant IN_PLACE: false.'
  const isKnown = Object.hasOwn(reads, inPlace.read) && Object.hasOwn(writes, inPlace.write)
  return isKnown ? undefined : 'inPlace must name one of the reads and one of the writes.'
}

function wrongSharing({ reads, writes }: Dispatch): string | undefined {
  for (const [written, to] of Object.entries(writes)) {
    for (const [name, from] of [...Object.entries(reads), ...Object.entries(writes)]) {
      if (name === written || !from || !sharesMemory(from, to)) continue
      return `'${name}' and '${written}' are one buffer, and one is written. Write to a tensor of its own.`
    }
  }
  return undefined
}

/** WebGPU won't bind one buffer as written and for anything else in the same dispatch, even in disjoint ranges. */
function sharesMemory(a: Storage, b: Storage): boolean {
  return a === b || (a.buffer !== undefined && a.buffer === b.buffer)
}

function wrongSize({ kernel, sizes, cut }: Dispatch): string | undefined {
  const fields = kernel.sizes.map((f) => f.name)
  if (cut !== undefined && (!fields.includes(cut) || Object.hasOwn(sizes, cut))) {
    return `'${printable(cut)}' cuts the grid: Sizes must have it, the dispatch must not.`
  }
  for (const field of kernel.sizes) {
    if (field.name === cut) continue
    if (!Object.hasOwn(sizes, field.name)) return `size '${field.name}' is missing from the dispatch.`
    const value = sizes[field.name]
    if (value !== undefined && (isParam(value) || fitsSize(field.type, value))) continue
    return `size '${field.name}' is ${describe(value)}, expected ${SIZE_RANGES[field.type]}, or a \`param\`.`
  }
  const other = Object.keys(sizes).find((name) => !fields.includes(name))
  return other && `the dispatch gives size '${printable(other)}', which Sizes lacks.`
}

/** The numbers that a size of each type takes, in words. */
export const SIZE_RANGES: Readonly<Record<SizeField['type'], string>> = {
  u32: `a whole number from 0 to ${MOST} (u32)`,
  i32: `a whole number from ${-(2 ** 31)} to ${2 ** 31 - 1} (i32)`,
  f32: 'a finite number (f32)',
}

/** True if a value can be stored in a field of that type. An f32 may be rounded, but not to infinity. */
export function fitsSize(type: SizeField['type'], value: unknown): value is number {
  if (type === 'f32') return Number.isFinite(Math.fround(value as number)) && typeof value === 'number'
  const [least, most] = type === 'u32' ? [0, MOST] : [-(2 ** 31), 2 ** 31 - 1]
  return Number.isInteger(value) && (value as number) >= least && (value as number) <= most
}

function isParam(value: SizeValue): value is Param {
  if (typeof value !== 'object' || value === null) return false
  return typeof value.param === 'string' && Number.isInteger(value.plus)
}

function wrongGrid({ workgroups, flops, bytes }: Dispatch): string | undefined {
  const grid: readonly unknown[] = Array.isArray(workgroups) ? workgroups : [workgroups, 1, 1]
  if (grid.length !== 3 || !grid.every((n) => Number.isSafeInteger(n) && (n as number) >= 1)) {
    return `workgroups is ${describe(workgroups)}, expected a whole number from 1 on, or three of them.`
  }
  for (const [name, value] of Object.entries({ flops, bytes })) {
    if (name === 'bytes' && value === undefined) continue
    if (typeof value === 'number' && Number.isFinite(value) && value >= 0) continue
    return `${name} is ${describe(value)}, expected a number from 0 on: plans are cut into submissions by it.`
  }
  return undefined
}

/** The kernel of a dispatch, whatever was passed for it. */
export function isKernel(value: unknown): value is Kernel {
  return (
    typeof value === 'object' && value !== null && 'bindings' in value && 'sizes' in value && 'code' in value
  )
}
