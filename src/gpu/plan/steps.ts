// Turns a recording into steps: the launches of a plan, in order, with their kernels. An output that no step writes is
// refused.

import { breathe } from '../../breathe.ts'
import { UsageError } from '../../errors.ts'
import { printable } from '../../printable.ts'
import type { Gpu } from '../gpu.ts'
import type { Kernel } from '../kernel.ts'
import type { RecordedDispatch, Recorder, Storage } from '../recorder.ts'
import { layOut, type MemoryLayout } from './liveness.ts'
import { checkBindings, cut, type DispatchPiece } from './schedule.ts'

/** A millisecond or two. */
const DISPATCHES_PER_TURN = 64

/** A recording and its outputs, from which a plan is made. */
export interface PlanSpec {
  /** The plan's name, for messages and for the owner of its memory. */
  readonly name: string
  /** The recording, with the dispatches and the inputs that they read. */
  readonly recorder: Recorder
  /** Read back to host memory at the end of each run. */
  readonly read: ReadonlyMap<string, Storage>
  /** Become the caller's at the end of each run, in buffers of their own or in those that the run names. */
  readonly keep: ReadonlyMap<string, Storage>
}

/** One launch: a dispatch, or a piece of one whose grid was cut. */
export interface RecordedStep extends DispatchPiece {
  /** The dispatch as it was recorded, shared by the pieces that its grid was cut into. */
  readonly dispatch: RecordedDispatch
  /** The dispatch's kernel, or its in-place variant where liveness allows it. */
  readonly kernel: Kernel
  /** The arena's slot that holds its sizes: its own index among the steps. */
  readonly slot: number
  /** The storages whose buffer can be another one in each run: bound tensors and kept outputs. */
  readonly external: readonly Storage[]
}

/**
 * In-place variants chosen, long grids cut, folded past the adapter's limit. A large plan has two thousand dispatches,
 * and others of this thread their turn in between.
 */
export async function stepsOf(
  gpu: Gpu,
  spec: PlanSpec,
  signal?: AbortSignal,
): Promise<{ layout: MemoryLayout; steps: RecordedStep[] }> {
  await breathe(signal)
  checkWrites(spec)
  const { dispatches } = spec.recorder
  const kept = new Set(spec.keep.values())
  const layout = layOut(dispatches, new Set([...spec.read.values(), ...kept]))
  const steps: RecordedStep[] = []
  for (const [index, dispatch] of dispatches.entries()) {
    if (index % DISPATCHES_PER_TURN === 0) await breathe(signal)
    const inPlace = layout.inPlace.has(index)
    const kernel = inPlace ? dispatch.kernel.with({ IN_PLACE: true }) : dispatch.kernel
    const external = externals(dispatch, kept)
    for (const piece of cut(dispatch, gpu)) {
      steps.push({ dispatch, kernel, slot: steps.length, external, ...piece })
    }
    checkBindings(dispatch, gpu)
  }
  return { layout, steps }
}

/** The resident storages that a plan reads or writes, one per buffer or texture. */
export function residentsOf({ recorder, read }: PlanSpec): Storage[] {
  const all = recorder.dispatches.flatMap(({ reads, writes }) => [
    ...Object.values(reads),
    ...Object.values(writes),
  ])
  const byMemory = new Map<GPUBuffer | GPUTexture | undefined, Storage>()
  for (const storage of [...all, ...read.values()]) {
    if (storage?.kind === 'resident') byMemory.set(storage.buffer ?? storage.texture, storage)
  }
  return [...byMemory.values()]
}

function externals(dispatch: RecordedDispatch, kept: ReadonlySet<Storage>): Storage[] {
  const all = [...Object.values(dispatch.reads), ...Object.values(dispatch.writes)]
  return all.filter((s): s is Storage => s !== undefined && (s.kind === 'bound' || kept.has(s)))
}

/** Nothing may read an intermediate that nothing wrote: it would find what another tensor left there. */
function checkWrites({ name, recorder, read, keep }: PlanSpec): void {
  const plan = printable(name)
  const written = new Set<Storage>()
  for (const { kernel, scope, reads, writes } of recorder.dispatches) {
    for (const [binding, storage] of Object.entries(reads)) {
      if (storage?.kind !== 'intermediate' || written.has(storage)) continue
      throw new UsageError(
        `Plan ${plan}${scope && `, ${scope}`}: kernel ${kernel.name} reads '${binding}' before anything writes it. ` +
          'What `tensor` makes is empty until a dispatch writes it.',
      )
    }
    for (const storage of Object.values(writes)) written.add(storage)
  }
  for (const [output, storage] of [...read, ...keep]) {
    if (storage.kind !== 'intermediate' || written.has(storage)) continue
    throw new UsageError(`Plan ${plan}: nothing writes output '${printable(output)}'.`)
  }
  if (new Set(keep.values()).size < keep.size) {
    const names = [...keep.keys()].map((output) => printable(output))
    throw new UsageError(`Plan ${plan}: two kept outputs are one tensor; keep it once (${names.join(', ')}).`)
  }
}
