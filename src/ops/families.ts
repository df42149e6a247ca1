// All kernel families, for what has something to say of each.

import type { KernelFamily } from '../kernels/variants.ts'
import { attentionFamily } from './attention/attention.ts'
import { convFamily } from './conv/conv.ts'
import { matmulFamily } from './matmul/matmul.ts'
import { layerNormFamily, rmsNormFamily } from './norm/norm.ts'
import { argmaxFamily, normalizeFamily, reduceFamily, softmaxFamily } from './reduce/reduce.ts'

/** Every kernel family, by its name and its variants; problems are known to each family only. */
export const KERNEL_FAMILIES: readonly Pick<KernelFamily<never>, 'name' | 'variants'>[] = [
  matmulFamily,
  convFamily,
  attentionFamily,
  layerNormFamily,
  rmsNormFamily,
  softmaxFamily,
  reduceFamily,
  argmaxFamily,
  normalizeFamily,
]
