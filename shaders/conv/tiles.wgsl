// conv2d-tiles: y[p, n] = activation(sum over dy, dx, i of x[oy * stride + dy - padding, ox * stride + dx - padding, i]
//               * weight[n, dy, dx, i] + bias[n]), p = oy * out_w + ox, x zero outside of the image
//
// For GPUs: matmul-tiles.wgsl with pixels for rows of a. The summed axis is the receptive field, [kh, kw, I] in order, so
// the weight is a matrix [N, K] as it lies; this file says what is staged of the image.
//
// shapes    a = x [H, W, I] f32, b = weight [N, kh, kw, I] f32, f16 or bf16, y [M, N] f32 with M = out_h * out_w
// threads   numerics, banks and arithmetic are those of matmul-tiles
// host      row = W * I, step = stride * I, run = kw * I, left_pad = padding * I, K = kh * run = b_row; ALIGNED where all are
//           multiples of four, and then they count fours
// prelude   const PADDED (padding > 0), and those of matmul-tiles
//
// Beside matmul-tiles a block of a costs one division more, of k by run, and four comparisons with the image's edges: some 40
// instructions beside the 1,024 multiply-adds of a thread's step, 4 %. Where a pixel lies doesn't depend on k, so what that
// takes happens once, before the loop. An image's pixel is read kh * kw times, from L2 for most: neighbouring tiles are
// neighbouring rows of the image.
//
// predicted, not measured: 65 % of a GPU's multiply-add ceiling for 3 x 3, 256 -> 256 channels of 64 x 64 (see above)
// measured  on no GPU

struct Sizes {
  M: u32, N: u32, K: u32,
  tiles_m: u32, tiles_n: u32,
  b_row: u32,
  H: i32, row: i32, run: u32,
  out_w: u32, stride: i32, step: i32,
  padding: i32, left_pad: i32,
  first_group: u32,
}

@group(0) @binding(6) var<uniform> sizes: Sizes;

fn y_first() -> u32 { return 0u; }
fn y_cols() -> u32 { return sizes.N; }
fn scale() -> f32 { return 1.0; }
fn batch_of_b(z: u32) -> u32 { return 0u; }

/** What lies in image row y at position p, a four where ALIGNED; zeros outside of the image, or where nothing exists. */
fn x_word(y: i32, p: i32, exists: bool) -> AWord {
  // As u32, what lies above or left of the image is large too
  let inside = exists & (!PADDED | ((u32(y) < u32(sizes.H)) & (u32(p) < u32(sizes.row))));
  return select(AWord(), a[select(0, y * sizes.row + p, inside)], inside);
}

/** The k-th four of the receptive field whose first value lies at position p of image row y. */
fn x4(y: i32, p: i32, k: u32) -> vec4f {
  if (ALIGNED) {
    let dy = k / sizes.run;
    return vec4f(x_word(y + i32(dy), p + i32(k - dy * sizes.run), k < sizes.K));
  }
  // Four values may lie in two rows of the field
  let at = 4u * k + NEXT;
  let dy = at / sizes.run;
  let rows = y + vec4i(dy);
  let places = p + vec4i(at - dy * sizes.run);
  let exist = at < vec4u(sizes.K);
  return vec4f(
    vec4f(x_word(rows.x, places.x, exist.x)).x, vec4f(x_word(rows.y, places.y, exist.y)).x,
    vec4f(x_word(rows.z, places.z, exist.z)).x, vec4f(x_word(rows.w, places.w, exist.w)).x);
}

/** Pixels m .. m + 3 at the k-th four, k first; past the last pixel that one again, whose sums are never stored. */
fn a_block(z: u32, m: u32, k: u32) -> mat4x4f {
  let pixel = min(m + NEXT, vec4u(sizes.M - 1u));
  let oy = pixel / sizes.out_w;
  let y = vec4i(oy) * sizes.stride - sizes.padding;
  let p = vec4i(pixel - oy * sizes.out_w) * sizes.step - sizes.left_pad;
  return transpose(mat4x4f(x4(y.x, p.x, k), x4(y.y, p.y, k), x4(y.z, p.z, k), x4(y.w, p.w, k)));
}
