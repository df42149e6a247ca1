// The time that work should take. By the roofline model, a kernel is bound by the multiply-adds it does or by the bytes
// that it must move, whichever takes longer (Williams, Waterman & Patterson 2009).

/** The facts of a dispatch that a plan reports. */
export interface Work {
  /** Floating-point operations; a multiply-add is two. */
  readonly flops: number
  /** The least bytes that must move: each operand read once, each result written once. */
  readonly bytes: number
}

/** An adapter, measured or from its data sheet. */
export interface Machine {
  /** The highest rate of f32 arithmetic; a multiply-add is two. */
  readonly flopsPerSecond: number
  /** The highest rate of memory, bytes read plus written. */
  readonly bytesPerSecond: number
  /** Each dispatch costs this much besides. */
  readonly dispatchSeconds: number
}

/** Seconds at the ceiling. */
export function idealSeconds({ flops, bytes }: Work, machine: Omit<Machine, 'dispatchSeconds'>): number {
  return Math.max(flops / machine.flopsPerSecond, bytes / machine.bytesPerSecond)
}

/** Seconds that dispatches take one after another at the ceiling, each with its cost of launching. */
export function predictSeconds(work: readonly Work[], machine: Machine): number {
  return work.reduce((sum, one) => sum + idealSeconds(one, machine) + machine.dispatchSeconds, 0)
}
