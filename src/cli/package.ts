// The package's own files that come with the command, found from wherever this code was put.

import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { FlowSegError } from '../errors.ts'

/** A file or folder of the package: of the checkout, or of node_modules/flowseg. */
export function packagePath(...parts: string[]): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder)
    if (parent === folder)
      throw new FlowSegError('ERR_PACKAGE', 'The package of flowseg is incomplete: install it again.')
    folder = parent
  }
  return join(folder, ...parts)
}

/** The model that is used when none is named. */
export function defaultWeights(): string {
  return packagePath('weights', 'flowseg-nano')
}

/** The version in package.json. */
export async function packageVersion(): Promise<string> {
  const { version } = JSON.parse(await readFile(packagePath('package.json'), 'utf8')) as { version: string }
  return version
}
