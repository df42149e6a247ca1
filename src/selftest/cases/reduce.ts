// Cases of reductions along rows and over them.

import { magnitude } from '../../ops/reduce/magnitude.ts'
import {
  argmax,
  maxLast,
  meanRows,
  meanSpans,
  normalizeRows,
  softmax,
  sumLast,
} from '../../ops/reduce/reduce.ts'
import { param } from '../../tensor/tensor.ts'
import { differenceBy, type KernelCase, type KernelTest, kernelCase, normOf } from '../case.ts'
import { type HostTensor, hostTensor, type Random } from '../random.ts'
import { at } from '../references/at.ts'
import {
  argmaxReference,
  meanRowsReference,
  normalizeReference,
  rowsOf,
  softmaxReference,
  sumReference,
} from '../references/reduce.ts'

/** Rounding grows with the values that cancel, not with what is left: errors are shares of the sum of magnitudes. */
const SUM_TOLERANCE = 1e-6

function drawRows(
  random: Random,
  scale: number,
): HostTensor & { data: Float32Array; rows: number; C: number } {
  const [rows, C] = random.pick([
    () => random.sizes(40_000, 1100, 700),
    () => [random.size(3), random.size(5000)],
    () => [random.whole(1000, 4000), random.size(9)],
  ])() as [number, number]
  return { ...random.tensor([rows, C], scale), rows, C }
}

function drawSoftmax(random: Random): KernelCase {
  // 1e4 apart: most exponentials vanish, none overflows
  const scale = random.pick([3, 3, 1e4, 3.4e38, 1e-30])
  const { rows, C, ...x } = drawRows(random, scale)
  return kernelCase({
    shape: `${rows} x ${C} of ${scale}`,
    inputs: { x },
    run: (t) => softmax(t.x),
    reference: () => rowsOf(x.data, C).flatMap(softmaxReference),
    // exp of an argument up to 6 is good to 6 ULP of it or so, that is 5e-7; a rounded sum adds little
    tolerance: 2e-6,
  })
}

function drawSum(random: Random): KernelCase {
  const { rows, C, ...x } = drawRows(random, 3)
  return kernelCase({
    shape: `${rows} x ${C}`,
    inputs: { x },
    run: (t) => sumLast(t.x),
    reference: () => rowsOf(x.data, C).map(sumReference),
    measure: differenceBy(normOf(rowsOf(x.data.map(Math.abs), C).map(sumReference))),
    tolerance: SUM_TOLERANCE,
  })
}

function drawMax(random: Random): KernelCase {
  const { rows, C, ...x } = drawRows(random, random.pick([3, 3.4e38]))
  // A row of the lowest number there is, almost
  x.data.fill(-3.4e38, 0, C)
  return kernelCase({
    shape: `${rows} x ${C}`,
    inputs: { x },
    run: (t) => maxLast(t.x),
    reference: () => rowsOf(x.data, C).map((row) => Math.max(...row)),
    tolerance: 0,
  })
}

function drawArgmax(random: Random): KernelCase {
  const { rows, C, ...x } = drawRows(random, 3)
  // Few distinct values, so that the largest stands in many places and lanes: the first of them counts
  const ties = random.flip()
  if (ties)
    x.data.forEach((v, i) => {
      x.data[i] = Math.round(v)
    })
  return kernelCase({
    shape: `${rows} x ${C}${ties ? ', ties' : ''}`,
    inputs: { x },
    run: (t) => argmax(t.x),
    reference: () => rowsOf(x.data, C).map(argmaxReference),
    tolerance: 0,
  })
}

function drawNormalize(random: Random): KernelCase {
  // Squares of 1e-25 and 1e25 are no f32: the rows are scaled before
  const scale = random.pick([1, 1, 1e-11, 1e25, 3.4e38, 1e-30])
  const { rows, C, ...x } = drawRows(random, scale)
  return kernelCase({
    shape: `${rows} x ${C} of ${scale}`,
    inputs: { x },
    run: (t) => normalizeRows(t.x),
    reference: () => rowsOf(x.data, C).flatMap(normalizeReference),
    tolerance: 1e-6, // a division, a root and a rounded sum
  })
}

function drawMeanRows(random: Random): KernelCase {
  const { rows, C, ...x } = drawRows(random, 3)
  const all = random.flip()
  const length = all ? rows : random.pick([0, 1, rows, rows + 5, random.whole(1, rows)])
  return kernelCase({
    shape: `${all ? 'all' : length} of ${rows} x ${C}`,
    inputs: { x },
    ...(all ? {} : { params: { length } }),
    run: (t) => (all ? meanRows(t.x) : meanRows(t.x, { length: param('length') })),
    reference: () => meanRowsReference(x.data, C, length),
    measure: differenceBy(normOf(meanRowsReference(x.data.map(Math.abs), C, length)) || 1),
    tolerance: SUM_TOLERANCE,
  })
}

function drawMeanSpans(random: Random): KernelCase {
  const { rows, C, ...x } = drawRows(random, 3)
  const phrases = random.whole(1, 9)
  // Some are empty, some overlap, some end past the last row
  const spans = Array.from({ length: phrases }, (): [number, number] => {
    const begin = random.whole(0, rows)
    return [begin, begin + random.pick([0, 1, random.whole(0, rows), rows + 3])]
  })
  const means = (data: readonly number[]): number[] =>
    spans.flatMap(([begin, end]) => [
      ...meanRowsReference(data.slice(begin * C), C, Math.min(end, rows) - begin),
    ])
  return kernelCase({
    shape: `${phrases} spans of ${rows} x ${C}`,
    inputs: { x, spans: hostTensor(Uint32Array.from(spans.flat()), [phrases, 2]) },
    run: (t) => meanSpans(t.x, t.spans),
    reference: () => means([...x.data]),
    measure: differenceBy(normOf(means([...x.data].map(Math.abs))) || 1),
    tolerance: SUM_TOLERANCE,
  })
}

function drawMagnitude(random: Random): KernelCase {
  const size = random.pick([random.size(1100), random.whole(1, 300_000)])
  const x = random.tensor([size], random.pick([1, 3e38, 1e-40]))
  const bits = (value: number): number => at(new Uint32Array(Float32Array.of(value).buffer), 0)
  return kernelCase({
    shape: `${size}`,
    inputs: { x },
    run: (t) => magnitude(t.x),
    reference: () => [bits(x.data.reduce((a, b) => Math.max(a, Math.abs(b)), 0))],
    // A part per workgroup: the largest of them is the largest of all
    measure: (actual, expected) => {
      let largest = 0
      for (let i = 0; i < actual.length; i++) largest = Math.max(largest, at(actual, i))
      return Math.abs(largest - at(expected, 0))
    },
    tolerance: 0,
  })
}

/** The tests of the ops in src/ops/reduce. */
export const REDUCE: readonly KernelTest[] = [
  { name: 'softmax', draw: drawSoftmax },
  { name: 'sumLast', draw: drawSum },
  { name: 'maxLast', draw: drawMax },
  { name: 'argmax', draw: drawArgmax },
  { name: 'normalizeRows', draw: drawNormalize },
  { name: 'meanRows', draw: drawMeanRows },
  { name: 'meanSpans', draw: drawMeanSpans },
  { name: 'magnitude', draw: drawMagnitude },
]
