// One event shape for everything that takes longer than a second, and one options bag to ask for it.

export interface Progress {
  /** Weights that come from a server are told as 'download' until they are on the device; others as 'upload'. 'wait': nothing is done until others are. */
  readonly phase: 'download' | 'upload' | 'compile' | 'run' | 'tune' | 'wait'
  /** What is being worked on: a file, a tensor, a kernel, a plan. */
  readonly what: string
  readonly loaded: number
  /** Known from the first event on; 0 while a server is waited for before anything of it is known. */
  readonly total: number
  /** Of a download: bytes that were kept from an earlier visit, and bytes that came over the network. */
  readonly from?: { readonly cache: number; readonly network: number }
  /** Of a download: the server is being waited for. */
  readonly waiting?: Waiting
}

export interface Waiting {
  /** It has no time and was asked to wait for, it sends nothing, or a request failed. */
  readonly reason: 'busy' | 'silent' | 'failed'
  /** Until it is asked again. */
  readonly seconds: number
}

export interface TaskOptions {
  readonly onProgress?: ((progress: Progress) => void) | undefined
  /** Honoured between steps; the rejection is the signal's own reason, untouched. */
  readonly signal?: AbortSignal | undefined
}
