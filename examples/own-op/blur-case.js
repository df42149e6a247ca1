// The test case of `blur`: its formula in float64, and a problem of random size.

import { kernelCase } from 'flowseg/engine'
import { blur } from './blur.js'

/**
 * The formula in float64.
 *
 * @param {ArrayLike<number>} x [H, W, C]
 * @param {readonly [number, number, number]} shape
 * @param {number} radius
 * @returns {number[]}
 */
export function blurred(x, [H, W, C], radius) {
  const inside = (i, size) => Math.min(Math.max(i, 0), size - 1)
  return Array.from(x, (_, at) => {
    const [i, j, c] = [Math.floor(at / C / W), Math.floor(at / C) % W, at % C]
    let sum = 0
    for (let di = -radius; di <= radius; di++) {
      for (let dj = -radius; dj <= radius; dj++) {
        sum += x[(inside(i + di, H) * W + inside(j + dj, W)) * C + c]
      }
    }
    return sum / (2 * radius + 1) ** 2
  })
}

/** For `selfTest(gpu, { own: [blurTest] })`: sizes are 1, primes, one past a workgroup and whatever comes. */
export const blurTest = {
  name: 'blur',
  /** @param {import('flowseg/engine').Random} random */
  draw(random) {
    const [H, W, C] = random.sizes(20_000, 70, 70, 9)
    const radius = random.whole(0, 4)
    const x = random.tensor([H, W, C])
    return kernelCase({
      shape: `${H} x ${W} x ${C}, radius ${radius}`,
      inputs: { x },
      run: (t) => blur(t.x, radius),
      reference: () => blurred(x.data, [H, W, C], radius),
      tolerance: 1e-6, // sums of at most 81 values in f32
    })
  },
}
