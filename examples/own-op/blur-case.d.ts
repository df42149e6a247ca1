import type { KernelTest } from 'flowseg/engine'

export function blurred(x: ArrayLike<number>, shape: readonly [number, number, number], radius: number): number[]
export const blurTest: KernelTest
