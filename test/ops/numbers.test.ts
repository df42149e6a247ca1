// The numbers by which kernels know a kind of something are the same in TypeScript and in WGSL.

import { expect, test } from 'vitest'
import { weightType } from '../../src/kernels/weight-types.ts'
import { BIAS } from '../../src/ops/attention/problem.ts'
import { ACTIVATIONS } from '../../src/ops/elementwise/activation.ts'

const sources = import.meta.glob<string>('../../shaders/lib/*.wgsl', {
  query: '?raw',
  import: 'default',
  eager: true,
})

/** The constants of a module that are plain numbers, `const GELU_TANH = 3u;`, by their names in TypeScript. */
function constantsOf(module: string): Record<string, number> {
  const text = sources[`../../shaders/lib/${module}.wgsl`]!
  const found = [...text.matchAll(/^const ([A-Z][A-Z0-9_]*) = (\d+)u;/gm)]
  const camel = (name: string): string =>
    name.toLowerCase().replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
  return Object.fromEntries(found.map(([, name = '', value]) => [camel(name), Number(value)]))
}

test('activations', () => {
  expect(constantsOf('activation')).toEqual(ACTIVATIONS)
})

test('kinds of attention bias, in the code and in the list above it', () => {
  const { causal, length, mask, relative, window } = constantsOf('attention_bias')
  expect({ causal, length, mask, relative, window }).toEqual(BIAS)
  const text = sources['../../shaders/lib/attention_bias.wgsl']!
  const listed = [...text.matchAll(/^\/\/ {3}(\d) ([A-Z]+) /gm)].map(([, n, kind = '']) => [
    kind.toLowerCase(),
    Number(n),
  ])
  expect(Object.fromEntries(listed)).toEqual({ none: 0, ...BIAS })
})

test('types of weights', () => {
  const types = ['f32', 'f16', 'bf16', 'int8', 'int4'] as const
  const ids = Object.fromEntries(types.map((type) => [type, weightType(type).id]))
  expect(constantsOf('operands')).toEqual(ids)
})
