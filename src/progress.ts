// The progress of everything that takes longer than a second: one type of event, and the options to ask for it.

/** The progress of a task that takes longer than a second. */
export interface Progress {
  /** The step: weights from a server are a 'download' until they are on the device, others an 'upload'. */
  readonly phase: 'download' | 'upload' | 'compile' | 'run' | 'tune' | 'test'
  /** The file, tensor, kernel or plan that is being worked on. */
  readonly what: string
  /** Bytes of a download or an upload; otherwise a count of kernels, dispatches or measurements. */
  readonly loaded: number
  /** Known from the first event on; 0 while a server is waited for before anything of it is known. */
  readonly total: number
  /** The bytes of a download that were kept from an earlier visit, and those that came over the network. */
  readonly from?: {
    /** Bytes from an earlier visit. */
    readonly cache: number
    /** Bytes from the network. */
    readonly network: number
  }
  /** The phase doesn't go on for now: something else is waited for. */
  readonly waiting?: Waiting
}

/** The reason why a task waits. */
export interface Waiting {
  /**
   * Of a download:
   * - busy:    the server has no time, and asks to be waited for
   * - silent:  the server sends nothing
   * - failed:  a request failed
   *
   * Of a run:
   * - scenes:  as many scenes are open as may be; a look waits for one to be closed
   */
  readonly reason: 'busy' | 'silent' | 'failed' | 'scenes'
  /** Seconds until it is tried again, at the latest. */
  readonly seconds: number
}

/** The options by which a call is followed and aborted. */
export interface TaskOptions {
  /** Called with each step. */
  readonly onProgress?: ((progress: Progress) => void) | undefined
  /** Honoured between steps; the rejection is the signal's own reason, untouched. */
  readonly signal?: AbortSignal | undefined
}
