// The owner of each pixel: the mask with the highest weighted probability there.

import maskOwnersShader from '#shaders/head/mask-owners.wgsl'
import { MOST } from '../../check.ts'
import { LimitError } from '../../errors.ts'
import { kernel } from '../../gpu/kernel.ts'
import type { SizeValue } from '../../gpu/recorder.ts'
import { perGroup, THREADS } from '../../kernels/grids.ts'
import { expectSize } from '../../tensor/check.ts'
import { expectShape, expectType, firstDim, record, type Tensor, tensor } from '../../tensor/tensor.ts'
import { type CanvasPlace, expectPlace, pixelsOf, placeSizes } from './place.ts'

/** Two counts a mask fit into the workgroup memory that every adapter has. */
const MOST_MASKS = 2048

/** The result of {@link maskOwners}. */
export interface Owners {
  /** u32 [ceil(height * width / 2)]: two owners per word, row-major, the first in the lower half. */
  readonly owners: Tensor
  /** u32 [groups, 2, N], to be added up over the groups: pixels that a mask owns, and pixels where it is likely. */
  readonly counts: Tensor
}

/**
 * owner(pixel) = argmax_q w[q], of equals the lowest, with w[q] = scores[q] sigmoid(mask q at the pixel). A mask is
 * likely where w[q] >= 0.5. With `within`, only masks with a logit above 0 at a pixel are compared, they are likely
 * there, and a pixel without any has the owner `count`.
 *
 * @param masks  [N, H * W] logits, place.map; at most 2,048 masks
 * @param scores [N], not negative
 * @param count  how many of the masks there are, 1 or more; the rest is padding. May be a `param`
 * @throws ShapeError if the shapes are others, LimitError for too many masks
 */
export function maskOwners(
  masks: Tensor,
  scores: Tensor,
  count: SizeValue,
  place: CanvasPlace,
  { within = false }: { readonly within?: boolean } = {},
): Owners {
  expectPlace('maskOwners', place)
  const [H, W] = place.map
  expectShape('maskOwners', 'masks', masks, [undefined, H * W])
  expectType('maskOwners', 'masks', masks, 'f32')
  const N = firstDim(masks)
  expectShape('maskOwners', 'scores', scores, [N])
  expectType('maskOwners', 'scores', scores, 'f32')
  const masksThatCount = expectSize('maskOwners', 'count', count, Math.min(N, MOST))
  if (N > MOST_MASKS) throw new LimitError(`maskOwners: ${N} masks, expected at most ${MOST_MASKS}.`)

  const pixels = pixelsOf(place)
  const words = Math.ceil(pixels / 2)
  const chunk = perGroup(words, THREADS)
  const groups = Math.ceil(words / chunk)
  const owners = tensor([words], 'u32')
  const counts = tensor([groups, 2, N], 'u32')
  record({
    kernel: kernel(maskOwnersShader, { MASKS: N, WG: THREADS }),
    reads: { x: masks, scores },
    writes: { owners, counts },
    sizes: { ...placeSizes(place), count: masksThatCount, within: Number(within), words, chunk },
    workgroups: [1, groups, 1],
    cut: 'first_group',
    flops: 60 * N * pixels,
  })
  return { owners, counts }
}
