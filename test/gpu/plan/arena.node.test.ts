// Sizes get to the device as the kernels expect them, and only when they differ from what is there.

import { expect, test } from 'vitest'
import { UsageError } from '../../../src/errors.ts'
import { SIZES_SLOT_BYTES } from '../../../src/gpu/kernel.ts'
import { Arena } from '../../../src/gpu/plan/arena.ts'
import { param } from '../../../src/gpu/recorder.ts'
import { textKernel as kernel } from '../../support.ts'

const sized = kernel(
  'test-arena',
  `struct Sizes { count: u32, shift: i32, scale: f32, row: u32 }
   @group(0) @binding(0) var<uniform> sizes: Sizes;
   @group(0) @binding(1) var<storage, read_write> y: array<f32>;
   @compute @workgroup_size(1) fn main() { y[0] = sizes.scale; }`,
)

/** A queue that keeps what is written. */
function recording(): { queue: GPUQueue; writes: DataView[] } {
  const writes: DataView[] = []
  const writeBuffer = (_buffer: GPUBuffer, _offset: number, data: ArrayBuffer): void => {
    writes.push(new DataView(data.slice(0)))
  }
  return { queue: { writeBuffer } as unknown as GPUQueue, writes }
}

test('constants, parameters and the first row of a piece, each of its type', () => {
  const sizes = { count: 7, shift: param('shift', -2), scale: param('scale') }
  const arena = new Arena('test', [
    { kernel: sized, dispatch: { sizes, cut: 'row' }, firstGroup: 0 },
    { kernel: sized, dispatch: { sizes, cut: 'row' }, firstGroup: 5 },
  ])
  const { queue, writes } = recording()
  arena.set({ shift: -3, scale: 0.5 })
  arena.upload(queue, {} as GPUBuffer)
  expect(writes[0]!.byteLength).toBe(2 * SIZES_SLOT_BYTES)
  for (const [slot, row] of [0, 5].entries()) {
    const at = slot * SIZES_SLOT_BYTES
    expect(writes[0]!.getUint32(at, true)).toBe(7)
    expect(writes[0]!.getInt32(at + 4, true)).toBe(-5)
    expect(writes[0]!.getFloat32(at + 8, true)).toBe(0.5)
    expect(writes[0]!.getUint32(at + 12, true)).toBe(row)
  }

  // Once for the same sizes, again for others
  const again = (params: Record<string, number>): number => {
    arena.set(params)
    arena.upload(queue, {} as GPUBuffer)
    return writes.length
  }
  expect(again({ shift: -3, scale: 0.5 })).toBe(1)
  expect(again({ shift: -3, scale: 0.25 })).toBe(2)
  expect(writes[1]!.getFloat32(8, true)).toBe(0.25)
})

test('a parameter that is missing, unknown or no such number is named, and what was set before it still gets uploaded', () => {
  const sizes = { count: param('a'), shift: 0, scale: 0, row: param('b') }
  const arena = new Arena('test', [{ kernel: sized, dispatch: { sizes }, firstGroup: 0 }])
  const { queue, writes } = recording()
  arena.set({ a: 1, b: 2 })
  arena.upload(queue, {} as GPUBuffer)
  expect(() => arena.set({ a: 3 })).toThrow(
    new UsageError("Plan test: parameter 'b' is missing from the run."),
  )
  expect(() => arena.set({ a: 3, b: 2, c: 1 })).toThrow(
    new UsageError("Plan test: there is no parameter 'c'. Its parameters: a and b."),
  )
  for (const b of [-1, 0.5, 2 ** 32, NaN, Infinity, '2' as unknown as number, null as unknown as number]) {
    expect(() => arena.set({ a: 3, b }), String(b)).toThrow(
      'expected a whole number from 0 to 4294967295 (u32)',
    )
  }
  arena.set({ a: 3, b: 2 })
  arena.upload(queue, {} as GPUBuffer)
  expect(writes[1]!.getUint32(0, true)).toBe(3)
})

test('a plan without dispatches has a slot too', () => {
  const { queue, writes } = recording()
  new Arena('empty', []).upload(queue, {} as GPUBuffer)
  expect(writes[0]!.byteLength).toBe(SIZES_SLOT_BYTES)
})

test('a parameter that was declared and is not needed may be given', () => {
  const sizes = { count: 1, shift: 0, scale: 0, row: param('a') }
  const arena = new Arena('test', [{ kernel: sized, dispatch: { sizes }, firstGroup: 0 }], ['a', 'span'])
  expect(() => arena.set({ a: 1, span: 2 })).not.toThrow()
  expect(() => arena.set({ a: 1 })).not.toThrow()
  expect(() => arena.set({ a: 1, other: 2 })).toThrow('Its parameters: a and span.')
})
