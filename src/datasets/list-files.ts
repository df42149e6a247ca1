// The files that list a data set: read whole, as text, and hashed.

import { createHash, type Hash } from 'node:crypto'
import { reasonOf } from '../printable.ts'
import { FileProblem, readRegular } from '../regular-file.ts'
import { damagedData } from './faults.ts'

/** V8 holds no longer text. */
const MAX_LIST_BYTES = 500 * 2 ** 20

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** Reads the files that list a data set. */
export class ListFiles {
  readonly #name: string
  readonly #hash: Hash = createHash('sha256')
  readonly #signal: AbortSignal
  /** The full paths of the files that were read. */
  readonly paths: string[] = []

  /** @param name the data set, as the user typed it */
  constructor(name: string, signal: AbortSignal) {
    this.#name = name
    this.#signal = signal
  }

  /** SHA-256 of all that was read. */
  get fingerprint(): string {
    return this.#hash.copy().digest('hex')
  }

  /**
   * @param what the file, in messages
   * @param others encodings besides UTF-8 that older files of this layout have
   * @throws FlowSegError 'ERR_DATASET'
   */
  async text(path: string, what: string, others: readonly string[] = []): Promise<string> {
    const bytes = await this.bytes(path, what)
    try {
      return utf8.decode(bytes)
    } catch (cause) {
      const [other] = others
      if (other !== undefined) return new TextDecoder(other).decode(bytes)
      throw damagedData(this.#name, `${what} is not UTF-8. Save it as UTF-8.`, { cause })
    }
  }

  /** @throws FlowSegError 'ERR_DATASET' */
  async bytes(path: string, what: string): Promise<Uint8Array<ArrayBuffer>> {
    this.paths.push(path)
    try {
      const bytes = await readRegular(path, MAX_LIST_BYTES, this.#signal)
      this.#hash.update(`${bytes.length} `).update(bytes)
      return bytes
    } catch (cause) {
      if (!(cause instanceof FileProblem)) throw cause
      throw damagedData(this.#name, `${what} ${cause.message}.`, { cause })
    }
  }

  /** @throws FlowSegError 'ERR_DATASET' */
  async json(path: string, what: string, others: readonly string[] = []): Promise<unknown> {
    const text = await this.text(path, what, others)
    try {
      return JSON.parse(text)
    } catch (cause) {
      throw damagedData(this.#name, `${what} is no JSON: ${reasonOf(cause)}. Write it again.`, { cause })
    }
  }
}
