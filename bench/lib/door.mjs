// The parts of the engine that the bench takes: opening it, its software driver, and every function of every op file,
// under its own name. An op that doesn't exist yet is simply absent, and its cases say so.

export { softwareDriver } from '../../src/gpu/adapters/software-driver.ts'
export { openGpu } from '../../src/gpu/gpu.ts'

const files = import.meta.glob('../../src/{ops,tensor,kernels}/**/*.ts', { eager: true })
export const ops = Object.assign({}, ...Object.values(files))
