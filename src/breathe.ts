// Long work in small steps, on a thread that has other work as well: timers, requests, a page's input.

/** A server or a page hardly notices so many milliseconds. */
const LONGEST_MS = 8

let since = 0
/** Settles once the caller that was let through last has done its step, up to where it awaits something. */
let step: Promise<void> = Promise.resolve()

/**
 * Lets other work of this thread in, if it has waited for a while; to be called between steps of a millisecond or so.
 *
 * @throws the signal's reason, if it was aborted meanwhile
 */
export async function breathe(signal?: AbortSignal): Promise<void> {
  // Several that wait are let through one by one: together, their steps would make one long turn
  const before = step
  let done = (): void => undefined
  step = new Promise((resolve) => (done = resolve))
  await before
  // A clock that was set back must not hold others up until it is where it was
  if (Math.abs(performance.now() - since) > LONGEST_MS) {
    await nextTask()
    since = performance.now()
  }
  // The caller goes on before the one that this wakes looks at the clock
  queueMicrotask(done)
  signal?.throwIfAborted()
}

/** A caller that gave up doesn't wait for work that can't be stopped; the work goes on. */
export async function orAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work
  let stop = (): void => undefined
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason)
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop)
  })
  try {
    return await Promise.race([aborted, work])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

/**
 * Settles once other work of this thread has had its turn. A timer is the last resort: pages in the background have
 * theirs once per second.
 */
export function nextTask(): Promise<void> {
  const { setImmediate, MessageChannel } = globalThis as Partial<typeof globalThis>
  if (setImmediate) return new Promise((done) => void setImmediate(done))
  if (!MessageChannel) return new Promise((done) => void setTimeout(done))
  return new Promise((done) => {
    const { port1, port2 } = new MessageChannel()
    port1.addEventListener('message', () => {
      port1.close()
      done()
    })
    port1.start()
    port2.postMessage(undefined)
  })
}
