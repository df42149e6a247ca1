/** Whether this runtime has files: Node, and Deno and Bun, which also say that they are Node. Browsers have none. */
export function hasFiles(): boolean {
  return typeof globalThis.process?.versions?.node === 'string'
}
