// The activation functions that kernels can apply on their way out; numbers as in shaders/lib/activation.wgsl.

import { expectKind, oneOf } from '../../options.ts'

/** The activations by name, with their numbers in shaders/lib/activation.wgsl. */
export const ACTIVATIONS = { none: 0, relu: 1, gelu: 2, geluTanh: 3, silu: 4, sigmoid: 5, tanh: 6 } as const

/** `gelu` is the exact form with erf (SAM, the projectors), `geluTanh` its approximation (SigLIP). */
export type Activation = keyof typeof ACTIVATIONS

const ACTIVATION = oneOf(...Object.keys(ACTIVATIONS))

/** @throws UsageError if it is no activation */
export function expectActivation(op: string, activation: unknown): void {
  expectKind(`${op}: activation`, activation, ACTIVATION)
}
