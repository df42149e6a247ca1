// The turns of tools/test-variants.mjs: which variants of the kernel families are forced together.

/** Ops along rows, each a family of its own. */
function rows(variant) {
  const families = ['layerNorm', 'rmsNorm', 'softmax', 'reduce', 'argmax', 'normalizeRows']
  return families.map((family) => `${family}=${variant}`).join(' ')
}

/** What FLOWSEG_VARIANTS is in each turn. Together they have every variant but the default type of tiles. */
export const TURNS = [
  `weights=rows matmul=registers conv=registers attention=registers ${rows('thread')}`,
  `weights=rows matmul=subgroup attention=subgroup ${rows('shared')}`,
  'weights=packed matmul=subgroup conv=subgroup attention=subgroup',
  'weights=rows matmul=tiled conv=tiled attention=tiled',
  'weights=rows matmul=gemv',
  'weights=rows matmul=tiled conv=tiled tiles=f16',
]
