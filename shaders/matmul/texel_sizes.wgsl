// The sizes of a product whose weight b is read by texels (lib/operands.wgsl).
//
//   first_row(up)   the first row of b, or of b_up, in its texture or buffer
//   image()         under @if(CONV), the image that is the left operand
//
// bindings  6 sizes
// host      K counts vec4s where ALIGNED; texels are those of a row of b, run_texels those of a run (conv/patch)

@if(CONV) import package::conv::patch::Image;

struct Sizes {
  M: u32, N: u32,
  tiles_m: u32, tiles_n: u32,
  texels: u32,                            // of a row of b
  @if(!CONV) K: u32,
  @if(!CONV) scale: f32,
  @if(!CONV) b_first: u32,                // first rows of b and of b_up
  @if(!CONV) up_first: u32,
  @if(CONV) run_texels: u32,
  @if(CONV) H: i32, @if(CONV) row: i32, @if(CONV) run: u32,
  @if(CONV) out_w: u32, @if(CONV) stride: i32, @if(CONV) step: i32,
  @if(CONV) padding: i32, @if(CONV) left_pad: i32,
  first_group: u32,
}

@group(0) @binding(6) var<uniform> sizes: Sizes;

@if(CONV) fn first_row(up: bool) -> u32 { return 0u; }
@else fn first_row(up: bool) -> u32 { return select(sizes.b_first, sizes.up_first, up); }

@if(CONV) fn image() -> Image {
  return Image(sizes.H, sizes.row, sizes.run, sizes.out_w, sizes.stride, sizes.step, sizes.padding, sizes.left_pad);
}
