// An image as the left operand of a product (implicit im2col, without the copy): row m is the patch of the image that
// output pixel m multiplies. So convolution is a matrix product, and with this module the kernels of shaders/matmul
// compute it, under @if(CONV).
//
//   y[m, n] = sum over dy, dx, i of
//             x[oy * stride + dy - padding, ox * stride + dx - padding, i] * weight[n, dy, dx, i]
//   where m = oy * out_w + ox, and x is 0 outside of the image
//
// Channels are the last axis, so for one dy the kw * I values that a pixel multiplies are contiguous, in x as in the
// weight: a run. Its values are outside of the image where their position in the image row is below 0, or W * I and
// more.
//
//   patches(image, m)              the places where the patches of four output pixels begin
//   run4(image, row, at, left)     four values of a run, from position `at` of an image row on; zeros outside of the
//                                  image. Where not ALIGNED only the first `left` exist, and the others are zeros
//   patch4(image, row, at, k, K)   vec4 k of the whole patch [kh, kw, I] of K values, which begins at position `at` of
//                                  an image row; zeros past its end
//
// shapes    a = x [H, W, I] f32
// host      row = W * I, run = kw * I, step = stride * I, left_pad = padding * I; they count vec4s where ALIGNED,
//           which requires all of them to be multiples of four
// prelude   const ALIGNED, PADDED (padding > 0), alias AWord (see shaders/lib/left_operand.wgsl)

import package::lib::left_operand::{a, a1};
import package::lib::operands::NEXT;
import prelude::{ALIGNED, AWord, PADDED};

struct Image {
  H: i32, row: i32, run: u32,
  out_w: u32, stride: i32, step: i32,
  padding: i32, left_pad: i32,
}

/** The image rows of four patches, and the positions in them. They are negative in the padding. */
struct Patches { row: vec4i, at: vec4i }

fn patches(image: Image, m: vec4u) -> Patches {
  let oy = m / vec4u(image.out_w);
  let ox = m - oy * image.out_w;
  return Patches(vec4i(oy) * image.stride - image.padding, vec4i(ox) * image.step - image.left_pad);
}

fn image_word(image: Image, row: i32, at: i32, exists: bool) -> AWord {
  // As u32, negative rows and positions are large too. `&` and select, as each `&&` would be a block of its own in the
  // inner loop: SwiftShader then compiled for 19 s instead of 0.4
  let inside = exists & (!PADDED | ((u32(row) < u32(image.H)) & (u32(at) < u32(image.row))));
  return select(AWord(), a[select(0, row * image.row + at, inside)], inside);
}

fn run4(image: Image, row: i32, at: i32, left: i32) -> vec4f {
  var v: vec4f;
  if (ALIGNED) {
    v = vec4f(image_word(image, row, at, true));
  } else {
    let places = at + vec4i(NEXT);
    let inside = (vec4u(places) < vec4u(u32(image.row))) & (vec4i(NEXT) < vec4i(left)) & vec4<bool>(u32(row) < u32(image.H));
    let i = select(vec4i(), row * image.row + places, inside);
    v = select(vec4f(), vec4f(a1(i.x), a1(i.y), a1(i.z), a1(i.w)), inside);
  }
  return v;
}

fn patch4(image: Image, row: i32, at: i32, k: u32, K: u32) -> vec4f {
  if (ALIGNED) {
    let dy = k / image.run;
    return vec4f(image_word(image, row + i32(dy), at + i32(k - dy * image.run), k < K));
  }
  // The four values may be of two runs
  let i = 4u * k + NEXT;
  let dy = i / image.run;
  let rows = row + vec4i(dy);
  let places = at + vec4i(i - dy * image.run);
  let exist = i < vec4u(K);
  return vec4f(
    vec4f(image_word(image, rows.x, places.x, exist.x)).x, vec4f(image_word(image, rows.y, places.y, exist.y)).x,
    vec4f(image_word(image, rows.z, places.z, exist.z)).x, vec4f(image_word(image, rows.w, places.w, exist.w)).x);
}
