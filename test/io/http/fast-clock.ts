// A clock for those who wait for servers.

import type { Clock } from '../../../src/io/http/http.ts'

/** Forty times as fast as others. */
export class FastClock implements Clock {
  /** The waits so far in milliseconds, without the watchdog's ticks of two seconds. */
  readonly waits: number[] = []
  /** Timers that neither ran out nor were cancelled. */
  pending = 0

  now(): number {
    return Date.now()
  }

  after(ms: number, task: () => void): () => void {
    if (ms !== 2000) this.waits.push(ms)
    this.pending++
    let isPending = true
    const end = (): void => {
      if (isPending) this.pending--
      isPending = false
    }
    const timer = setTimeout(() => {
      end()
      task()
    }, ms / 40)
    return () => {
      clearTimeout(timer)
      end()
    }
  }
}
