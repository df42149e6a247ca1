// The connector: turns outputs of SAM's encoder at three depths, all on one grid, into three feature maps at strides 8,
// 16 and 32.
//
// Each branch changes the channels, looks at the neighbours and changes the channels again, with a norm
// after each convolution and no activation anywhere; then the fine map trades channels for pixels and the
// coarse one pixels for channels.

import { entryOf } from '../../check.ts'
import { conv2d } from '../../ops/conv/conv.ts'
import { depthToSpace, spaceToDepth } from '../../ops/layout/layout.ts'
import { linear } from '../../ops/matmul/matmul.ts'
import { reshape, scope, type Tensor } from '../../tensor/tensor.ts'
import type { Weights } from '../checkpoint/weights.ts'
import { normed } from './layers.ts'

/** The epsilon of the norms over channels, whatever the rest of the model uses. */
const EPS = 1e-6

/**
 * @param taps outputs of the layers for the fine, middle and coarse map, each [H, W, C]
 * @param w    seg_connector.
 * @returns    from coarse to fine: [H/2, W/2, 4 c2], [H, W, c1], [2H, 2W, c0/4]
 */
export function connector(taps: readonly Tensor[], w: Weights): Tensor[] {
  const branches = taps.map((x, j) => scope(`branch ${j}`, () => branch(x, w.scope(`model.${j}.model.`))))
  const [fine, middle, coarse] = [entryOf(branches, 0), entryOf(branches, 1), entryOf(branches, 2)]
  return [spaceToDepth(coarse), middle, depthToSpace(fine)]
}

function branch(x: Tensor, w: Weights): Tensor {
  x = normed(pointwise(x, w.tensor('0.weight')), w.scope('1.'), EPS)
  x = normed(conv2d(x, w.tensor('2.weight'), { padding: 1 }), w.scope('3.'), EPS)
  return normed(pointwise(x, w.tensor('4.weight')), w.scope('5.'), EPS)
}

/** A 1x1 convolution is a linear layer over the channels. */
function pointwise(x: Tensor, weight: Tensor): Tensor {
  const [O = 0] = weight.shape
  return linear(x, reshape(weight, [O, weight.size / O]))
}
