// b packed in a texture: panels of LANES rows, in which texel t of all rows precedes texel t + 1 of all (src/kernels/packed.ts),
// so a subgroup's load is one run of memory. On lavapipe a texture's load costs half of a storage buffer's.
//
//   b_begin(up, n, lane)     where the row of `lane` begins, of the panel that starts at column n of this dispatch
//   b_texel(up, begin, t)    its texel t
//   b_scale(up, n, lane, t)  what the values of that texel are multiplied by
//
// `up` takes the second weight of a gated pair. Past the last row they give rows of the last panel.
//
// host      n and b_first are multiples of LANES; b_up is b where there is no pair; the kernel has Sizes.N,
//           b_first(up), the first row, and b_texels(), the texels of a row
// prelude   const LANES, TEXTURE_WIDTH, SCALE_GROUPS: 0 without scales, 1 one a row, 2 one a texel

@group(0) @binding(1) var b: texture_storage_2d<rgba32uint, read>;
@group(0) @binding(2) var b_up: texture_storage_2d<rgba32uint, read>;
@group(0) @binding(7) var<storage, read> b_scales: array<f32>;
@group(0) @binding(8) var<storage, read> up_scales: array<f32>;

fn b_begin(up: bool, n: u32, lane: u32) -> u32 {
  let first = b_first(up);
  return min(first + n, (first + sizes.N - 1u) / LANES * LANES) * b_texels() + lane;
}

fn b_texel(up: bool, begin: u32, t: u32) -> vec4u {
  let i = begin + t * LANES;
  let place = vec2u(i % TEXTURE_WIDTH, i / TEXTURE_WIDTH);
  if (up) { return textureLoad(b_up, place); }
  return textureLoad(b, place);
}

fn b_scale(up: bool, n: u32, lane: u32, t: u32) -> f32 {
  if (SCALE_GROUPS == 0u) { return 1.0; }
  let row = b_first(up) + min(n + lane, sizes.N - 1u);
  let i = select(row, row * b_texels() + t, SCALE_GROUPS == 2u);
  if (up) { return up_scales[i]; }
  return b_scales[i];
}
