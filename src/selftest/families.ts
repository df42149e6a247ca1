// The families of ops: the folders of src/ops.

/** The families of ops that {@link selfTest} covers. */
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
/** One of the families of ops. */
export type OpFamily = (typeof OP_FAMILIES)[number]
