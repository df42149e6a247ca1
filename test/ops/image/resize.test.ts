// resize equals bilinear interpolation as PyTorch defines it (align_corners = false, no antialias).

import { expect, test } from 'vitest'
import { ShapeError } from '../../../src/errors.ts'
import { resize } from '../../../src/ops/image/resize.ts'
import { plan } from '../../../src/tensor/tensor.ts'
import {
  adapters,
  anyGpu,
  evaluate,
  expectClose,
  expectSameBits,
  type HostTensor,
  random,
} from '../../support.ts'

type Four = readonly [B: number, H: number, W: number, C: number]

function reference(
  { data }: HostTensor,
  [B, H, W, C]: Four,
  [H2, W2]: readonly [number, number],
  [h, w] = [H, W],
) {
  const y = new Float64Array(B * H2 * W2 * C)
  const taps = (i: number, from: number, to: number): [number, number, number] => {
    const s = Math.max(((i + 0.5) * from) / to - 0.5, 0)
    const low = Math.min(Math.floor(s), from - 1)
    return [low, Math.min(low + 1, from - 1), s - low]
  }
  let i = 0
  for (let b = 0; b < B; b++) {
    for (let row = 0; row < H2; row++) {
      const [y0, y1, ty] = taps(row, h, H2)
      for (let col = 0; col < W2; col++) {
        const [x0, x1, tx] = taps(col, w, W2)
        for (let c = 0; c < C; c++) {
          const at = (r: number, q: number) => data[((b * H + r) * W + q) * C + c]!
          const top = at(y0, x0) * (1 - tx) + at(y0, x1) * tx
          y[i++] = top * (1 - ty) + (at(y1, x0) * (1 - tx) + at(y1, x1) * tx) * ty
        }
      }
    }
  }
  return y
}

for (const gpu of await adapters()) {
  test(`resize on ${gpu.name}`, async () => {
    const cases: [Four, [number, number]][] = [
      [
        [1, 1, 1, 1],
        [5, 3],
      ],
      [
        [1, 4, 5, 3],
        [8, 10],
      ],
      [
        [3, 7, 9, 4],
        [13, 5],
      ],
      [
        [2, 16, 16, 1],
        [4, 4],
      ],
      [
        [1, 30, 20, 8],
        [7, 61],
      ],
      [
        [2, 9, 7, 1],
        [67, 52],
      ],
      [
        [1, 48, 64, 1],
        [193, 256],
      ], //     several rows of y beside each of x, several runs
      [
        [2, 21, 17, 8],
        [85, 67],
      ],
      [
        [5, 12, 12, 1],
        [12, 12],
      ],
    ]
    for (const [shape, size] of cases) {
      const x = random(shape, 1, 3)
      const y = await evaluate(gpu, { x }, (t) => resize(t['x']!, size))
      // Source positions up to 30 are good to 2e-6 in f32, and so are the weights
      expectClose(y, reference(x, shape, size), 3e-6, `[${shape.join()}] -> [${size.join()}]`)
      if (shape[1] === size[0] && shape[2] === size[1]) expectSameBits(y, x.data)
    }
  })

  test(`resize of a crop on ${gpu.name}: nothing outside of it matters`, async () => {
    const shape = [2, 16, 12, 4] as const
    const x = random(shape, 1, 3)
    const spoilt: HostTensor = {
      shape,
      data: x.data.map((v, i) => (Math.floor(i / 48) % 16 >= 11 || Math.floor(i / 4) % 12 >= 7 ? 1e6 : v)),
    }
    for (const size of [
      [22, 14],
      [5, 7],
      [11, 7],
    ] as const) {
      const y = await evaluate(gpu, { x: spoilt }, (t) => resize(t['x']!, size, { crop: [11, 7] }))
      expectClose(y, reference(x, shape, size, [11, 7]), 3e-6, `crop -> [${size.join()}]`)
    }
  })

  test(`128 -> 32 without antialias is the mean of the 4 centre pixels (spec 6.4) on ${gpu.name}`, async () => {
    const x = random([1, 128, 128, 1])
    const y = await evaluate(gpu, { x }, (t) => resize(t['x']!, [32, 32]))
    const at = (row: number, col: number) => x.data[row * 128 + col]!
    y.forEach((v, i) => {
      const [r, c] = [4 * Math.floor(i / 32) + 1, 4 * (i % 32) + 1]
      const mean = (at(r, c) + at(r, c + 1) + at(r + 1, c) + at(r + 1, c + 1)) / 4
      expect(Math.abs(v - mean)).toBeLessThan(2e-7)
    })
  })
}

test('shapes that do not fit are named', async () => {
  const gpu = await anyGpu()
  await expect(
    plan(gpu, 'test', ({ input }) => ({ read: { y: resize(input('x', [3, 3]), [2, 2]) } })),
  ).rejects.toThrow(new ShapeError('resize: x is [3, 3], expected [H, W, C] or [B, H, W, C].'))
  await expect(
    plan(gpu, 'test', ({ input }) => ({
      read: { y: resize(input('x', [3, 3, 1]), [2, 2], { crop: [4, 1] }) },
    })),
  ).rejects.toThrow('resize: the crop [4, 1] is not inside of the map [3, 3].')
})
