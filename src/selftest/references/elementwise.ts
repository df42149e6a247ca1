// Elementwise ops and activations, in float64.

import type { Activation } from '../../ops/elementwise/activation.ts'
import { at } from './at.ts'

/** The binary ops, element by element. */
export const BINARY: Readonly<Record<'add' | 'sub' | 'mul', (a: number, b: number) => number>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
}

/** 1 / (1 + e^-x). */
export function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x))
}

/** Taylor's series: within 1e-9 up to 4, and 1 is within 2e-8 from there on. */
function erf(x: number): number {
  if (Math.abs(x) > 4) return Math.sign(x)
  let sum = 0
  for (let n = 0, term = x; n < 80; n++, term *= (-x * x) / n) sum += term / (2 * n + 1)
  return (2 / Math.sqrt(Math.PI)) * sum
}

/** The activations as their papers define them. */
export const ACTIVATION_FORMULAS: Readonly<Record<Activation, (x: number) => number>> = {
  none: (x) => x,
  relu: (x) => Math.max(x, 0),
  gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  geluTanh: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  silu: (x) => x * sigmoid(x),
  sigmoid,
  tanh: Math.tanh,
}

/** silu(gate) * up */
export function swigluReference(gate: ArrayLike<number>, up: ArrayLike<number>): Float64Array {
  return Float64Array.from({ length: gate.length }, (_, i) => at(gate, i) * sigmoid(at(gate, i)) * at(up, i))
}

/** sigmoid(gate) * a + (1 - sigmoid(gate)) * b */
export function mixReference(
  gate: ArrayLike<number>,
  a: ArrayLike<number>,
  b: ArrayLike<number>,
): Float64Array {
  return Float64Array.from({ length: a.length }, (_, i) => {
    const share = sigmoid(at(gate, i))
    return share * at(a, i) + (1 - share) * at(b, i)
  })
}
