// Loops written out before the compiler sees them.
//
// An array of a thread's own stays in registers only while every index is a constant. Most drivers unroll short
// loops and get there by themselves; SwiftShader doesn't, and then reads and writes such arrays lane by lane
// (attention over 1,024 tokens: 0.65 GFLOP/s as loops, 6 written out; November 2026). So kernels mark the loops:
//
//   /*unroll*/ for (var c = 0u; c < D4; c++) { sum += q[c] * k[c]; }
//
// which is WGSL as it stands, and means the same before and after.

import { KernelError } from '../errors.ts'
import { type Constants, type Kernel, kernel } from '../gpu/kernel.ts'

const LOOP = /\/\*unroll\*\/\s*for \(var (\w+) = 0u; \1 < (\w+); \1\+\+\) \{/

const kernels = new Map<string, Kernel>()

/** A kernel with its marked loops written out; as cheap to call in every op as `kernel` itself. */
export function unrolled(name: string, source: string, constants: Constants): Kernel {
  const key = `${name} ${JSON.stringify(constants)}`
  let made = kernels.get(key)
  if (!made) {
    made = kernel(name, unroll(source, constants), constants)
    kernels.set(key, made)
  }
  return made
}

/**
 * Writes out the marked loops of a WGSL body, inner ones too. A body becomes one block a turn, with the counter
 * replaced by a number.
 *
 * @param constants  the kernel's prelude: bounds are named there, or are numbers
 */
export function unroll(source: string, constants: Constants): string {
  const loop = LOOP.exec(source)
  if (!loop) return source
  const [head, counter = '', bound = ''] = loop
  const turns = /^\d+u$/.test(bound) ? Number.parseInt(bound, 10) : constants[bound]
  if (typeof turns !== 'number') throw new KernelError(`unroll: the prelude has no number ${bound}.`)
  const open = loop.index + head.length
  const close = closingBrace(source, open)
  const body = unroll(source.slice(open, close), constants)
  const name = new RegExp(`\\b${counter}\\b`, 'g')
  const blocks = Array.from({ length: turns }, (_, i) => `{${body.replace(name, `${i}u`)}}`)
  return source.slice(0, loop.index) + blocks.join('\n') + unroll(source.slice(close + 1), constants)
}

/** Where the block that began before `from` ends. */
function closingBrace(source: string, from: number): number {
  let depth = 1
  for (let i = from; i < source.length; i++) {
    if (source[i] === '{') depth++
    if (source[i] === '}' && --depth === 0) return i
  }
  throw new KernelError('unroll: a marked loop has no end.')
}
