// The families of ops: the folders of src/ops.

export const OP_FAMILIES = [
  'matmul',
  'conv',
  'attention',
  'norm',
  'elementwise',
  'reduce',
  'layout',
  'image',
  'head',
] as const
export type OpFamily = (typeof OP_FAMILIES)[number]
