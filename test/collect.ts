// Garbage collection on demand, for tests of what stays in host memory.

import { runtime } from './runtime.ts'

/** Collects all garbage. Undefined where the runtime has no way to ask for it: outside of Node. */
export const collect: (() => void) | undefined = runtime === 'node' ? await collector() : undefined

async function collector(): Promise<() => void> {
  const [{ setFlagsFromString }, { runInNewContext }] = await Promise.all([
    import('node:v8'),
    import('node:vm'),
  ])
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
}
