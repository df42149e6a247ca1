// Cases of the model's head: cosines with classes, masks of pixels, bytes of masks, rows of regions.

import { cosineLogits } from '../../ops/head/cosine.ts'
import { maskBytes, maskPixels } from '../../ops/head/mask-pixels.ts'
import { sampleRegions } from '../../ops/head/sample-regions.ts'
import { type KernelCase, type KernelTest, kernelCase } from '../case.ts'
import { hostTensor, type Random } from '../random.ts'
import { bitOf, cosineReference, maskBytesReference, sampleRegionsReference } from '../references/head.ts'
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
  { name: 'sampleRegions', draw: drawSampleRegions },
]
