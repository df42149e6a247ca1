import type { Tensor } from 'flowseg/engine'

export function blur(x: Tensor, radius: number): Tensor
