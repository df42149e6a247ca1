// The plans behind answers that have several masks. Each goes from mask logits straight to what is asked: a mask with
// its quality, refined logits, a label or an owner per pixel.

import { maskLabels } from '../../ops/head/mask-labels.ts'
import { maskOwners } from '../../ops/head/mask-owners.ts'
import { maskQuality } from '../../ops/head/mask-quality.ts'
import type { CanvasPlace } from '../../ops/head/place.ts'
import type { Inputs, Outputs, Tensors } from '../../tensor/plan.ts'
import { param, type Tensor } from '../../tensor/tensor.ts'
import { type Config, finestSize } from '../checkpoint/config.ts'
import { type ImageSize, imageBits, type Parts, queryMask } from '../plans.ts'

/** The place of an image among the mask logits. */
export function placeOf({ width, height, scaled }: ImageSize, config: Config): CanvasPlace {
  const { image: side } = config.sam
  return { map: finestSize(config), canvas: [side, side], crop: scaled, size: [height, width] }
}

/**
 * Runs once per mask of several. In and bound: as of finishPlan. Read: `bits`, one per pixel of the image, and
 * `certainty`, the sum of their probabilities.
 */
export function instancePlan(
  inputs: Inputs,
  image: ImageSize,
  parts: Parts,
): Outputs<Tensors & { readonly bits: Tensor; readonly certainty: Tensor }> {
  const { logits, watches } = queryMask(inputs, parts)
  const bits = imageBits(logits, image, parts.config)
  const certainty = maskQuality(logits, bits, placeOf(image, parts.config))
  return { read: { ...watches, bits, certainty } }
}

/** Runs once per query that is kept, with boundary refinement. In and bound: as of finishPlan. Read: `refined`. */
export function refinePlan(inputs: Inputs, parts: Parts): Outputs<Tensors & { readonly refined: Tensor }> {
  const { logits, watches } = queryMask(inputs, parts)
  return { read: { ...watches, refined: logits } }
}

/**
 * Runs once per list of categories. In: `masks` [N, H * W] logits, and `weights` [N, K], probabilities of classes.
 * Read: `labels`, two per word.
 */
export function semanticPlan(
  { input }: Inputs,
  image: ImageSize,
  K: number,
  { config }: Pick<Parts, 'config'>,
): Outputs<Tensors & { readonly labels: Tensor }> {
  const [H, W] = finestSize(config)
  const { queries } = config.head
  const masks = input('masks', [queries, H * W])
  const weights = input('weights', [queries, K])
  // X-SAM's AAAI branch adds up on its canvas and resizes the sums, its main branch resizes the masks first
  const grid = config.compat === 'main' ? 'image' : 'canvas'
  return { read: { labels: maskLabels(masks, weights, placeOf(image, config), { grid }) } }
}

/**
 * Runs once per list of categories. In: `masks` [rows, H * W] logits and `scores` [rows] of the queries that are kept;
 * params: `count`, how many these are. Read: `owners`, two per word, and `counts` [groups, 2, rows].
 *
 * @param rows   padding included
 * @param within whether pixels outside of all masks are nobody's
 */
export function panopticPlan(
  { input }: Inputs,
  image: ImageSize,
  rows: number,
  within: boolean,
  { config }: Pick<Parts, 'config'>,
): Outputs<Tensors & { readonly owners: Tensor; readonly counts: Tensor }> {
  const [H, W] = finestSize(config)
  const masks = input('masks', [rows, H * W])
  const owners = maskOwners(masks, input('scores', [rows]), param('count'), placeOf(image, config), {
    within,
  })
  return { read: { ...owners } }
}
