// Operands by fours: four consecutive values of a or b as f32, for matmul-tiles and matmul-rows.
//
//   a4(begin, k)         of a row of a: see matmul-a.wgsl
//   b4(up, begin, k)     the same of a row of b [N, K], or of b_up; past its end any value of it: a's zeros make it vanish
//   b4_across(begin, n)  of a row of b [K, N], columns n .. n + 3; past the edge the last again
//   b_scale(up, n, k)    what the values of b's row n, k-th four, are multiplied by
//
// ALIGNED: rows are multiples of four, and indices and lengths count fours: one load each. Otherwise they count elements.
// A four is 16 bytes of f32, 8 of f16 and bf16, 4 of int8, and half a word of int4 (src/kernels/quantize.ts).
//
// host      K and b_row, a row of b, count fours where ALIGNED; int8 and int4 are ALIGNED and [N, K]; b_up is b where there is no pair.
//           The scales of column n of this dispatch lie at y_first + n
// prelude   const ALIGNED, alias AWord (vec4f where ALIGNED, else f32), const B_TYPE, alias BWord (what a four of b takes:
//           vec4u, vec2u or array<u32, 1>) and const B_WORDS of it, const GATED, const SCALE_GROUPS: 0 without scales,
//           1 one a row, 2 one in 32 values

@group(0) @binding(1) var<storage, read> b: array<BWord>;
@group(0) @binding(2) var<storage, read> b_up: array<BWord>;
@group(0) @binding(7) var<storage, read> b_scales: array<f32>;
@group(0) @binding(8) var<storage, read> up_scales: array<f32>;

const INT8 = 3u;
const INT4 = 4u;

/** Fours of the summed axis. */
fn fours_of_k() -> u32 { return select((sizes.K + 3u) / 4u, sizes.K, ALIGNED); }

fn b_words(up: bool, i: u32) -> BWord {
  if (GATED && up) { return b_up[i]; }
  return b[i];
}

/** Elements at i, of 32 or 16 bits. */
fn b_elements(up: bool, i: vec4u) -> vec4f {
  return vec4f(
    widen(b_words(up, word_of(i.x, B_TYPE))[0], i.x, B_TYPE), widen(b_words(up, word_of(i.y, B_TYPE))[0], i.y, B_TYPE),
    widen(b_words(up, word_of(i.z, B_TYPE))[0], i.z, B_TYPE), widen(b_words(up, word_of(i.w, B_TYPE))[0], i.w, B_TYPE));
}

/** The i-th four of b. */
fn b_four(up: bool, i: u32) -> vec4f {
  let words = b_words(up, select(i, i / 2u, B_TYPE == INT4));
  // Clamped, so that one text fits words of any number
  let x = words[0];
  let y = words[min(1u, B_WORDS - 1u)];
  if (B_TYPE == F32) { return bitcast<vec4f>(vec4u(x, y, words[min(2u, B_WORDS - 1u)], words[min(3u, B_WORDS - 1u)])); }
  if (B_TYPE == INT8) { return vec4f(unpack4xI8(x)); }
  if (B_TYPE == INT4) {
    // Stored as 0 to 15, zero is 8
    let half = x >> (i % 2u * 16u);
    return vec4f((vec4u(half) >> vec4u(0u, 4u, 8u, 12u)) & vec4u(15u)) - 8.0;
  }
  if (B_TYPE == F16) { return vec4f(unpack2x16float(x), unpack2x16float(y)); }
  let low = vec2u(x, y) << vec2u(16u);
  let high = vec2u(x, y) & vec2u(0xffff0000u);
  return bitcast<vec4f>(vec4u(low.x, high.x, low.y, high.y));
}

fn b4(up: bool, begin: u32, k: u32) -> vec4f {
  if (ALIGNED) { return b_four(up, begin + min(k, sizes.K - 1u)); }
  return b_elements(up, begin + min(4u * k + NEXT, vec4u(sizes.K - 1u)));
}

fn b4_across(begin: u32, n: u32) -> vec4f {
  if (ALIGNED) { return b_four(false, begin + min(n / 4u, sizes.b_row - 1u)); }
  return b_elements(false, begin + min(n + NEXT, vec4u(sizes.b_row - 1u)));
}

fn b_scale(up: bool, n: u32, k: u32) -> f32 {
  if (SCALE_GROUPS == 0u) { return 1.0; }
  let row = y_first() + min(n, sizes.N - 1u);
  let i = select(row, row * (sizes.b_row / 8u) + min(k, sizes.K - 1u) / 8u, SCALE_GROUPS == 2u);
  if (GATED && up) { return up_scales[i]; }
  return b_scales[i];
}
