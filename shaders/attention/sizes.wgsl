// Bindings and stores that attention.wgsl, attention-subgroup.wgsl and attention-tiles.wgsl share; their headers say how.
//
// prelude   lib/nan

struct Sizes {
  rows: u32, row_blocks: u32, keys: u32, limit: u32, splits: u32, heads: u32, columns: u32,
  q_stride: u32, q_start: u32, k_stride: u32, k_start: u32, v_stride: u32, v_start: u32,
  scale: f32,
  turns: u32,  // of a loop that no driver is to write out, so it is no constant
  first_group: u32,
}

@group(0) @binding(0) var<storage, read> query: array<vec4f>;
@group(0) @binding(1) var<storage, read> key: array<vec4f>;
@group(0) @binding(2) var<storage, read> value: array<vec4f>;
@group(0) @binding(3) var<storage, read> bits: array<u32>;
@group(0) @binding(4) var<storage, read> rel_h: array<f32>;
@group(0) @binding(5) var<storage, read> rel_w: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(7) var<uniform> sizes: Sizes;

const LOG2E = 1.4426950408889634;
const FLOOR = -3.0e38;

/**
 * The factor of o at the end: 1 / l, and 0 for a row without open keys, whose m is still the floor. l is at most the number of
 * keys; if a score was NaN, m may be anything, but l is NaN or, as some drivers' exp2 has it, infinite.
 */
fn share_of(m: f32, l: f32) -> f32 {
  return select(nan_of(l), select(0.0, 1.0 / l, m > FLOOR), is_finite(l));
}

/** Keys of a block: a word of the mask. */
const BLOCK = 32u;
