// The sizes of a product whose weight b is in rows (lib/operands.wgsl), for the kernels that compute a batch of
// products, or under @if(CONV) a convolution.
//
//   b_row()        the length of a row of b
//   b_begin(z)     the index at which b of product z of the batch begins
//   image()        under @if(CONV), the image that is the left operand
//
// bindings  6 sizes
// host      K, b_row and the strides count vec4s where ALIGNED; tiles_m and tiles_n count tiles, of one thread or of
//           the threads that compute one together; y_first is the column of y at which b's columns begin

@if(CONV) import package::conv::patch::Image;

struct Sizes {
  M: u32, N: u32, K: u32,
  tiles_m: u32, tiles_n: u32,
  y_cols: u32, y_first: u32,
  @if(!CONV) scale: f32,
  @if(!CONV) b_row: u32,                      // K where B_IS_NK, else N
  @if(!CONV) a_stride: u32,                   // from one of B to the next, 0 to use one for all
  @if(!CONV) b_stride: u32,
  @if(CONV) H: i32, @if(CONV) row: i32, @if(CONV) run: u32,
  @if(CONV) out_w: u32, @if(CONV) stride: i32, @if(CONV) step: i32,
  @if(CONV) padding: i32, @if(CONV) left_pad: i32,
  first_group: u32,
}

@group(0) @binding(6) var<uniform> sizes: Sizes;

@if(CONV) fn b_row() -> u32 { return sizes.K; }
@else fn b_row() -> u32 { return sizes.b_row; }

@if(CONV) fn b_begin(z: u32) -> u32 { return 0u; }
@else fn b_begin(z: u32) -> u32 { return z * sizes.b_stride; }

@if(CONV) fn image() -> Image {
  return Image(sizes.H, sizes.row, sizes.run, sizes.out_w, sizes.stride, sizes.step, sizes.padding, sizes.left_pad);
}
