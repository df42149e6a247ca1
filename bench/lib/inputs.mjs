// A case's inputs as arrays, made alike in every process.
//
// Each is { shape, values } with the numbers in f32 as the reference sees them, and by its type also the stored
// form: `bits` for f16 and bf16, `quants`, `scales`, `block` and `limit` for int8 and int4.

import { quantised, toBf16, toF16, uniform } from './random.mjs'

export const sizeOf = (shape) => shape.reduce((product, n) => product * n, 1)

/** @returns by name; every random input has about unit variance times `scale` */
export function makeInputs(spec) {
  return Object.fromEntries(
    Object.entries(spec.inputs).map(([name, { shape, dtype = 'f32', scale = 1, make }]) => {
      const stream = `${spec.name} ${name}`
      if (make) return [name, { shape, dtype, values: make(stream, sizeOf(shape)) }]
      if (dtype === 'int8') {
        const block = shape[1]
        return [name, { shape, dtype, limit: 127, block, ...quantised(stream, shape, { limit: 127, block }) }]
      }
      if (dtype === 'int4') {
        return [
          name,
          { shape, dtype, limit: 7, block: 32, ...quantised(stream, shape, { limit: 7, block: 32 }) },
        ]
      }
      const values = uniform(stream, sizeOf(shape), scale)
      if (dtype === 'f16') return [name, { shape, dtype, ...toF16(values) }]
      if (dtype === 'bf16') return [name, { shape, dtype, ...toBf16(values) }]
      return [name, { shape, dtype, values }]
    }),
  )
}
