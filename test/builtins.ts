// Functions of Node replaced while the tests of a file run. `vi.mock` doesn't reach modules that an earlier file loaded.

import { syncBuiltinESMExports } from 'node:module'
import { afterAll, beforeAll } from 'vitest'

/**
 * Everything that imports `name` from the module gets what `make` returns, which may call the original.
 *
 * @param module the default export of a module of Node
 */
export function replaceInNode<Module extends object, Name extends keyof Module>(
  module: Module,
  name: Name,
  make: (original: Module[Name]) => Module[Name],
): void {
  const original = module[name]
  beforeAll(() => {
    module[name] = make(original)
    syncBuiltinESMExports()
  })
  afterAll(() => {
    module[name] = original
    syncBuiltinESMExports()
  })
}
