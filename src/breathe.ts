// Long work in small steps, on a thread that has other work as well: timers, requests, a page's input.

/** A server or a page hardly notices so many milliseconds. */
const LONGEST_MS = 8

let since = 0
let turn: Promise<void> | undefined

/**
 * Lets other work of this thread in, if it has waited for a while; to be called between steps of a millisecond or so.
 *
 * @throws the signal's reason, if it was aborted meanwhile
 */
export async function breathe(signal?: AbortSignal): Promise<void> {
  const now = performance.now()
  if (turn === undefined && now - since > LONGEST_MS) {
    turn = nextTask().then(() => {
      since = performance.now()
      turn = undefined
    })
  }
  if (turn) await turn
  signal?.throwIfAborted()
}

/** Who gave up doesn't wait for work that can't be stopped. */
export async function orAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work
  work.catch(() => undefined)
  const { promise: aborted, forget } = abortOf(signal)
  try {
    return await Promise.race([work, aborted])
  } finally {
    forget()
  }
}

function abortOf(signal: AbortSignal): { promise: Promise<never>; forget: () => void } {
  let listener = (): void => undefined
  const promise = new Promise<never>((_, reject) => {
    listener = () => reject(signal.reason)
    if (signal.aborted) listener()
    signal.addEventListener('abort', listener)
  })
  return { promise, forget: () => signal.removeEventListener('abort', listener) }
}

/** Not by a timer where there is something better: pages in the background have theirs once a second. */
function nextTask(): Promise<void> {
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
