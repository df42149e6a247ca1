// `using scene = await model.look(image)` closes the scene at the end of its block.

/** Symbol.dispose; in runtimes without it, what compilers and polyfills of `using` take in its place. */
export const DISPOSE: typeof Symbol.dispose = Symbol.dispose ?? Symbol.for('Symbol.dispose')

/** Has `using` close things of this class. */
export function closeWhenDisposed(prototype: { close(): void }): void {
  Object.defineProperty(prototype, DISPOSE, {
    value: function (this: { close(): void }) {
      this.close()
    },
  })
}
