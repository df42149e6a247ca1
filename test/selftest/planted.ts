// Kernels that are wrong, planted among those of the engine.

import type { Gpu } from '../../src/gpu/gpu.ts'
import { ownKernel } from '../../src/gpu/kernel.ts'
import type { KernelFamily, Variant } from '../../src/kernels/variants.ts'
import type { softmaxFamily } from '../../src/ops/reduce/reduce.ts'
import { record } from '../../src/tensor/tensor.ts'

type Softmax = Parameters<(typeof softmaxFamily.variants)[number]['record']>[0]

/** Adds a variant to a family for as long as `then` runs. */
export async function planted<P>(
  gpu: Gpu,
  family: KernelFamily<P>,
  variant: Variant<P>,
  then: () => Promise<void>,
): Promise<void> {
  const variants = family.variants as Variant<P>[]
  variants.unshift(variant)
  try {
    await then()
  } finally {
    variants.splice(variants.indexOf(variant), 1)
    gpu.adapter.choices.vetoed.clear()
  }
}

/** y from x, value by value: BODY is one of them. */
export const EACH_WGSL = `
struct Sizes { count: u32, scale: f32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> sizes: Sizes;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < sizes.count) { y[id.x] = BODY; }
}`

/** A variant of softmax, the cheapest of all, whose kernel is this. */
export function softmaxBy(variant: string, body: string): Variant<Softmax> {
  return {
    name: variant,
    fits: () => true,
    cost: () => 0,
    record: ({ x, y }) =>
      record({
        kernel: ownKernel(`softmax-${variant}`, EACH_WGSL.replace('BODY', body)),
        reads: { x },
        writes: { y },
        sizes: { count: x.size, scale: 1.01 },
        workgroups: Math.ceil(x.size / 64),
        flops: 0,
      }),
  }
}
