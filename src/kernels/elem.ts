// The width of the unit that a thread loads and stores: one number, or four. Kernels written for `Elem`
// (shaders/lib/elem.wgsl) are linked with vec4f, for rows that start on a multiple of four, which is almost always, and
// with f32.

import type { Shader } from '../gpu/shader.ts'

/** Numbers that a thread takes at once. */
export type Width = 1 | 4

/** A kernel by the width of its Elem. */
export type ByWidth = Readonly<Record<Width, Shader>>

/** 4 if all these counts, strides and offsets allow it. */
export function widthOf(...counts: readonly number[]): Width {
  return counts.every((n) => n % 4 === 0) ? 4 : 1
}
