// The weights of a product, and its epilogue. A product reads its weight b as it is stored, in any type, and widens it
// to f32 as it loads it; the epilogue turns sums into outputs and stores them. bf16 is widened by a shift, exactly, and
// neither bf16 nor f16 needs the feature shader-f16.
//
//   widen(words[word_of(i, TYPE)], i, TYPE)   element i of f32, f16 or bf16, bound as array<u32>: one f32 per word, or
//                                             two values of 16 bits, the first in the low half
//   values(words)        four values of type B_TYPE, in `words` from the first bit on
//   from_f16(words), from_bf16(words)   four values of two words
//
// The unit of indices: where ALIGNED, the rows of all operands are multiples of four values, and every index into a and
// b, K and k, and every stride count vec4s; else they count elements. STEP is the step from one vec4 to the next in
// that unit: 1 or 4. N and M always count rows and columns of y.
//
// b in rows, by vec4, unless PACKED: 16 bytes of f32, 8 of f16 and bf16, 4 of int8, 2 of int4.
//   b1(i)                element i of b; not of int8 and int4
//   b4(i, left)          elements i .. i + 3 of b; where not ALIGNED only the first `left` exist, and the last of them
//                        is repeated
//   up1(i), up4(i, left) as b1 and b4, of b_up, the second weight of a gated pair. They are written out, as WGSL's
//                        functions take no buffer, and with a flag kernels that have no pair would bind b_up too
//   b4_in(up, begin, k, count)   vec4 k of a row of `count`, of b or b_up, that begins at `begin`; past its end some
//                                value of the row
//
// b by texels of 16 bytes, for kernels whose lanes own rows: 4 values of f32, 8 of 16 bits, 16 of int8, 32 of int4.
// A loop of TURNS turns takes four values of each per turn: unrolled it would be more code than an instruction cache
// holds (bf16 of 1024^3 on lavapipe: 28 GFLOP/s unrolled, 42 as a loop; November 2026).
//   lane_row(n, lane, first, N, texels)   the row of `lane`, of LANES rows from `first + n` on, for b_texel
//   b_texel(up, row, t)  texel t of such a row, of b or b_up
//   next_turn(texel)     the texel rotated, so that its next four values come first; after TURNS calls all have been
// Under @if(PACKED) b is a texture of groups of LANES rows, in which texel t of all rows precedes texel t + 1 of all,
// so that the loads of a subgroup are coalesced; on lavapipe a texture's load costs half of a storage buffer's.
//
//   b_scale(up, row, group, groups)    the scale of a row, f32, or of one of its groups of 32 values, bf16; 1 where
//                                      the weight has none
//
// The epilogue:
//   scaled(up, sum, row) a sum times the scale of its row, where there is one per row
//   finish(sum, up_sum, scale, column, i)
//                        y[i] from a sum of this column and, where GATED, that of b_up: silu(sum) * up_sum instead,
//                        then scale, bias, activation and residual
//   biased(value, i)     value + bias[i]
//   bias4(i)             the bias of four columns, zeros where there is none
//   store(value, i)      y[i] = activation(value) + residual[i]
//
// bindings  1 b, 2 b_up (b where there is no pair), 3 bias [y's columns] f32, 4 residual f32 in y's shape, 5 y f32,
//           7 b_scales, 8 up_scales
// prelude   const B_TYPE, alias BWord (the words of a vec4 of b: vec4u, vec2u or array<u32, 1>; vec4u for texels) and
//           const B_WORDS, their number; const ALIGNED (indices count vec4s), STEP (1 where ALIGNED, else 4), GATED
//           (there is a pair b, b_up), SCALE_GROUPS (0 without scales, 1 for one per row, 2 for one per 32 values),
//           LANES, TEXTURE_WIDTH; of the epilogue const ACTIVATION (lib/activation.wgsl), HAS_BIAS, HAS_RESIDUAL,
//           IN_PLACE (y holds the residual)
//
// src/kernels/packed.ts and src/kernels/quantize.ts write what is read here.

import package::lib::activation::{SILU, activate};
import prelude::{
  ACTIVATION, ALIGNED, BWord, B_TYPE, B_WORDS, GATED, HAS_BIAS, HAS_RESIDUAL, IN_PLACE, LANES, SCALE_GROUPS, STEP,
  TEXTURE_WIDTH,
};

const F32 = 0u;
const F16 = 1u;
const BF16 = 2u;
const INT8 = 3u;
const INT4 = 4u;

const SCALE_TYPE = select(F32, BF16, SCALE_GROUPS == 2u);

const NEXT = vec4u(0u, 1u, 2u, 3u);

@if(PACKED) @group(0) @binding(1) var b: texture_storage_2d<rgba32uint, read>;
@else @group(0) @binding(1) var<storage, read> b: array<BWord>;
@if(PACKED) @group(0) @binding(2) var b_up: texture_storage_2d<rgba32uint, read>;
@else @group(0) @binding(2) var<storage, read> b_up: array<BWord>;
@group(0) @binding(7) var<storage, read> b_scales: array<u32>;
@group(0) @binding(8) var<storage, read> up_scales: array<u32>;

fn word_of(i: u32, dtype: u32) -> u32 { return select(i >> 1u, i, dtype == F32); }

fn widen(word: u32, i: u32, dtype: u32) -> f32 {
  if (dtype == F32) { return bitcast<f32>(word); }
  let odd = (i & 1u) == 1u;
  if (dtype == BF16) { return bitcast<f32>(select(word << 16u, word & 0xffff0000u, odd)); }
  let pair = unpack2x16float(word);
  return select(pair.x, pair.y, odd);
}

// Functions that are inlined in a loop have one return: SwiftShader takes twice as long to compile early ones
fn values(words: vec4u) -> vec4f {
  var v: vec4f;
  if (B_TYPE == F32) {
    v = bitcast<vec4f>(words);
  } else if (B_TYPE == F16) {
    v = from_f16(words.xy);
  } else if (B_TYPE == BF16) {
    v = from_bf16(words.xy);
  } else if (B_TYPE == INT8) {
    v = vec4f(unpack4xI8(words.x));
  } else {
    // Stored as 0 to 15, where 8 means 0
    v = vec4f((vec4u(words.x) >> vec4u(0u, 4u, 8u, 12u)) & vec4u(15u)) - 8.0;
  }
  return v;
}

fn from_f16(words: vec2u) -> vec4f { return vec4f(unpack2x16float(words.x), unpack2x16float(words.y)); }

fn from_bf16(words: vec2u) -> vec4f {
  // The same as << 16, which SwiftShader does lane by lane in an inner loop, at the price of a load
  let low = words * 65536u;
  let high = words & vec2u(0xffff0000u);
  return bitcast<vec4f>(vec4u(low.x, high.x, low.y, high.y));
}

// ---------------------------------------------------------------------------------------------------------
// In rows

/** Vec4 i of b, which begins in these words. */
fn unpacked(words: BWord, i: u32) -> vec4f {
  var first = words[0];
  if (B_TYPE == INT4) { first >>= i % 2u * 16u; }
  // Indices are clamped, so that this compiles for any number of words
  return values(vec4u(first, words[min(1u, B_WORDS - 1u)], words[min(2u, B_WORDS - 1u)], words[min(3u, B_WORDS - 1u)]));
}

/** The index in b of the words that vec4 i begins in: a vec4 of int4 is half a word. */
fn words_of(i: u32) -> u32 {
  var at = i;
  if (B_TYPE == INT4) { at /= 2u; }
  return at;
}

@if(!PACKED) fn b1(i: u32) -> f32 { return widen(b[word_of(i, B_TYPE)][0], i, B_TYPE); }

@if(!PACKED) fn b4(i: u32, left: u32) -> vec4f {
  var v: vec4f;
  if (ALIGNED) {
    v = unpacked(b[words_of(i)], i);
  } else {
    let at = i + min(NEXT, vec4u(left - 1u));
    v = vec4f(b1(at.x), b1(at.y), b1(at.z), b1(at.w));
  }
  return v;
}

@if(!PACKED) fn up1(i: u32) -> f32 { return widen(b_up[word_of(i, B_TYPE)][0], i, B_TYPE); }

@if(!PACKED) fn up4(i: u32, left: u32) -> vec4f {
  var v: vec4f;
  if (ALIGNED) {
    v = unpacked(b_up[words_of(i)], i);
  } else {
    let at = i + min(NEXT, vec4u(left - 1u));
    v = vec4f(up1(at.x), up1(at.y), up1(at.z), up1(at.w));
  }
  return v;
}

@if(!PACKED) fn b4_in(up: bool, begin: u32, k: u32, count: u32) -> vec4f {
  let i = min(k * STEP, count - 1u);
  if (GATED && up) { return up4(begin + i, count - i); }
  return b4(begin + i, count - i);
}

// ---------------------------------------------------------------------------------------------------------
// By texels

@if(PACKED) fn lane_row(n: u32, lane: u32, first: u32, N: u32, texels: u32) -> u32 {
  // Past the last row, rows of the last group are taken again
  return min(first + n, (first + N - 1u) / LANES * LANES) * texels + lane;
}
@else fn lane_row(n: u32, lane: u32, first: u32, N: u32, texels: u32) -> u32 {
  return (first + min(n + lane, N - 1u)) * texels;
}

@if(PACKED) fn b_texel(up: bool, row: u32, t: u32) -> vec4u {
  let i = row + t * LANES;
  let at = vec2u(i % TEXTURE_WIDTH, i / TEXTURE_WIDTH);
  if (GATED && up) { return textureLoad(b_up, at); }
  return textureLoad(b, at);
}
@else fn b_texel(up: bool, row: u32, t: u32) -> vec4u {
  if (GATED && up) { return b_up[row + t]; }
  return b[row + t];
}

fn next_turn(texel: vec4u) -> vec4u {
  if (B_TYPE == INT8) { return texel.yzwx; }
  if (B_TYPE == INT4) { return (texel >> vec4u(16u)) | (texel.yzwx << vec4u(16u)); }
  return texel.zwxy;
}

// ---------------------------------------------------------------------------------------------------------

fn b_scale(up: bool, row: u32, group: u32, groups: u32) -> f32 {
  if (SCALE_GROUPS == 0u) { return 1.0; }
  let i = select(row, row * groups + group, SCALE_GROUPS == 2u);
  if (GATED && up) { return widen(up_scales[word_of(i, SCALE_TYPE)], i, SCALE_TYPE); }
  return widen(b_scales[word_of(i, SCALE_TYPE)], i, SCALE_TYPE);
}

// ---------------------------------------------------------------------------------------------------------
// The epilogue

@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> residual: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

fn scaled(up: bool, sum: f32, row: u32) -> f32 {
  var v = sum;
  if (SCALE_GROUPS == 1u) { v *= b_scale(up, row, 0u, 0u); }
  return v;
}

fn finish(sum: f32, up_sum: f32, scale: f32, column: u32, i: u32) {
  var v = sum;
  if (GATED) { v = activate(v, SILU) * up_sum; }
  store(biased(v * scale, column), i);
}

fn biased(value: f32, i: u32) -> f32 {
  if (!HAS_BIAS) { return value; }
  return value + bias[i];
}

fn bias4(i: vec4u) -> vec4f {
  if (!HAS_BIAS) { return vec4f(); }
  return vec4f(bias[i.x], bias[i.y], bias[i.z], bias[i.w]);
}

fn store(value: f32, i: u32) {
  var v = activate(value, ACTIVATION);
  if (HAS_RESIDUAL) {
    if (IN_PLACE) { v += y[i]; } else { v += residual[i]; }
  }
  y[i] = v;
}
