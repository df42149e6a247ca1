// Copies of rows by index: out of a table, and into a cache.

import copyShader from '#shaders/layout/copy.wgsl'
import copyHalf from '#shaders/layout/copy.wgsl?HALF'
import gatherF32 from '#shaders/layout/gather.wgsl'
import gatherVec4 from '#shaders/layout/gather.wgsl?VEC4'
import { expectNoMore, MOST } from '../../check.ts'
import { ShapeError } from '../../errors.ts'
import { kernel } from '../../gpu/kernel.ts'
import { recorder, type SizeValue } from '../../gpu/recorder.ts'
import { type ByWidth, widthOf } from '../../kernels/elem.ts'
import { chunks, rowChunks, THREADS } from '../../kernels/grids.ts'
import { rowConstants } from '../../kernels/weight-types.ts'
import { expectSize, expectWeight } from '../../tensor/check.ts'
import {
  asColumns,
  type Columns,
  expectShape,
  expectType,
  firstDim,
  lastDim,
  record,
  type Tensor,
  tensor,
} from '../../tensor/tensor.ts'

const gatherShader: ByWidth = { 1: gatherF32, 4: gatherVec4 }

/**
 * Rows of a table: y[t] = table[ids[t]].
 *
 * An id that is no row of the table is refused where it can be seen: in an input of the plan, when it is run
 * (UsageError). Ids that the plan computes itself are only on the device: there such a row is zeros.
 *
 * @param table [V, C] f32, f16 or bf16; may be sharded
 * @param ids   [T] u32
 * @returns     [T, C]
 * @throws ShapeError if shapes or types are others
 */
export function gather(table: Tensor, ids: Tensor): Tensor {
  expectNoMore('gather', arguments, 2)
  expectShape('gather', 'table', table, [undefined, undefined])
  expectShape('gather', 'ids', ids, [undefined])
  expectWeight('gather', 'table', table, { dtypes: ['f32', 'f16', 'bf16'], sharded: true, packed: false })
  expectType('gather', 'ids', ids, 'u32')
  const [V = 0, C = 0] = table.shape
  const T = ids.size
  recorder().limitIds(ids.storage, V)

  const width = widthOf(C)
  const { lanes, run, workgroups } = rowChunks(T, C / width)
  const y = tensor([T, C])
  const shards = table.shards ?? [{ storage: table.storage, firstRow: 0, rows: V }]
  for (const { storage, firstRow, rows } of shards) {
    record({
      kernel: kernel(gatherShader[width], {
        ...rowConstants(table.dtype, width === 4),
        ALIGNED: width === 4,
        WG: THREADS,
      }),
      reads: {
        b: { ...table, storage },
        ids,
      },
      writes: { y },
      sizes: { T, cols: C / width, first_row: firstRow, rows, table_rows: V, lanes, run },
      workgroups,
      flops: 0,
      bytes: (8 * y.size) / shards.length,
    })
  }
  return y
}

/**
 * Writes rows into a cache: into[at + t] = x[t]. Rows past the cache's end are dropped, so that a block of rows may be
 * longer than what is left.
 *
 * @param x    [T, C], or C columns of a wider tensor
 * @param into [capacity, C] f32, or f16 if C is a multiple of 4; resident or bound. Numbers past 65,504 become that in
 *   f16
 * @param at   first row; may be a `param`
 * @throws ShapeError if C differs, or `into` is no tensor of its own
 */
export function copyRows(x: Tensor | Columns, into: Tensor, at: SizeValue): void {
  expectNoMore('copyRows', arguments, 3)
  const { tensor: source, start, count: C } = asColumns('copyRows', 'x', x)
  expectType('copyRows', 'x', source, 'f32')
  expectType('copyRows', 'into', into, 'f32', 'f16')
  expectShape('copyRows', 'x', source, [undefined, undefined])
  expectShape('copyRows', 'into', into, [undefined, C])
  if (into.storage.kind !== 'resident' && into.storage.kind !== 'bound') {
    throw new ShapeError('copyRows: `into` must outlive the plan: allocate it, or bind it to the plan.')
  }
  const row = expectSize('copyRows', 'at', at, MOST)
  copy(source, into, {
    rows: firstDim(source),
    cols: C,
    from: { stride: lastDim(source), start },
    to: { stride: C, start: 0, row, rows: firstDim(into) },
  })
}

/** A rectangle of 32-bit words from one matrix into another; see shaders/layout/copy.wgsl. */
export interface Rectangle {
  /** Rows of the rectangle. */
  readonly rows: number
  /** Words of a row of the rectangle. */
  readonly cols: number
  /** The words from a row of the source to the next, and the place of the first row in the source. */
  readonly from: { readonly stride: number; readonly start: number }
  /** The same of the target; `row` is the row of the target that the first one comes to, of its `rows`. */
  readonly to: {
    readonly stride: number
    readonly start: number
    readonly row: SizeValue
    readonly rows: number
  }
}

/**
 * Copies a rectangle of words; what lies past the last row of the target is dropped. The numbers of a Rectangle count
 * words.
 */
export function copy(source: Tensor, target: Tensor, { rows, cols, from, to }: Rectangle): void {
  const width = widthOf(cols, from.stride, from.start, to.stride, to.start)
  const isHalf = target.dtype === 'f16'
  if (isHalf && width !== 4) {
    throw new ShapeError(
      `copyRows: ${cols} columns from ${from.start} of ${from.stride} can't become f16: all must be multiples of 4.`,
    )
  }
  const { chunk, workgroups } = chunks((rows * cols) / width)
  record({
    kernel: isHalf
      ? kernel(copyHalf, { WG: THREADS })
      : kernel(copyShader, { Elem: width === 4 ? 'vec4u' : 'u32', WG: THREADS }),
    reads: { source },
    writes: { target_rows: target },
    sizes: {
      count: (rows * cols) / width,
      chunk,
      cols: cols / width,
      from_stride: from.stride / width,
      from_start: from.start / width,
      to_stride: to.stride / width,
      to_start: to.start / width,
      to_row: to.row,
      to_rows: to.rows,
    },
    workgroups,
    flops: 0,
    bytes: 8 * rows * cols,
  })
}
