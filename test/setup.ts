// Before each test file: what it ran on is noted for the table that `npm test` ends with (tools/tally.ts), and what
// helpers left is cleaned up after each test.

import { afterEach } from 'vitest'
import { cleanUpAll } from './leftovers.ts'
import { openedAdapters } from './opened.ts'
import { runtime } from './runtime.ts'

declare module 'vitest' {
  interface TaskMeta {
    ranOn?: { runtime: string; adapters: { name: string; driver: string }[] }
  }
}

afterEach(async ({ task }) => {
  await cleanUpAll()
  task.file.meta.ranOn = { runtime: describeRuntime(), adapters: await openedAdapters() }
})

/** With the version, and the implementation of WebGPU that this runtime is here to test. */
function describeRuntime(): string {
  if (runtime === 'browser') {
    const [, name, version] = /(Chrome|Firefox)\/(\d+)/.exec(navigator.userAgent) ?? []
    return `${name?.replace('Chrome', 'Chromium')} ${version}`
  }
  const { deno, node } = process.versions
  return deno ? `Deno ${deno}, wgpu` : `Node ${node}, Dawn`
}
