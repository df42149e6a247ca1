// What a step does to the host while it runs: memory of arrays and objects, and holds of the event loop.

import { existsSync, openSync, readSync } from 'node:fs'
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'

/** What loading did to the host. */
export interface HostUse {
  /** The most bytes that arrays and heap took, sampled, less what there was before. */
  readonly hostPeak: number
  /** Milliseconds: the longest that the event loop was held. */
  readonly loopMs: number
  /** Milliseconds: the most that this thread computed between two turns of it, without what else the machine did. */
  readonly loopOwnMs: number
}

/** Watches memory and the event loop until it is called. */
export function watchHost(): () => HostUse {
  const now = (): number => {
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  }
  const before = now()
  let most = before
  const loop = monitorEventLoopDelay({ resolution: 5 })
  loop.enable()
  const timer = setInterval(() => (most = Math.max(most, now())), 20)
  let [longest, last] = [0, threadMs()]
  const turns = setInterval(() => {
    const computed = threadMs()
    longest = Math.max(longest, computed - last)
    last = computed
  }, 2)
  return () => {
    clearInterval(timer)
    clearInterval(turns)
    loop.disable()
    return { hostPeak: most - before, loopMs: loop.max / 1e6, loopOwnMs: longest }
  }
}

const SCHEDULED = '/proc/thread-self/schedstat'
const scheduled = existsSync(SCHEDULED) ? openSync(SCHEDULED, 'r') : undefined
const digits = new Uint8Array(64)
const [SPACE, ZERO] = [0x20, 0x30]

/**
 * Milliseconds that this thread has computed; where the system doesn't tell, those that went by. It makes nothing that
 * would have to be collected.
 */
function threadMs(): number {
  if (scheduled === undefined) return performance.now()
  readSync(scheduled, digits, 0, digits.length, 0)
  let nanoseconds = 0
  for (const digit of digits) {
    if (digit === SPACE) break
    nanoseconds = 10 * nanoseconds + digit - ZERO
  }
  return nanoseconds / 1e6
}
