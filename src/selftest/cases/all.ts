// Every op of the engine, by family: the folders of src/ops.

import type { KernelTest } from '../case.ts'
import type { OpFamily } from '../families.ts'
import { ATTENTION } from './attention.ts'
import { CONV } from './conv.ts'
import { ELEMENTWISE } from './elementwise.ts'
import { HEAD } from './head.ts'
import { IMAGE } from './image.ts'
import { LAYOUT } from './layout.ts'
import { MATMUL } from './matmul.ts'
import { NORM } from './norm.ts'
import { REDUCE } from './reduce.ts'

/** The tests of all ops, by family. */
export const KERNEL_TESTS: Readonly<Record<OpFamily, readonly KernelTest[]>> = {
  matmul: MATMUL,
  conv: CONV,
  attention: ATTENTION,
  norm: NORM,
  elementwise: ELEMENTWISE,
  reduce: REDUCE,
  layout: LAYOUT,
  image: IMAGE,
  head: HEAD,
}
