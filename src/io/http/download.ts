// All files of a load as one progress, whose total is known when it is first told.

import type { Progress, Waiting } from '../../progress.ts'

/** Bytes between two reports. */
const STEP_BYTES = 256 * 1024

/** The bytes of all files of a load: how many there are, how many have come, and from where. */
export class Download {
  readonly #onProgress: ((progress: Progress) => void) | undefined
  #total = 0
  #fromCache = 0
  #fromNetwork = 0
  #skipped = 0
  #told = -1
  #hasBegun = false

  constructor(onProgress?: (progress: Progress) => void) {
    this.#onProgress = onProgress
  }

  /** Bytes of files on servers. */
  get total(): number {
    return this.#total
  }

  /** True once all files are open, so that the total is final and progress is reported. */
  get hasBegun(): boolean {
    return this.#hasBegun
  }

  /** A file was opened. */
  add(bytes: number): void {
    this.#total += bytes
  }

  /** All files are open: from here on the total stays, and progress is reported. */
  begin(what: string): void {
    this.#hasBegun = true
    this.#tell(what)
  }

  /** Sets all counts to zero, to load anew. */
  reset(): void {
    this.#total = this.#fromCache = this.#fromNetwork = this.#skipped = 0
    this.#told = -1
    this.#hasBegun = false
  }

  /** Bytes of a block that an earlier visit had kept. */
  cameFromCache(file: string, bytes: number): void {
    this.#fromCache += bytes
    this.#tell(file)
  }

  /** @param bytes fewer than none, when they must come again */
  cameFromNetwork(file: string, bytes: number): void {
    this.#fromNetwork += bytes
    this.#tell(file)
  }

  /** Nobody needs these bytes: they are no part of the total, or count as loaded if that was reported already. */
  skip(file: string, bytes: number): void {
    if (this.#hasBegun) this.#skipped += bytes
    else this.#total -= bytes
    this.#tell(file)
  }

  /** A server is waited for; also before the total is known, when it is 0. */
  waits(file: string, waiting: Waiting): void {
    const total = this.#hasBegun ? this.#total : 0
    const loaded = this.#hasBegun ? Math.max(0, this.#told) : 0
    const from = { cache: this.#fromCache, network: this.#fromNetwork }
    this.#onProgress?.({ phase: 'download', what: file, loaded, total, from, waiting })
  }

  #tell(what: string): void {
    const loaded = this.#fromCache + this.#fromNetwork + this.#skipped
    const isDue = this.#told < 0 || loaded - this.#told >= STEP_BYTES || loaded === this.#total
    if (!this.#hasBegun || this.#total === 0 || loaded <= this.#told || !isDue) return
    this.#told = loaded
    const from = { cache: this.#fromCache, network: this.#fromNetwork }
    this.#onProgress?.({ phase: 'download', what, loaded, total: this.#total, from })
  }
}
