// The types that a weight can be stored as, and the facts of them that kernels need (shaders/lib/operands.wgsl).

import { ShapeError } from '../errors.ts'
import type { DType } from '../tensor/tensor.ts'

/** A type of weights on the device. */
export interface WeightTypeFacts {
  /** B_TYPE of the kernels. */
  readonly id: number
  /** The WGSL type that holds four values, and its words. */
  readonly vec4: { readonly type: string; readonly words: number }
  /** Values in 16 bytes. */
  readonly perTexel: number
  /** SCALE_GROUPS of the kernels: 0 without scales, 1 one per row, 2 one per 32 values. */
  readonly scaleGroups: 0 | 1 | 2
}

const ONE_WORD = { type: 'array<u32, 1>', words: 1 }

const TYPES: Partial<Record<DType, WeightTypeFacts>> = {
  f32: { id: 0, vec4: { type: 'vec4u', words: 4 }, perTexel: 4, scaleGroups: 0 },
  f16: { id: 1, vec4: { type: 'vec2u', words: 2 }, perTexel: 8, scaleGroups: 0 },
  bf16: { id: 2, vec4: { type: 'vec2u', words: 2 }, perTexel: 8, scaleGroups: 0 },
  int8: { id: 3, vec4: ONE_WORD, perTexel: 16, scaleGroups: 1 },
  // Half of the word
  int4: { id: 4, vec4: ONE_WORD, perTexel: 32, scaleGroups: 2 },
}

/** @throws ShapeError if no weight is stored as that */
export function weightType(dtype: DType): WeightTypeFacts {
  const type = TYPES[dtype]
  if (!type) throw new ShapeError(`A weight is f32, f16, bf16, int8 or int4, found ${dtype}.`)
  return type
}

/** Constants of a kernel that reads b in rows, by vec4 where they are aligned, else element by element. */
export function rowConstants(dtype: DType, aligned: boolean): Record<string, number | string> {
  const { id, vec4, scaleGroups } = weightType(dtype)
  const { type, words } = aligned ? vec4 : ONE_WORD
  return { B_TYPE: id, BWord: type, B_WORDS: words, SCALE_GROUPS: scaleGroups }
}

/** Constants of a kernel that reads b by texels. */
export function texelConstants(dtype: DType): { B_TYPE: number; SCALE_GROUPS: number; TURNS: number } {
  const { id, perTexel, scaleGroups } = weightType(dtype)
  return { B_TYPE: id, SCALE_GROUPS: scaleGroups, TURNS: perTexel / 4 }
}
