// Cases of image ops: bilinear resize of maps and crops, Pillow's resampling of pixels, dilation and erosion.

import { dilate, erode } from '../../ops/image/morphology.ts'
import { resampleColumns, resampleRows, triangleTaps } from '../../ops/image/resample.ts'
import { resize } from '../../ops/image/resize.ts'
import { tensor } from '../../tensor/tensor.ts'
import { type KernelCase, type KernelTest, kernelCase } from '../case.ts'
import { hostTensor, type Random } from '../random.ts'
import { at } from '../references/at.ts'
import { morphologyReference, resizeReference } from '../references/image.ts'
import { resizeBilinear } from '../references/resample.ts'

function drawResize(random: Random): KernelCase {
  const [B, H, W, C] = [random.whole(1, 3), random.size(48), random.size(64), random.pick([1, 1, 3, 4, 8])]
  const size = [random.size(130), random.size(130)] as const
  const crop = [random.whole(1, H), random.whole(1, W)] as const
  const x = random.tensor([B, H, W, C], 3)
  // Pixels outside of the crop must not matter
  const spoilt = x.data.map((v, i) =>
    Math.floor(i / C / W) % H < crop[0] && Math.floor(i / C) % W < crop[1] ? v : 1e6,
  )
  return kernelCase({
    shape: `${crop.join(' x ')} of ${B} x ${H} x ${W} x ${C} to ${size.join(' x ')}`,
    inputs: { x: hostTensor(spoilt, x.shape) },
    run: (t) => resize(t.x, size, { crop }),
    reference: () => resizeReference(x.data, [B, H, W, C], size, crop),
    // Source positions up to 64 are good to 4e-6 in f32, and so are the weights
    tolerance: 4e-6,
  })
}

function morphology(name: string, op: typeof dilate, extreme: (...values: number[]) => number): KernelTest {
  const draw = (random: Random): KernelCase => {
    const [H, W] = random.sizes(30_000, 140, 270) as [number, number]
    const x = random.tensor([H, W])
    return kernelCase({
      shape: `${H} x ${W}`,
      inputs: { x },
      run: (t) => op(t.x),
      reference: () => morphologyReference(x.data, [H, W], extreme),
      tolerance: 0,
    })
  }
  return { name, draw }
}

/** Two kernels, one per axis: levels equal Pillow's to the last bit. */
function drawResample(random: Random): KernelCase {
  const [width, height] = random.sizes(60_000, 300, 300) as [number, number]
  const [toWidth, toHeight] = [random.size(200), random.size(200)]
  const side = Math.max(toWidth, toHeight)
  const rgb = Uint8Array.from({ length: width * height * 3 }, () => random.word())
  // Red lies in the low byte; alpha must not matter
  const pixels = Uint32Array.from({ length: width * height }, (_, i) => {
    const [r, g, b] = [at(rgb, 3 * i), at(rgb, 3 * i + 1), at(rgb, 3 * i + 2)]
    return (r | (g << 8) | (b << 16) | ((i * 37) << 24)) >>> 0
  })
  const taps = (from: number, to: number) => {
    const { data, words } = triangleTaps(from, to)
    return hostTensor(data, [to, words])
  }
  const levels = Float32Array.from({ length: 768 }, (_, i) => i % 256)
  return kernelCase({
    shape: `${width} x ${height} to ${toWidth} x ${toHeight}`,
    inputs: {
      pixels: hostTensor(pixels, [width * height]),
      across: taps(width, toWidth),
      down: taps(height, toHeight),
      table: hostTensor(levels, [3, 256]),
    },
    run: (t) => {
      const rows = tensor([height, toWidth], 'u32')
      const whole = { capacity: height, first: 0, rows: height, stride: width, red: 0 }
      resampleRows({ pixels: t.pixels, ...whole }, t.across, rows)
      return resampleColumns(rows, t.down, t.table, side)
    },
    reference: () => {
      const expected = resizeBilinear({ width, height, rgb }, toWidth, toHeight).rgb
      const square = new Float64Array(side * side * 3)
      for (let row = 0; row < toHeight; row++) {
        square.set(expected.subarray(row * toWidth * 3, (row + 1) * toWidth * 3), row * side * 3)
      }
      return square
    },
    tolerance: 0,
  })
}

/** The tests of the ops in src/ops/image. */
export const IMAGE: readonly KernelTest[] = [
  { name: 'resize', draw: drawResize },
  { name: 'resample', draw: drawResample },
  morphology('dilate', dilate, Math.max),
  morphology('erode', erode, Math.min),
]
