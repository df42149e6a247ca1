// Plans that are ready, for sizes that vary: prompts of other lengths, images of other sizes.
//
// A plan owns memory and takes a while to compile, so the few that were used last are kept and the rest is
// released. Whoever gets a plan runs it before others get theirs, or it may be released meanwhile: let one
// task in at a time (queue.ts).

import type { PlanInfo } from '../gpu/plan/plan.ts'
import type { Plan } from '../tensor/plan.ts'

/** Plans for sizes that vary, the most recently used few. */
export class PlanCache {
  readonly #plans = new Map<string, Plan>()
  readonly #capacity: number

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  /** @param key names the kind of the plan as well: two plans with other outputs never share one */
  async get<P extends Plan>(key: string, make: () => Promise<P>): Promise<P> {
    const plan = (this.#plans.get(key) as P | undefined) ?? (await make())
    // A Map keeps insertion order: what was used last stands last
    this.#plans.delete(key)
    this.#plans.set(key, plan)
    for (const [oldest, unused] of this.#plans) {
      if (this.#plans.size <= this.#capacity) break
      unused.release()
      this.#plans.delete(oldest)
    }
    return plan
  }

  /** The descriptions of its plans, the least recently used first. */
  infos(): PlanInfo[] {
    return [...this.#plans.values()].map(({ info }) => info)
  }

  /** Releases all of them; the next `get` makes its plan anew. */
  clear(): void {
    for (const cached of this.#plans.values()) cached.release()
    this.#plans.clear()
  }
}
