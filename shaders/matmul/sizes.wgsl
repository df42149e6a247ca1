// Sizes of the products that take b as it lies in memory: matmul, matmul-tiles, matmul-rows and matmul-rows-subgroup.
// K, b_row and the strides count fours where ALIGNED.

struct Sizes {
  M: u32, N: u32, K: u32,
  scale: f32,
  tiles_m: u32, tiles_n: u32,
  y_cols: u32, y_first: u32,
  b_row: u32,                    // K where B_IS_NK, else N
  a_stride: u32, b_stride: u32,  // from one of B to the next, 0 to use one for all
  first_group: u32,
}

@group(0) @binding(6) var<uniform> sizes: Sizes;

fn y_first() -> u32 { return sizes.y_first; }
fn y_cols() -> u32 { return sizes.y_cols; }
fn scale() -> f32 { return sizes.scale; }
fn batch_of_b(z: u32) -> u32 { return z * sizes.b_stride; }
