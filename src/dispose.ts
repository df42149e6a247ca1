// `using scene = await model.look(image)` closes the scene at the end of its block.

/** Symbol.dispose; in runtimes without it, what compilers and polyfills of `using` take in its place. */
export const DISPOSE: typeof Symbol.dispose = Symbol.dispose ?? Symbol.for('Symbol.dispose')
