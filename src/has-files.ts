/**
 * True if this runtime has a file system: Node, and Deno and Bun, which report a version of Node too. Browsers have
 * none.
 */
export function hasFiles(): boolean {
  return typeof globalThis.process?.versions?.node === 'string'
}
