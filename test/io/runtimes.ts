// A function of a module, called in a process of another runtime.

import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { bunProgram } from '../bun/program.ts'

type Call = (...args: readonly string[]) => Promise<Record<string, string>>

/** @param name of the function that `file` exports */
export function inDeno(file: URL, name: string): Call {
  return called(
    process.execPath,
    [createRequire(import.meta.url).resolve('deno/bin.cjs'), 'eval'],
    file,
    name,
  )
}

/** The same in Bun. */
export function inBun(file: URL, name: string): Call {
  return called(bunProgram(), ['--eval'], file, name)
}

function called(program: string, how: readonly string[], file: URL, name: string): Call {
  return async (...args) => {
    const script = `import { ${name} } from ${JSON.stringify(fileURLToPath(file))}
    console.log(JSON.stringify(await ${name}(${args.map((arg) => JSON.stringify(arg)).join()})))
    process.exit(0)`
    const { stdout } = await promisify(execFile)(program, [...how, script])
    return JSON.parse(stdout) as Record<string, string>
  }
}
