// Bun's program itself, as in tools/test.mjs. The one in .bin is made by an install script, which npm may not
// have run.

import { placeOf } from '../runtime.ts'

/** Its path. */
export function bunProgram(): string {
  const platform = { win32: 'windows' as const }[process.platform as 'win32'] ?? process.platform
  const arch = { arm64: 'aarch64' as const }[process.arch as 'arm64'] ?? process.arch
  const name = process.platform === 'win32' ? 'bun.exe' : 'bun'
  return placeOf(`node_modules/@oven/bun-${platform}-${arch}/bin/${name}`)
}
