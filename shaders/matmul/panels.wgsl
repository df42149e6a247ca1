// Sizes of the products in which lanes own rows of b: matmul-subgroup and matmul-few.

struct Sizes {
  M: u32, N: u32, K: u32,         // K counts fours where ALIGNED
  scale: f32,
  tiles_m: u32, tiles_n: u32,
  y_cols: u32, y_first: u32,
  texels: u32,                    // of a row of b
  b_first: u32, up_first: u32,    // first rows of b and of b_up
  first_group: u32,
}

@group(0) @binding(6) var<uniform> sizes: Sizes;

fn y_first() -> u32 { return sizes.y_first; }
fn b_first(up: bool) -> u32 { return select(sizes.b_first, sizes.up_first, up); }
fn b_texels() -> u32 { return sizes.texels; }
