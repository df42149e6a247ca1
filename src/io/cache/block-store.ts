// Storage for blocks: folders of small files, one folder deep, in the browser's origin private file system
// (opfs-store.ts) or in the cache folder of the user (disk-store.ts).

/** A store of small files in folders, which may refuse to keep them. */
export interface BlockStore {
  /** The store's name at the beginning of a sentence, for notes: 'The browser'. */
  readonly name: string
  /** The names of its folders; none if all was cleared. */
  folders(): Promise<string[]>
  /** The names of a folder's files; none if the folder isn't there. */
  files(folder: string): Promise<string[]>
  /** Undefined if it isn't there, has more than `maxBytes`, or can't be read. */
  read(folder: string, file: string, maxBytes: number): Promise<Uint8Array<ArrayBuffer> | undefined>
  /** @throws StoreError */
  makeFolder(folder: string): Promise<void>
  /**
   * Replaces a file. What is left of one that was interrupted is found by its hash.
   *
   * @throws StoreError
   */
  write(folder: string, file: string, parts: readonly Uint8Array<ArrayBuffer>[]): Promise<void>
  /** Never fails: a file that isn't there, or can't be removed, is passed over. */
  removeFile(folder: string, file: string): Promise<void>
  /**
   * Removes a folder with all its files. @throws StoreError 'elsewhere' if it is gone, 'taken' if somebody is writing
   * there
   */
  removeFolder(folder: string): Promise<void>
  /** A sentence without its end: 'The disk is full'. */
  describeFull(): Promise<string>
  /** Asks that what is kept isn't evicted. @returns false if nobody promises that */
  persist(): Promise<boolean>
}

/**
 * - full:      there is no space
 * - taken:     somebody else is writing this file
 * - elsewhere: somebody else has cleared the folder
 * - unable:    nothing can be written here, ever, and this is usual
 * - other:     as the message says
 */
export class StoreError extends Error {
  /** The kind of refusal, as above. */
  readonly why: 'full' | 'taken' | 'elsewhere' | 'unable' | 'other'

  /** @param message as reasonOf makes it */
  constructor(why: StoreError['why'], message: string, cause: unknown) {
    super(message, { cause })
    this.why = why
  }
}
