// Ops that put elements into another order. If the order stays and only the shape changes, use reshape (tensor.ts),
// which is free.

import shuffleShader from '#shaders/layout/shuffle.wgsl'
import transposeF32 from '#shaders/layout/transpose.wgsl'
import transposeVec4 from '#shaders/layout/transpose.wgsl?VEC4'
import windowsShader from '#shaders/layout/windows.wgsl'
import { expectNoMore, expectWhole } from '../../check.ts'
import { ShapeError } from '../../errors.ts'
import { kernel } from '../../gpu/kernel.ts'
import { type ByWidth, widthOf } from '../../kernels/elem.ts'
import { perGroup, rowChunks, THREADS } from '../../kernels/grids.ts'
import { expectPair, expectPlain, expectTensor } from '../../tensor/check.ts'
import {
  expectShape,
  expectType,
  firstDim,
  lastDim,
  record,
  sizeOf,
  type Tensor,
  tensor,
} from '../../tensor/tensor.ts'
import { copy } from './gather.ts'

const transposeShader: ByWidth = { 1: transposeF32, 4: transposeVec4 }

/**
 * Cuts an image into windows of `window` x `window` tokens, row by row, zero padded at the right and the bottom.
 *
 * @param x [H, W, C]
 * @returns [windows, window * window, C]
 *
 * Source: SAM (Kirillov et al. 2023), window_partition.
 */
export function splitWindows(x: Tensor, window: number): Tensor {
  expectNoMore('splitWindows', arguments, 2)
  expectShape('splitWindows', 'x', x, [undefined, undefined, undefined])
  expectType('splitWindows', 'x', x, 'f32')
  const [H = 0, W = 0, C = 0] = x.shape
  expectWhole('splitWindows', 'window', window)
  const windows = Math.ceil(H / window) * Math.ceil(W / window)
  const y = tensor([windows, window * window, C])
  moveWindows(x, y, { H, W, C, window, join: false })
  return y
}

/**
 * Puts windows together again and drops the padding: the inverse of splitWindows.
 *
 * @param x    [windows, window * window, C]
 * @param size H and W of the image
 * @returns    [H, W, C]
 * @throws ShapeError if x is not what splitWindows makes of such an image
 */
export function joinWindows(x: Tensor, window: number, size: readonly [H: number, W: number]): Tensor {
  expectNoMore('joinWindows', arguments, 3)
  expectPair('joinWindows', 'size', size)
  const [H, W] = size
  expectWhole('joinWindows', 'window', window)
  const windows = Math.ceil(H / window) * Math.ceil(W / window)
  expectShape('joinWindows', 'x', x, [windows, window * window, undefined])
  expectType('joinWindows', 'x', x, 'f32')
  const C = lastDim(x)
  const y = tensor([H, W, C])
  moveWindows(x, y, { H, W, C, window, join: true })
  return y
}

function moveWindows(
  x: Tensor,
  y: Tensor,
  { H, W, C, window, join }: { H: number; W: number; C: number; window: number; join: boolean },
): void {
  const width = widthOf(C)
  const across = Math.ceil(W / window)
  const units = across * (join ? H : Math.ceil(H / window) * window)
  const run = perGroup(units, 1)
  record({
    kernel: kernel(windowsShader, { Elem: elemOf(width), JOIN: join, WG: THREADS }),
    reads: { x },
    writes: { y },
    sizes: { units, H, W, cols: C / width, window, across, run },
    workgroups: Math.ceil(units / run),
    flops: 0,
  })
}

/**
 * 2 x 2 pixels into channels: y[Y, X, (dy * 2 + dx) * C + c] = x[2Y + dy, 2X + dx, c]
 *
 * @param x [H, W, C], H and W even
 * @returns [H/2, W/2, 4C]
 *
 * Source: X-SAM's SAM -> LLM tokens (spec 4.4).
 */
export function spaceToDepth(x: Tensor): Tensor {
  expectNoMore('spaceToDepth', arguments, 1)
  expectShape('spaceToDepth', 'x', x, [undefined, undefined, undefined])
  const [H = 0, W = 0, C = 0] = x.shape
  if (H % 2 !== 0 || W % 2 !== 0) {
    throw new ShapeError(`spaceToDepth: x is [${x.shape.join(', ')}], expected an even height and width.`)
  }
  return shuffle('spaceToDepth', x, [H / 2, W / 2, 4 * C], { W: W / 2, C, toSpace: false })
}

/**
 * Channels into 2 x 2 pixels: y[2Y + dy, 2X + dx, c] = x[Y, X, (dx * 2 + dy) * C' + c] with C' = C/4. Here dx is
 * the slow index: this is not the inverse of spaceToDepth.
 *
 * @param x [H, W, C], C a multiple of 4
 * @returns [2H, 2W, C/4]
 *
 * Source: X-SAM's connector (spec 4.4).
 */
export function depthToSpace(x: Tensor): Tensor {
  expectNoMore('depthToSpace', arguments, 1)
  expectShape('depthToSpace', 'x', x, [undefined, undefined, undefined])
  const [H = 0, W = 0, C = 0] = x.shape
  if (C % 4 !== 0) {
    throw new ShapeError(`depthToSpace: x is [${x.shape.join(', ')}], expected a multiple of 4 channels.`)
  }
  return shuffle('depthToSpace', x, [2 * H, 2 * W, C / 4], { W, C: C / 4, toSpace: true })
}

function shuffle(
  op: string,
  x: Tensor,
  shape: readonly number[],
  { W, C, toSpace }: { W: number; C: number; toSpace: boolean },
): Tensor {
  expectType(op, 'x', x, 'f32')
  const width = widthOf(C)
  const blocks = x.size / (4 * C)
  const { lanes, run, workgroups } = rowChunks(blocks, C / width)
  const y = tensor(shape)
  record({
    kernel: kernel(shuffleShader, {
      Elem: elemOf(width),
      TO_SPACE: toSpace,
      WG: THREADS,
    }),
    reads: { x },
    writes: { y },
    sizes: { blocks, W, cols: C / width, lanes, run },
    workgroups,
    flops: 0,
  })
  return y
}

/**
 * Rows and columns swapped.
 *
 * @param x [M, N] or [B, M, N]
 * @returns [N, M] or [B, N, M]
 */
export function transpose(x: Tensor): Tensor {
  expectNoMore('transpose', arguments, 1)
  expectType('transpose', 'x', x, 'f32')
  if (x.shape.length === 2) expectShape('transpose', 'x', x, [undefined, undefined])
  else expectShape('transpose', 'x', x, [undefined, undefined, undefined])
  const [M = 0, N = 0] = x.shape.slice(-2)
  const B = x.size / (M * N)
  const y = tensor([...x.shape.slice(0, -2), N, M])
  const width = widthOf(M, N)
  const [down, across] = [Math.ceil(M / (8 * width)), Math.ceil(N / (8 * width))]
  const run = perGroup(B * down * across, 1)
  record({
    kernel: kernel(transposeShader[width]),
    reads: { x },
    writes: { y },
    sizes: { B, M, N, down, across, run },
    workgroups: Math.ceil((B * down * across) / run),
    flops: 0,
  })
  return y
}

/**
 * Tensors one below the other.
 *
 * @param xs [Ni, ...], alike but for the first axis
 * @returns  [sum of Ni, ...]
 */
export function concatRows(...xs: readonly Tensor[]): Tensor {
  const [first] = xs
  if (xs.length === 0) throw new ShapeError('concatRows: expected at least one tensor, found none.')
  expectTensor('concatRows', 'tensor 0', first)
  const [, ...rest] = first.shape
  xs.forEach((x, i) => {
    expectShape('concatRows', `tensor ${i}`, x, [undefined, ...rest])
    expectType('concatRows', `tensor ${i}`, x, 'f32')
  })
  const C = sizeOf(rest)
  const N = xs.reduce((rows, x) => rows + firstDim(x), 0)
  const y = tensor([N, ...rest])
  let row = 0
  for (const x of xs) {
    const rows = firstDim(x)
    copy(x, y, { rows, cols: C, from: { stride: C, start: 0 }, to: { stride: C, start: 0, row, rows: N } })
    row += rows
  }
  return y
}

/**
 * Tensors side by side.
 *
 * @param a [N, C1]
 * @param b [N, C2]
 * @returns [N, C1 + C2]
 */
export function concatColumns(a: Tensor, b: Tensor): Tensor {
  expectNoMore('concatColumns', arguments, 2)
  expectShape('concatColumns', 'a', a, [undefined, undefined])
  const [N = 0, C1 = 0] = a.shape
  expectShape('concatColumns', 'b', b, [N, undefined])
  expectType('concatColumns', 'a', a, 'f32')
  expectType('concatColumns', 'b', b, 'f32')
  const C2 = lastDim(b)
  const stride = C1 + C2
  const y = tensor([N, stride])
  for (const [x, start, cols] of [
    [a, 0, C1],
    [b, C1, C2],
  ] as const) {
    copy(x, y, { rows: N, cols, from: { stride: cols, start: 0 }, to: { stride, start, row: 0, rows: N } })
  }
  return y
}

/**
 * Rows [start, start + count), copied.
 *
 * @param x [N, ...] f32, u32, f16 or bf16; not sharded
 * @returns [count, ...]
 * @throws ShapeError if there are no such rows, or rows of a 16-bit type begin in the middle of a word
 */
export function sliceRows(x: Tensor, start: number, count: number): Tensor {
  expectNoMore('sliceRows', arguments, 3)
  expectTensor('sliceRows', 'x', x)
  expectPlain('sliceRows', 'x', x)
  if (x.scales || x.dtype === 'int8' || x.dtype === 'int4') {
    throw new ShapeError(`sliceRows: x is ${x.dtype}, expected f32, u32, f16 or bf16.`)
  }
  expectWhole('sliceRows', 'start', start, 0)
  expectWhole('sliceRows', 'count', count)
  const [N = 0, ...rest] = x.shape
  if (start + count > N) {
    throw new ShapeError(
      `sliceRows: [${start}, ${start + count}) is outside of the first axis of [${x.shape.join(', ')}].`,
    )
  }
  const C = sizeOf(rest)
  const perWord = x.dtype === 'f16' || x.dtype === 'bf16' ? 2 : 1
  if ((start * C) % perWord !== 0) {
    throw new ShapeError(
      `sliceRows: row ${start} of [${x.shape.join(', ')}] ${x.dtype} begins in the middle of a word.`,
    )
  }
  const y = tensor([count, ...rest], x.dtype)
  const words = Math.ceil((count * C) / perWord)
  copy(x, y, {
    rows: 1,
    cols: words,
    from: { stride: words, start: (start * C) / perWord },
    to: { stride: words, start: 0, row: 0, rows: 1 },
  })
  return y
}

function elemOf(width: 1 | 4): string {
  return width === 4 ? 'vec4f' : 'f32'
}
