// Labels of pixels, from masks and their weights for each class. A map of all classes at the image's size
// would take gigabytes, so this goes strip by strip: probabilities of all masks at the pixels of a strip, a matrix
// product with the weights, and for each pixel the largest.

import labelPixelsShader from '#shaders/head/label-pixels.wgsl'
import maskProbabilitiesF32 from '#shaders/head/mask-probabilities.wgsl'
import maskProbabilitiesVec4 from '#shaders/head/mask-probabilities.wgsl?VEC4'
import { expectWhole } from '../../check.ts'
import { LimitError, ShapeError } from '../../errors.ts'
import { kernel } from '../../gpu/kernel.ts'
import { type ByWidth, widthOf } from '../../kernels/elem.ts'
import { groupsFor, THREADS } from '../../kernels/grids.ts'
import {
  expectShape,
  expectType,
  firstDim,
  lastDim,
  record,
  reshape,
  type Tensor,
  tensor,
} from '../../tensor/tensor.ts'
import { transpose } from '../layout/layout.ts'
import { matmul } from '../matmul/matmul.ts'
import { type CanvasPlace, expectPlace, onCanvas, pixelsOf, placeSizes } from './place.ts'

const maskProbabilitiesShader: ByWidth = { 1: maskProbabilitiesF32, 4: maskProbabilitiesVec4 }

/** Labels of 16 bits. */
const MOST_CLASSES = 2 ** 16
/** Most bytes of a strip's probabilities, and of its classes. A strip has two rows at least. */
const STRIP_BYTES = 2 ** 25

/** Rows [first, first + rows) of a map. */
interface MapStrip {
  readonly first: number
  readonly rows: number
}

/** Options of {@link maskLabels}. */
export interface LabelOptions {
  /** The grid on which masks are added up: of the canvas, whose sums are then resized, or the image's own. */
  readonly grid: 'canvas' | 'image'
  /** Bytes of a strip's probabilities, 32 MiB by default. */
  readonly stripBytes?: number
}

/**
 * label(pixel) = argmax_k sum_q weights[q, k] sigmoid(mask q at the pixel), of equals the lowest
 *
 * @param masks   [N, H * W] logits, place.map
 * @param weights [N, K], at most 65,536 classes
 * @returns       u32 [ceil(height * width / 2)]: two labels per word, row-major, the first in the lower half
 * @throws ShapeError if the shapes are others, LimitError for too many classes
 */
export function maskLabels(
  masks: Tensor,
  weights: Tensor,
  place: CanvasPlace,
  options: LabelOptions,
): Tensor {
  expectPlace('maskLabels', place)
  const [H, W] = place.map
  expectShape('maskLabels', 'masks', masks, [undefined, H * W])
  expectType('maskLabels', 'masks', masks, 'f32')
  const N = firstDim(masks)
  expectShape('maskLabels', 'weights', weights, [N, undefined])
  expectType('maskLabels', 'weights', weights, 'f32')
  const { grid, stripBytes = STRIP_BYTES } = options
  expectWhole('maskLabels', 'stripBytes', stripBytes)
  const K = lastDim(weights)
  if (K > MOST_CLASSES)
    throw new LimitError(`maskLabels: ${K} classes, at most ${MOST_CLASSES} fit into 16 bits.`)

  const queriesLast = reshape(transpose(masks), [H, W, N]) // the queries of a pixel lie side by side
  const source = grid === 'canvas' ? onCanvas(place) : place
  const labels = tensor([Math.ceil(pixelsOf(place) / 2)], 'u32')
  for (const { target, from } of stripsOf(source, place, stripBytes / (4 * Math.max(N, K)))) {
    const probabilities = maskProbabilities(queriesLast, source, from)
    const classes = matmul(probabilities, weights) // [pixels of the strip, K]
    labelPixels(classes, labels, { source: source.size, from }, { size: place.size, strip: target })
  }
  return labels
}

/**
 * Strips of the image, an even number of rows each as two labels share a word, and the rows of the source that they
 * read.
 *
 * @param pixels of the source that a strip may have
 */
function stripsOf(
  source: CanvasPlace,
  place: CanvasPlace,
  pixels: number,
): { target: MapStrip; from: MapStrip }[] {
  const [height] = place.size
  const [sourceHeight, sourceWidth] = source.size
  const scale = sourceHeight / height
  // A strip of n rows reads at most n * scale + 2 rows
  const room = Math.floor((pixels / sourceWidth - 2) / scale / 2) * 2
  const step = Math.max(2, room)
  const at = (row: number): number => Math.min(Math.max((row + 0.5) * scale - 0.5, 0), sourceHeight - 1)
  const strips: { target: MapStrip; from: MapStrip }[] = []
  for (let first = 0; first < height; first += step) {
    const rows = Math.min(step, height - first)
    // One more on either side: the kernel's places are f32
    const top = Math.max(0, Math.floor(at(first)) - 1)
    const bottom = Math.min(sourceHeight, Math.floor(at(first + rows - 1)) + 3)
    strips.push({ target: { first, rows }, from: { first: top, rows: bottom - top } })
  }
  return strips
}

/**
 * sigmoid of every mask at the pixels of some rows.
 *
 * @param masks [H, W, N] logits
 * @returns     [rows * width, N]
 */
function maskProbabilities(masks: Tensor, place: CanvasPlace, { first, rows }: MapStrip): Tensor {
  expectPlace('maskProbabilities', place)
  const [H, W] = place.map
  expectShape('maskProbabilities', 'masks', masks, [H, W, undefined])
  expectType('maskProbabilities', 'masks', masks, 'f32')
  expectWhole('maskProbabilities', 'first', first, 0)
  expectWhole('maskProbabilities', 'rows', rows)
  const [height, width] = place.size
  if (first + rows > height) {
    throw new ShapeError(`maskProbabilities: rows ${first} to ${first + rows} of ${height}.`)
  }
  const N = lastDim(masks)
  const elem = widthOf(N)
  const pixels = rows * width
  const y = tensor([pixels, N])
  record({
    kernel: kernel(maskProbabilitiesShader[elem], { WG: THREADS }),
    reads: { x: masks },
    writes: { y },
    sizes: { ...placeSizes(place), span: N / elem, first_row: first, pixels },
    workgroups: groupsFor(y.size / elem),
    flops: 60 * y.size,
  })
  return y
}

/** The labels of the target's strip, from a strip of the source; see shaders/head/label-pixels.wgsl. */
function labelPixels(
  classes: Tensor,
  labels: Tensor,
  { source, from }: { readonly source: CanvasPlace['size']; readonly from: MapStrip },
  { size: [height, width], strip }: { readonly size: CanvasPlace['size']; readonly strip: MapStrip },
): void {
  const K = lastDim(classes)
  const [crop_height, crop_width] = source
  const [first, end] = [strip.first * width, (strip.first + strip.rows) * width]
  record({
    kernel: kernel(labelPixelsShader, { WG: THREADS }),
    reads: { x: classes },
    writes: { y: labels },
    sizes: { crop_height, crop_width, height, width, classes: K, first_source: from.first, first, end },
    workgroups: groupsFor((end - first) / 2),
    flops: 10 * K * (end - first),
  })
}
