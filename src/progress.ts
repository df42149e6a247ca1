// One event shape for everything that takes longer than a second, and one options bag to ask for it.

export interface Progress {
  readonly phase: 'upload' | 'compile' | 'run' | 'tune'
  /** What is being worked on: a file, a tensor, a kernel, a plan. */
  readonly what: string
  readonly loaded: number
  /** Known from the first event on. */
  readonly total: number
}

export interface TaskOptions {
  readonly onProgress?: ((progress: Progress) => void) | undefined
  /** Honoured between steps; the rejection is the signal's own reason, untouched. */
  readonly signal?: AbortSignal | undefined
}
