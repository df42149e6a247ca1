// Tasks one after another, on what can't be shared at the same time: a model's plans and their memory.
//
// A task that fails is its caller's concern alone: the next one comes in all the same. Freeing what the tasks
// share is no task: it happens at once if there are none, or else once they are done.

/** Lets one task in at a time, in the order of asking. */
export class Turnstile {
  #last: Promise<unknown> = Promise.resolve()
  #inside = 0

  async take<T>(task: () => Promise<T>): Promise<T> {
    this.#inside++
    const mine = this.#last.then(task)
    this.#last = mine.catch(() => undefined)
    try {
      return await mine
    } finally {
      this.#inside--
    }
  }

  /** At once if nobody is inside or waits, else after them. */
  afterwards(work: () => void): void {
    if (this.#inside === 0) work()
    else this.#last = this.#last.then(work)
  }
}
