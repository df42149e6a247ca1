// Cases of layout ops. Every value must be where the formula says, exactly.

import { copyRows, gather } from '../../ops/layout/gather.ts'
import {
  concatColumns,
  concatRows,
  depthToSpace,
  joinWindows,
  sliceRows,
  spaceToDepth,
  splitWindows,
  transpose,
} from '../../ops/layout/layout.ts'
import { param } from '../../tensor/tensor.ts'
import { type KernelCase, type KernelTest, kernelCase } from '../case.ts'
import { hostTensor, type Random, type WeightType } from '../random.ts'
import {
  concatColumnsReference,
  depthToSpaceReference,
  gatherReference,
  joinWindowsReference,
  spaceToDepthReference,
  splitWindowsReference,
  transposeReference,
} from '../references/layout.ts'

function drawSpaceToDepth(random: Random): KernelCase {
  const [H, W, C] = random.sizes(20_000, 40, 40, 70) as [number, number, number]
  const x = random.tensor([2 * H, 2 * W, C])
  return kernelCase({
    shape: `${2 * H} x ${2 * W} x ${C}`,
    inputs: { x },
    run: (t) => spaceToDepth(t.x),
    reference: () => spaceToDepthReference(x.data, [2 * H, 2 * W, C]),
    tolerance: 0,
  })
}

function drawDepthToSpace(random: Random): KernelCase {
  const [H, W, C] = random.sizes(20_000, 40, 40, 70) as [number, number, number]
  const x = random.tensor([H, W, 4 * C])
  return kernelCase({
    shape: `${H} x ${W} x ${4 * C}`,
    inputs: { x },
    run: (t) => depthToSpace(t.x),
    reference: () => depthToSpaceReference(x.data, [2 * H, 2 * W, C]),
    tolerance: 0,
  })
}

function drawWindows(random: Random, joins: boolean): KernelCase {
  const [H, W, C] = random.sizes(40_000, 65, 65, 68) as [number, number, number]
  const window = random.pick([1, 2, 3, 7, 14])
  const tokens = Math.ceil(H / window) * Math.ceil(W / window)
  const x = random.tensor(joins ? [tokens, window * window, C] : [H, W, C])
  return kernelCase({
    shape: `${H} x ${W} x ${C} in windows of ${window}`,
    inputs: { x },
    run: (t) => (joins ? joinWindows(t.x, window, [H, W]) : splitWindows(t.x, window)),
    reference: () => (joins ? joinWindowsReference : splitWindowsReference)(x.data, [H, W, C], window),
    tolerance: 0,
  })
}

function drawTranspose(random: Random): KernelCase {
  const [B, M, N] = random.sizes(100_000, 5, 520, 1030) as [number, number, number]
  const x = random.tensor([B, M, N])
  return kernelCase({
    shape: `${B} x ${M} x ${N}`,
    inputs: { x },
    run: (t) => transpose(t.x),
    reference: () => transposeReference(x.data, [B, M, N]),
    tolerance: 0,
  })
}

function drawConcatRows(random: Random): KernelCase {
  const C = random.size(70)
  const [a, b, c] = [0, 1, 2].map(() => random.tensor([random.size(130), C])) as [
    ReturnType<Random['tensor']>,
    ReturnType<Random['tensor']>,
    ReturnType<Random['tensor']>,
  ]
  return kernelCase({
    shape: `[${a.shape.join(', ')}], [${b.shape.join(', ')}], [${c.shape.join(', ')}]`,
    inputs: { a, b, c },
    run: (t) => concatRows(t.a, t.b, t.c),
    reference: () => [...a.data, ...b.data, ...c.data],
    tolerance: 0,
  })
}

function drawConcatColumns(random: Random): KernelCase {
  const rows = random.size(130)
  const [a, b] = [random.tensor([rows, random.size(70)]), random.tensor([rows, random.size(70)])]
  return kernelCase({
    shape: `[${a.shape.join(', ')}], [${b.shape.join(', ')}]`,
    inputs: { a, b },
    run: (t) => concatColumns(t.a, t.b),
    reference: () => concatColumnsReference(a.data, b.data, rows),
    tolerance: 0,
  })
}

function drawSliceRows(random: Random): KernelCase {
  const [rows, C] = [random.size(130), random.size(70)]
  const start = random.whole(0, rows - 1)
  const count = random.whole(1, rows - start)
  const x = random.tensor([rows, C])
  return kernelCase({
    shape: `${count} from ${start} of ${rows} x ${C}`,
    inputs: { x },
    run: (t) => sliceRows(t.x, start, count),
    reference: () => x.data.slice(start * C, (start + count) * C),
    tolerance: 0,
  })
}

function drawGather(random: Random, type: WeightType): KernelCase {
  const [V, C, T] = [random.size(300), random.size(260), random.size(130)]
  const table = random.weight([V, C], type)
  // On the device already, as nobody looks at those: ids that the table lacks give zeros
  const ids = Uint32Array.from({ length: T }, (_, i) =>
    i % 7 === 6 ? V + random.whole(0, 9) : random.whole(0, V - 1),
  )
  return kernelCase({
    shape: `${T} of ${V} x ${C}`,
    inputs: { table, ids: { ...hostTensor(ids, [T]), place: 'resident' } },
    run: (t) => gather(t.table, t.ids),
    reference: () => gatherReference(table.values, C, ids),
    tolerance: 0,
  })
}

function drawCopyRows(random: Random): KernelCase {
  const [rows, held, C] = [random.size(33), random.size(130), random.size(70)]
  // Rows past the end are not copied
  const at = random.pick([random.whole(0, held - 1), held, 0xffff_ffff])
  const x = random.tensor([rows, C])
  const into = random.tensor([held, C])
  return kernelCase({
    shape: `${rows} to ${at} of ${held} x ${C}`,
    inputs: { x, into: { ...into, place: 'resident' } },
    params: { at },
    run: (t) => {
      copyRows(t.x, t.into, param('at'))
      return t.into
    },
    reference: () => {
      const y = into.data.slice()
      if (at < held) y.set(x.data.subarray(0, (held - at) * C), at * C)
      return y
    },
    tolerance: 0,
  })
}

/** A case of a copy from f32 to f16, with numbers that f16 has, and back, as `gather` widens them. */
function drawCopyHalves(random: Random): KernelCase {
  const [rows, held, C] = [random.size(33), random.size(130), 4 * random.size(17)]
  const at = random.whole(0, held - 1)
  const x = hostTensor(Float32Array.from(random.weight([rows, C], 'f16').values), [rows, C])
  const into = random.weight([held, C], 'f16')
  const ids = Uint32Array.from({ length: held }, (_, i) => i)
  return kernelCase({
    shape: `${rows} to ${at} of ${held} x ${C}, as f16`,
    inputs: { x, into: { ...into, place: 'resident' }, ids: hostTensor(ids, [held]) },
    params: { at },
    run: (t) => {
      copyRows(t.x, t.into, param('at'))
      return gather(t.into, t.ids)
    },
    reference: () => {
      const y = Float64Array.from(into.values)
      y.set(Array.from(x.values).slice(0, (held - at) * C), at * C)
      return y
    },
    tolerance: 0,
  })
}

/** The tests of the ops in src/ops/layout. */
export const LAYOUT: readonly KernelTest[] = [
  { name: 'spaceToDepth', draw: drawSpaceToDepth },
  { name: 'depthToSpace', draw: drawDepthToSpace },
  { name: 'splitWindows', draw: (random) => drawWindows(random, false) },
  { name: 'joinWindows', draw: (random) => drawWindows(random, true) },
  { name: 'transpose', draw: drawTranspose },
  { name: 'concatRows', draw: drawConcatRows },
  { name: 'concatColumns', draw: drawConcatColumns },
  { name: 'sliceRows', draw: drawSliceRows },
  { name: 'gather', draw: drawGather, types: ['f32', 'f16', 'bf16'] },
  { name: 'copyRows', draw: drawCopyRows },
  { name: 'copyRows to f16', draw: drawCopyHalves },
]
