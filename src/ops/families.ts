// All kernel families by name: for what people force by hand (variants.ts), where a slip should not pass as a choice.

import { attentionFamily } from './attention.ts'
import { convFamily } from './conv.ts'
import { matmulFamily } from './matmul.ts'
import { layerNormFamily, rmsNormFamily } from './norm.ts'
import { FORMS } from './panels.ts'
import { argmaxFamily, normalizeFamily, reduceFamily, softmaxFamily } from './reduce.ts'

const FAMILIES = [
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

/** What can be forced: variants by family, and the forms of weights. */
export const VARIANTS: ReadonlyMap<string, readonly string[]> = new Map<string, readonly string[]>([
  ...FAMILIES.map(({ name, variants }): [string, string[]] => [name, variants.map((v) => v.name)]),
  ['weights', FORMS],
])
