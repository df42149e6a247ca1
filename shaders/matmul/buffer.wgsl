// b in a storage buffer, row after row: what matmul-texture.wgsl offers, for b as it comes.
//
// host      as there
// prelude   const SCALE_GROUPS, as there

@group(0) @binding(1) var<storage, read> b: array<vec4u>;
@group(0) @binding(2) var<storage, read> b_up: array<vec4u>;
@group(0) @binding(7) var<storage, read> b_scales: array<f32>;
@group(0) @binding(8) var<storage, read> up_scales: array<f32>;

fn b_row(up: bool, n: u32, lane: u32) -> u32 {
  return b_first(up) + min(n + lane, sizes.N - 1u);
}

fn b_begin(up: bool, n: u32, lane: u32) -> u32 { return b_row(up, n, lane) * b_texels(); }

fn b_texel(up: bool, begin: u32, t: u32) -> vec4u {
  if (up) { return b_up[begin + t]; }
  return b[begin + t];
}

fn b_scale(up: bool, n: u32, lane: u32, t: u32) -> f32 {
  if (SCALE_GROUPS == 0u) { return 1.0; }
  let row = b_row(up, n, lane);
  let i = select(row, row * b_texels() + t, SCALE_GROUPS == 2u);
  if (up) { return up_scales[i]; }
  return b_scales[i];
}
