// The page's side of the model's worker: a promise a request, with progress and cancelling.

import type { Failure, FromWorker, RequestName, Requests, Step, ToWorker } from '../common/protocol.ts'

/** A failure of the worker's, with the code of the engine's error. */
export class RemoteError extends Error {
  readonly code: string

  constructor({ name, code, message }: Failure) {
    super(message)
    this.name = name
    this.code = code
  }
}

/** A way to give a request up, and to watch it. */
export interface AskOptions {
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: Step) => void) | undefined
  /** Called with each new piece of an answer in words. */
  readonly onText?: ((text: string) => void) | undefined
}

interface Waiting {
  readonly resolve: (answer: never) => void
  readonly reject: (error: unknown) => void
  readonly onProgress: AskOptions['onProgress']
  readonly onText: AskOptions['onText']
}

/** The model's worker, as promises: a request, and its answer or a RemoteError. */
export class ModelClient {
  /** The device was lost while nobody waited for it. */
  onLost: (error: RemoteError) => void = () => undefined
  readonly #worker = new Worker(new URL('../worker/worker.ts', import.meta.url), {
    type: 'module',
    name: 'model',
  })
  readonly #waiting = new Map<number, Waiting>()
  #last = 0
  /** The worker could not be started: nothing will be answered. */
  #broken: RemoteError | undefined

  constructor() {
    this.#worker.addEventListener('message', ({ data }: MessageEvent<FromWorker>) => this.#take(data))
    this.#worker.addEventListener('error', (event) => {
      const message = event.message || "The page's worker could not be started."
      const failure = new RemoteError({ name: 'Error', code: 'ERR_WORKER', message })
      this.#broken = failure
      for (const { reject } of this.#waiting.values()) reject(failure)
      this.#waiting.clear()
    })
  }

  /** @throws RemoteError, or the signal's reason */
  ask<K extends RequestName>(
    name: K,
    ask: Requests[K]['ask'],
    { signal, onProgress, onText }: AskOptions = {},
  ): Promise<Requests[K]['answer']> {
    const id = ++this.#last
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      if (this.#broken) return reject(this.#broken)
      this.#waiting.set(id, { resolve, reject, onProgress, onText })
      this.#send({ type: 'ask', id, name, ask } as ToWorker)
      signal?.addEventListener(
        'abort',
        () => {
          if (!this.#waiting.delete(id)) return
          this.#send({ type: 'cancel', id })
          reject(signal.reason)
        },
        { once: true },
      )
    })
  }

  #send(message: ToWorker): void {
    this.#worker.postMessage(message, [])
  }

  #take(message: FromWorker): void {
    if (message.type === 'lost') return this.onLost(new RemoteError(message.failure))
    const waiting = this.#waiting.get(message.id)
    if (!waiting) return // cancelled meanwhile
    if (message.type === 'progress') return waiting.onProgress?.(message.progress)
    if (message.type === 'text') return waiting.onText?.(message.text)
    this.#waiting.delete(message.id)
    if (message.type === 'answer') waiting.resolve(message.answer as never)
    else waiting.reject(new RemoteError(message.failure))
  }
}
