// Cases of the model's head: cosines with classes, masks of pixels, bytes of masks, labels and owners of pixels, rows
// of regions.

import { cosineLogits } from '../../ops/head/cosine.ts'
import { maskLabels } from '../../ops/head/mask-labels.ts'
import { maskOwners } from '../../ops/head/mask-owners.ts'
import { maskBytes, maskPixels } from '../../ops/head/mask-pixels.ts'
import { maskQuality } from '../../ops/head/mask-quality.ts'
import type { CanvasPlace } from '../../ops/head/place.ts'
import { sampleRegions } from '../../ops/head/sample-regions.ts'
import { type KernelCase, type KernelTest, kernelCase } from '../case.ts'
import { type HostTensor, hostTensor, type Random } from '../random.ts'
import { at } from '../references/at.ts'
import {
  bitOf,
  cosineReference,
  labelSumsReference,
  maskBytesReference,
  maskQualityReference,
  ownershipReference,
  sampleRegionsReference,
} from '../references/head.ts'
import { resizeReference } from '../references/image.ts'

function drawCosine(random: Random): KernelCase {
  const [rows, cols] = random.sizes(60_000, 300, 260) as [number, number]
  const count = random.whole(1, 3)
  const scale = random.pick([1, 1, 1e-6, 1e6, 3e38, 1e-11])
  const bound = random.pick([500, 5])
  const x = random.tensor([rows, cols], scale)
  const classes = random.tensor([count, cols], scale > 1e30 ? 1e25 : 0.5)
  const logit = hostTensor(Float32Array.of(2.6593), [1])
  return kernelCase({
    shape: `${rows} x ${cols} of ${scale}, ${count} classes, bound ${bound}`,
    inputs: { x, classes, logit },
    run: (t) => cosineLogits(t.x, t.classes, t.logit, bound),
    reference: () => cosineReference(x.data, classes.data, cols, Math.exp(Math.fround(2.6593)), bound),
    tolerance: 1e-5, // sums of at most 260 products of either sign
  })
}

/** Positions up to 128 are good to 1e-5 in f32: a logit nearer to 0 than this may fall on either side. */
const UNSURE = 1e-4

function drawMaskPixels(random: Random): KernelCase {
  const [H, W] = [random.size(128), random.size(128)]
  const crop = [random.whole(1, H), random.whole(1, W)] as const
  const size = random.sizes(60_000, 300, 450) as [number, number]
  const x = random.tensor([H, W])
  const spoilt = x.data.map((v, i) => (Math.floor(i / W) < crop[0] && i % W < crop[1] ? v : 1e6))
  return kernelCase({
    shape: `${crop.join(' x ')} of ${H} x ${W} to ${size.join(' x ')}`,
    inputs: { x: hostTensor(spoilt, [H, W]) },
    run: (t) => maskPixels(t.x, crop, size),
    reference: () => resizeReference(x.data, [1, H, W, 1], size, crop),
    // The share of pixels that are wrong; bits past the last pixel are 0
    measure: (bits, logits) => {
      if (bits.length !== Math.ceil(logits.length / 32)) return Infinity
      let wrong = 0
      for (let i = 0; i < 32 * bits.length; i++) {
        const logit = logits[i]
        if (logit === undefined) wrong += bitOf(bits, i)
        else if (Math.abs(logit) > UNSURE && bitOf(bits, i) !== Number(logit > 0)) wrong++
      }
      return wrong / logits.length
    },
    tolerance: 0,
  })
}

function drawMaskBytes(random: Random): KernelCase {
  const [height, width] = random.sizes(130_000, 300, 450) as [number, number]
  const rowBytes = 4 * Math.ceil(width / 4) + 4 * random.whole(0, 3)
  const bits = Uint32Array.from({ length: Math.ceil((height * width) / 32) }, () => random.word())
  return kernelCase({
    shape: `${height} x ${width} in rows of ${rowBytes}`,
    inputs: { bits: hostTensor(bits, [bits.length]) },
    run: (t) => maskBytes(t.bits, [height, width], rowBytes),
    reference: () => new Uint32Array(maskBytesReference(bits, [height, width], rowBytes).buffer),
    tolerance: 0,
  })
}

/** An image of at most so many pixels, whose masks go to it by way of a canvas that may be smaller or larger. */
function drawPlace(random: Random, pixels: number): CanvasPlace {
  const map = [random.size(33), random.size(33)] as const
  const canvas = random.sizes(pixels, 130, 130) as [number, number]
  const crop = [random.whole(1, canvas[0]), random.whole(1, canvas[1])] as const
  return { map, canvas, crop, size: random.sizes(pixels, 130, 130) as [number, number] }
}

function placeText({ map, canvas, crop, size }: CanvasPlace): string {
  return `${map.join(' x ')} on ${crop.join(' x ')} of ${canvas.join(' x ')} to ${size.join(' x ')}`
}

function drawMaskQuality(random: Random): KernelCase {
  const place = drawPlace(random, 12_000)
  const logits = random.tensor(place.map, random.pick([4, 40]))
  const pixels = place.size[0] * place.size[1]
  const inside = random.pick([0, 1, 2])
  const bits = Uint32Array.from({ length: Math.ceil(pixels / 32) }, (_, w) => {
    const word = [0, random.word(), 0xffff_ffff][inside] ?? 0
    const past = 32 * (w + 1) - pixels
    return past > 0 ? (word << past) >>> past : word
  })
  return kernelCase({
    shape: `${placeText(place)}, ${['nothing', 'half', 'all'][inside]} inside`,
    inputs: { logits, bits: hostTensor(bits, [bits.length]) },
    run: (t) => maskQuality(t.logits, t.bits, place),
    reference: () => Float64Array.of(maskQualityReference(logits.data, bits, place)),
    tolerance: 2e-5, // places on a canvas of 130 are good to 1e-5, and logits of 40 are steep
  })
}

/** Values nearer to each other than this may fall on either side: places in f32, times the steepness of the logits. */
const TIED = 2e-4

/** The entry of row i of [rows, count] with the largest value, of equals the first, and that value. */
function winnerOf(values: ArrayLike<number>, i: number, count: number): { first: number; value: number } {
  let [first, value] = [0, at(values, i * count)]
  for (let k = 1; k < count; k++) {
    if (at(values, i * count + k) > value) [first, value] = [k, at(values, i * count + k)]
  }
  return { first, value }
}

/** Entry i of those that are packed by two into words. */
function packedAt(words: ArrayLike<number>, i: number): number {
  return (at(words, i >>> 1) >>> (16 * (i & 1))) & 0xffff
}

/** The half of the last word behind the last pixel, which must be 0. */
function tailOf(words: ArrayLike<number>, pixels: number): number {
  return pixels % 2 === 1 ? at(words, words.length - 1) >>> 16 : 0
}

/** The share of pixels whose packed entry is not the winner nor tied with it. */
function wrongShare(words: ArrayLike<number>, values: ArrayLike<number>, pixels: number): number {
  const count = values.length / pixels
  if (words.length !== Math.ceil(pixels / 2)) return Infinity
  let wrong = 0
  for (let i = 0; i < pixels; i++) {
    const entry = packedAt(words, i)
    const { first, value } = winnerOf(values, i, count)
    if (entry >= count || (entry !== first && at(values, i * count + entry) < value - TIED)) wrong++
  }
  return wrong / pixels + tailOf(words, pixels)
}

function drawMaskLabels(random: Random): KernelCase {
  const place = drawPlace(random, 2_000)
  const N = random.size(33)
  const K = random.pick([1, 2, 3, 17, 40])
  const grid = random.pick(['canvas', 'image'] as const)
  const stripBytes = random.pick([2 ** 12, 2 ** 15, 2 ** 25])
  const masks = random.tensor([N, place.map[0] * place.map[1]], 4)
  const weights = hostTensor(random.floats(N * K).map(Math.abs), [N, K])
  const pixels = place.size[0] * place.size[1]
  return kernelCase({
    shape: `${N} masks ${placeText(place)}, ${K} classes on the ${grid}, strips of ${stripBytes}`,
    inputs: { masks, weights },
    run: (t) => maskLabels(t.masks, t.weights, place, { grid, stripBytes }),
    reference: () => labelSumsReference(masks.data, weights.values, place, grid),
    measure: (labels, sums) => wrongShare(labels, sums, pixels),
    tolerance: 0,
  })
}

function ownersCase(random: Random): OwnersCase {
  const place = drawPlace(random, 4_000)
  const N = random.size(40)
  const count = random.whole(1, N)
  const masks = random.tensor([N, place.map[0] * place.map[1]], 8)
  const scores = hostTensor(random.floats(N).map(Math.abs), [N])
  const within = random.pick([false, true])
  const shape = `${count} of ${N} masks ${placeText(place)}${within ? ', within masks' : ''}`
  return { N, place, shape, within, draw: { masks, scores, count } }
}

interface OwnersCase {
  readonly N: number
  readonly place: CanvasPlace
  readonly shape: string
  readonly within: boolean
  readonly draw: OwnersInputs
}

interface OwnersInputs {
  readonly masks: HostTensor & { readonly data: Float32Array }
  readonly scores: HostTensor
  readonly count: number
}

function ownership({ masks, scores, count }: OwnersInputs, place: CanvasPlace): Float64Array {
  const area = place.map[0] * place.map[1]
  const values = Array.from(scores.values).slice(0, count)
  return ownershipReference(masks.data.subarray(0, count * area), values, place)
}

/** By how much the weight of mask q at pixel i is above that of a logit of 0; Infinity if every mask takes part. */
function marginOf(values: ArrayLike<number>, i: number, q: number, { draw, within }: OwnersCase): number {
  return within ? at(values, i * draw.count + q) - at(draw.scores.values, q) / 2 : Infinity
}

/** The weight and the mask of the likeliest owner of pixel i, of equals the first; -1 and `count` if there is none. */
function ownerOf(
  values: ArrayLike<number>,
  i: number,
  one: OwnersCase,
  margin: number,
): { first: number; value: number } {
  const { count } = one.draw
  let [first, value] = [count, -1]
  for (let q = 0; q < count; q++) {
    const w = at(values, i * count + q)
    if (w > value && marginOf(values, i, q, one) > margin) [first, value] = [q, w]
  }
  return { first, value }
}

function drawMaskOwners(random: Random): KernelCase {
  const one = ownersCase(random)
  const { place, shape, within, draw } = one
  const pixels = place.size[0] * place.size[1]
  const { masks, scores, count } = draw
  return kernelCase({
    shape,
    inputs: { masks, scores },
    run: (t) => maskOwners(t.masks, t.scores, count, place, { within }).owners,
    reference: () => ownership(draw, place),
    measure: (owners, values) => {
      if (owners.length !== Math.ceil(pixels / 2)) return Infinity
      let wrong = 0
      for (let i = 0; i < pixels; i++) {
        const owner = packedAt(owners, i)
        const { value } = ownerOf(values, i, one, TIED) // the best of those that take part for sure
        const isRight =
          owner < count
            ? marginOf(values, i, owner, one) > -TIED && at(values, i * count + owner) >= value - TIED
            : owner === count && value < 0
        if (!isRight) wrong++
      }
      return wrong / pixels + tailOf(owners, pixels)
    },
    tolerance: 0,
  })
}

function drawMaskCounts(random: Random): KernelCase {
  const one = ownersCase(random)
  const { N, place, shape, within, draw } = one
  const pixels = place.size[0] * place.size[1]
  const { masks, scores, count } = draw
  return kernelCase({
    shape,
    inputs: { masks, scores },
    run: (t) => maskOwners(t.masks, t.scores, count, place, { within }).counts,
    reference: () => ownership(draw, place),
    // The share of pixels that are counted too often or too seldom, but for those that may fall on either side
    measure: (counts, values) => {
      const totals = new Float64Array(2 * N)
      for (let i = 0; i < counts.length; i++) totals[i % (2 * N)] = at(totals, i % (2 * N)) + at(counts, i)
      let may = 0
      for (let i = 0; i < pixels; i++) {
        const { first, value } = ownerOf(values, i, one, 0)
        if (first < count) totals[first] = at(totals, first) - 1
        for (let q = 0; q < count; q++) {
          const w = at(values, i * count + q)
          const margin = marginOf(values, i, q, one)
          const likely = within ? margin : w - 0.5
          if (within ? likely > 0 : likely >= 0) totals[N + q] = at(totals, N + q) - 1
          if (Math.abs(likely) < TIED) may++
          if (Math.abs(margin) < TIED || (q !== first && margin > 0 && w > value - TIED)) may += 2
        }
      }
      const wrong = totals.reduce((sum, n) => sum + Math.abs(n), 0)
      return Math.max(0, wrong - may) / pixels
    },
    tolerance: 0,
  })
}

function drawSampleRegions(random: Random): KernelCase {
  const [H, W, C] = [random.size(33), random.size(33), random.size(70)]
  const [R, P] = [random.whole(1, 4), random.pick([1, 4, random.size(256)])]
  const pool = random.pick(['max', 'mean'] as const)
  const map = random.tensor([H, W, C])
  // Points everywhere, beyond the borders too; the first two are the corners, and whole cells are among them
  const points = random.tensor([R, P, 2], 20)
  points.data.forEach((v, i) => {
    points.data[i] = i % 3 === 0 ? Math.round(v) : v
  })
  points.data.set([0, 0, W - 1, H - 1].slice(0, 2 * Math.min(P, 2)))
  return kernelCase({
    shape: `${H} x ${W} x ${C}, ${R} of ${P} points, ${pool}`,
    inputs: { map, points },
    run: (t) => sampleRegions(t.map, t.points, { pool }),
    reference: () => sampleRegionsReference(map.data, [H, W, C], points.data, P, pool),
    tolerance: 2e-6, // a share is the fraction of a number up to 33
  })
}

/** The tests of the ops in src/ops/head. */
export const HEAD: readonly KernelTest[] = [
  { name: 'cosineLogits', draw: drawCosine },
  { name: 'maskPixels', draw: drawMaskPixels },
  { name: 'maskBytes', draw: drawMaskBytes },
  { name: 'maskQuality', draw: drawMaskQuality },
  { name: 'maskLabels', draw: drawMaskLabels },
  { name: 'maskOwners', draw: drawMaskOwners },
  { name: 'maskOwners, counts', draw: drawMaskCounts },
  { name: 'sampleRegions', draw: drawSampleRegions },
]
