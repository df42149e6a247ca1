// Samples a map at the points of regions, into the rows that stand for them in a prompt: X-SAM's vision sampler, which
// has no weights.

import sampleF32 from '#shaders/head/sample-regions.wgsl'
import sampleVec4 from '#shaders/head/sample-regions.wgsl?VEC4'
import { expectNames, expectNoMore } from '../../check.ts'
import { kernel } from '../../gpu/kernel.ts'
import { type ByWidth, widthOf } from '../../kernels/elem.ts'
import { groupsFor, THREADS } from '../../kernels/grids.ts'
import { expectKind, oneOf } from '../../options.ts'
import { expectShape, expectType, record, type Tensor, tensor } from '../../tensor/tensor.ts'

const sampleShader: ByWidth = { 1: sampleF32, 4: sampleVec4 }
const POOL = oneOf('max', 'mean')

/** Options of `sampleRegions`. */
export interface SampleRegionsOptions {
  /** A row has the maxima, or the means, of its points. */
  readonly pool: 'max' | 'mean'
}

/**
 * Rows that stand for regions of a map: y[r] = max or mean over p of the map at points[r, p], between cells bilinear.
 *
 * @param map    [H, W, C]
 * @param points [R, P, 2]: (x, y) in cells; (0, 0) is the centre of the first, and what lies outside counts as the
 *               nearest border
 * @returns      [R, C]
 * @throws ShapeError if the shapes are others
 *
 * Source: spec of the tasks, 4.3; grid_sample of PyTorch with align_corners.
 */
export function sampleRegions(map: Tensor, points: Tensor, options: SampleRegionsOptions): Tensor {
  expectNoMore('sampleRegions', arguments, 3)
  expectShape('sampleRegions', 'map', map, [undefined, undefined, undefined])
  expectShape('sampleRegions', 'points', points, [undefined, undefined, 2])
  for (const [name, x] of Object.entries({ map, points })) expectType('sampleRegions', name, x, 'f32')
  expectNames('sampleRegions', options, ['pool'])
  expectKind('sampleRegions: pool', options.pool, POOL)
  const [H = 0, W = 0, C = 0] = map.shape
  const [R = 0, P = 0] = points.shape

  const width = widthOf(C)
  const y = tensor([R, C])
  record({
    kernel: kernel(sampleShader[width], { MAXIMUM: options.pool === 'max', WG: THREADS }),
    reads: { map, points },
    writes: { y },
    sizes: { height: H, width: W, cols: C / width, rows: R, count: P },
    workgroups: groupsFor((R * C) / width),
    flops: 9 * P * R * C,
    bytes: 4 * (4 * P * R * C + R * C),
  })
  return y
}
