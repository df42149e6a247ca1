// While kernels are moved to shaders that are linked.
import { type Constants, type Kernel, textKernel } from '../gpu/kernel.ts'
import { unroll } from '../gpu/unroll.ts'

const kernels = new Map<string, Kernel>()

export function unrolled(name: string, source: string, constants: Constants): Kernel {
  const key = `${name} ${JSON.stringify(constants)}`
  let made = kernels.get(key)
  if (!made) kernels.set(key, (made = textKernel(name, unroll(source, constants), constants)))
  return made
}
