// Tasks one at a time, on things that can't be shared at the same time: a model's plans and their memory.
//
// There are two lanes, each in the order of asking. Calls on scenes that are open go before looks: they finish what is
// begun, and so free memory, while every look takes more. After a task, looks wait until the callers have had a turn of
// the event loop: a caller that got a scene just now asks it first. A task that fails is its caller's concern alone.

import { nextTask } from '../breathe.ts'

/** The lane of a call: scene calls go first, and a number of them may pass a look that waits. */
export type Lane = 'scene' | 'look'

/** Scene calls in a row while a look waits: an endless stream on one scene must not keep all others out. */
const MAX_PASSES = 32

/** The place of a call in the queue: its lane, and what drops it before its turn. */
export interface QueueEntry {
  /** Whether it works on an open scene or makes one. */
  readonly lane: Lane
  /** The scene that the call works on: closing it drops the calls that still wait for it. */
  readonly owner?: object | undefined
  /** Leaves the queue when it is aborted; a task that runs looks at it itself. */
  readonly signal?: AbortSignal | undefined
  /**
   * Asked before the task begins, and again after other tasks and `wake`.
   *
   * @param alone whether no other call waits
   * @returns 0 when it may begin; else after how many milliseconds it is to be asked again at the latest
   * @throws what the call is to be rejected with
   */
  readonly hold?: ((alone: boolean) => number) | undefined
}

interface Call extends QueueEntry {
  readonly start: () => Promise<void>
  readonly refuse: (reason: unknown) => void
}

/** Lets one task in at a time. */
export class Queue {
  readonly #lanes: Readonly<Record<Lane, Call[]>> = { scene: [], look: [] }
  readonly #afterwards: (() => void)[] = []
  #running: Lane | undefined
  /** Scene calls since the first look of those that wait became the first. */
  #passes = 0
  /** The callers have not had their turn since the last task. */
  #resting = false
  #timer: ReturnType<typeof setTimeout> | undefined

  /** Calls that wait or run. */
  get pending(): number {
    return this.pendingIn('scene') + this.pendingIn('look')
  }

  /** Calls of one lane that wait or run. */
  pendingIn(lane: Lane): number {
    return this.#lanes[lane].length + (this.#running === lane ? 1 : 0)
  }

  /** @throws the signal's reason, what `hold` throws, what `drop` was given, or what the task throws */
  run<T>(entry: QueueEntry, task: () => Promise<T>): Promise<T> {
    const { lane, signal } = entry
    return new Promise<T>((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason as Error)
      const leave = (): void => this.#refuse((one) => one === call, signal?.reason)
      const call: Call = {
        ...entry,
        start: async () => {
          signal?.removeEventListener('abort', leave)
          try {
            resolve(await task())
          } catch (error) {
            reject(error)
          }
        },
        refuse: (reason) => {
          signal?.removeEventListener('abort', leave)
          reject(reason)
        },
      }
      signal?.addEventListener('abort', leave, { once: true })
      this.#lanes[lane].push(call)
      this.#advance()
    })
  }

  /** Rejects what waits: all of it, or what works on `owner`. */
  drop(reason: unknown, owner?: object): void {
    this.#refuse((one) => owner === undefined || one.owner === owner, reason)
  }

  /** Frees what tasks share: at once if none runs, else after the one that does. */
  afterwards(work: () => void): void {
    if (this.#running) this.#afterwards.push(work)
    else work()
  }

  /** Asks again whether a look that is held may begin. */
  wake(): void {
    this.#advance()
  }

  #refuse(which: (one: Call) => boolean, reason: unknown): void {
    const refused: Call[] = []
    for (const lane of Object.values(this.#lanes)) {
      refused.push(...lane.filter(which))
      lane.splice(0, lane.length, ...lane.filter((one) => !refused.includes(one)))
    }
    for (const one of refused) one.refuse(reason)
    this.#advance()
  }

  #advance(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    while (!this.#running) {
      const next = this.#next()
      if (!next) return
      this.#lanes[next.lane].shift()
      this.#passes = next.lane === 'look' || this.#lanes.look.length === 0 ? 0 : this.#passes + 1
      void this.#take(next)
    }
  }

  async #take({ lane, start }: Call): Promise<void> {
    this.#running = lane
    try {
      await start()
    } finally {
      this.#running = undefined
      for (const work of this.#afterwards.splice(0)) work()
      this.#resting = true
      void nextTask().then(() => {
        this.#resting = false
        this.#advance()
      })
      this.#advance()
    }
  }

  /** The call that begins now, if there is one that may. */
  #next(): Call | undefined {
    const { scene, look } = this.#lanes
    if (this.#passes < MAX_PASSES && scene[0]) return scene[0]
    return this.#mayLook() ? look[0] : scene[0]
  }

  #mayLook(): boolean {
    for (let first = this.#lanes.look[0]; first; first = this.#lanes.look[0]) {
      if (this.#resting && this.#passes < MAX_PASSES) return false
      try {
        const ms = first.hold?.(this.pending === 1) ?? 0
        if (ms > 0) this.#timer = setTimeout(() => this.#advance(), ms)
        return ms === 0
      } catch (error) {
        this.#lanes.look.shift()
        first.refuse(error)
      }
    }
    return false
  }
}
