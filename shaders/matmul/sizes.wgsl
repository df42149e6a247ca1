// The sizes of a product, and what follows from them: one struct for all kernels of products, each of which reads the
// fields that it needs. The numbers of a convolution (@if(CONV)) are those of shaders/conv/patch.wgsl; its weight is in
// one binding. A struct has 16 fields at most.
//
//   y_cols(), y_first()   the columns of y, and the column at which b's columns begin
//   image()               under @if(CONV), the image that is the left operand
// b in rows (lib/operands.wgsl):
//   b_row()               the length of a row of b
//   b_begin(z)            the index at which b of product z of the batch begins
//   row_scale(up, n, k)   the scale of column n of y at the k-th vec4, of b or of b_up
// b by texels:
//   first_row(up)         the first row of b, or of b_up, in its texture or buffer
//   texel_scale(up, n, t) the scale of column n of y in texel t
//
// bindings  6 sizes
// host      K, b_row and the strides count vec4s where ALIGNED; tiles_m and tiles_n count tiles, of one thread or of
//           the threads that compute one together

@if(CONV) import package::conv::patch::Image;
import package::lib::operands::b_scale;

struct Sizes {
  M: u32, N: u32, K: u32,
  tiles_m: u32, tiles_n: u32,
  texels: u32,                                // of a row of b
  @if(!CONV) scale: f32,
  @if(!CONV) y_cols: u32,                     // columns of y
  @if(!CONV) y_first: u32,                    // the column of y at which b's columns begin
  @if(!CONV) b_row: u32,                      // a row of b
  @if(!CONV) a_stride: u32,                   // from one of B to the next, 0 to use one for all
  @if(!CONV) b_stride: u32,
  @if(!CONV) b_first: u32,                    // first rows of b and of b_up
  @if(!CONV) up_first: u32,
  @if(CONV) run_texels: u32,                  // of a run
  @if(CONV) H: i32, @if(CONV) row: i32, @if(CONV) run: u32,
  @if(CONV) out_w: u32, @if(CONV) stride: i32, @if(CONV) step: i32,
  @if(CONV) padding: i32, @if(CONV) left_pad: i32,
  first_group: u32,
}

@group(0) @binding(6) var<uniform> sizes: Sizes;

@if(CONV) fn y_cols() -> u32 { return sizes.N; }
@else fn y_cols() -> u32 { return sizes.y_cols; }

@if(CONV) fn y_first() -> u32 { return 0u; }
@else fn y_first() -> u32 { return sizes.y_first; }

@if(CONV) fn image() -> Image {
  return Image(sizes.H, sizes.row, sizes.run, sizes.out_w, sizes.stride, sizes.step, sizes.padding, sizes.left_pad);
}

@if(CONV) fn b_row() -> u32 { return sizes.K; }
@else fn b_row() -> u32 { return sizes.b_row; }

@if(CONV) fn b_begin(z: u32) -> u32 { return 0u; }
@else fn b_begin(z: u32) -> u32 { return z * sizes.b_stride; }

fn row_scale(up: bool, n: u32, k: u32) -> f32 {
  return b_scale(up, y_first() + min(n, sizes.N - 1u), min(k, sizes.K - 1u) / 8u, b_row() / 8u);
}

@if(CONV) fn first_row(up: bool) -> u32 { return 0u; }
@else fn first_row(up: bool) -> u32 { return select(sizes.b_first, sizes.up_first, up); }

fn texel_scale(up: bool, n: u32, t: u32) -> f32 {
  return b_scale(up, first_row(up) + min(n, sizes.N - 1u), t, sizes.texels);
}
