// Cases of norms: rows of any length, of usual, large and small numbers, near zero and far from it.

import { groupNorm, layerNorm, rmsNorm } from '../../ops/norm/norm.ts'
import { type KernelCase, type KernelTest, kernelCase } from '../case.ts'
import type { Random } from '../random.ts'
import { at } from '../references/at.ts'
import { ACTIVATION_FORMULAS } from '../references/elementwise.ts'
import { groupNormReference, layerNormReference, rmsNormReference } from '../references/norm.ts'
import { ACTIVATION_NAMES } from './matmul.ts'

/** Some thousand f32 additions and a square root. */
const TOLERANCE = 1e-6
/** Squares of the extreme ones are no f32 numbers. With these, sums lose a few more bits. */
const SCALES = [3, 3, 3, 3.4e38, 1e30, 1e18, 1e-30]
const EXTREME_TOLERANCE = 1e-5

function drawRows(random: Random): [rows: number, C: number] {
  return random.pick([
    () => random.sizes(40_000, 1100, 700),
    () => [random.size(5), random.size(2600)],
    () => [random.whole(1000, 8000), random.size(7)],
  ])() as [number, number]
}

function drawRmsNorm(random: Random): KernelCase {
  const [rows, C] = drawRows(random)
  const scale = random.pick(SCALES)
  const [x, weight] = [random.tensor([rows, C], scale), random.tensor([C])]
  return kernelCase({
    shape: `${rows} x ${C}${scale === 3 ? '' : ` of ${scale}`}`,
    inputs: { x, weight },
    run: (t) => rmsNorm(t.x, t.weight, 1e-6),
    reference: () => rmsNormReference(x.data, C, weight.data, 1e-6),
    tolerance: scale === 3 ? TOLERANCE : EXTREME_TOLERANCE,
  })
}

function drawLayerNorm(random: Random): KernelCase {
  const [rows, C] = drawRows(random)
  const scale = random.pick(SCALES)
  const x = random.tensor([rows, C], scale)
  const hasResidual = scale === 3 && random.flip()
  const residual = random.tensor([rows, C], 3)
  const [weight, bias] = [random.tensor([C]), random.tensor([C])]
  return kernelCase({
    shape: `${rows} x ${C}${scale === 3 ? '' : ` of ${scale}`}${hasResidual ? ', residual' : ''}`,
    inputs: { x, residual, weight, bias },
    run: (t) => layerNorm(t.x, t.weight, t.bias, 1e-6, hasResidual ? { residual: t.residual } : {}),
    reference: () => {
      // The sum is rounded to f32 once, as in the kernel
      const sum = x.data.map((v, i) => (hasResidual ? v + at(residual.data, i) : v))
      return layerNormReference(sum, C, weight.data, bias.data, 1e-6)
    },
    tolerance: scale === 3 ? TOLERANCE : EXTREME_TOLERANCE,
  })
}

function drawGroupNorm(random: Random): KernelCase {
  const groups = random.pick([1, 2, 3, 5, 8, 32])
  const channels = random.pick([1, 2, 3, 4, 8])
  const C = groups * channels
  const pixels = random.size(1100)
  const scale = random.pick(SCALES)
  const activation = random.flip() ? random.pick(ACTIVATION_NAMES) : 'none'
  const x = random.tensor([pixels, C], scale)
  const [weight, bias] = [random.tensor([C]), random.tensor([C])]
  return kernelCase({
    shape: `${pixels} x ${C} in ${groups} groups${scale === 3 ? '' : ` of ${scale}`}${activation === 'none' ? '' : `, ${activation}`}`,
    inputs: { x, weight, bias },
    run: (t) => groupNorm(t.x, groups, t.weight, t.bias, 1e-5, { activation }),
    reference: () =>
      groupNormReference(x.data, C, groups, weight.data, bias.data, 1e-5).map(
        ACTIVATION_FORMULAS[activation],
      ),
    tolerance: scale === 3 ? TOLERANCE : EXTREME_TOLERANCE,
  })
}

/** The tests of the ops in src/ops/norm. */
export const NORM: readonly KernelTest[] = [
  { name: 'rmsNorm', draw: drawRmsNorm },
  { name: 'layerNorm', draw: drawLayerNorm },
  { name: 'groupNorm', draw: drawGroupNorm },
]
