// A product reads its weight b as it is stored, in any type, and widens it to f32 while it loads; its epilogue leads
// from a sum to memory. bf16 widens by a shift, exactly, and needs no shader-f16; nor does f16.
//
//   widen(words[word_of(i, TYPE)], i, TYPE)   element i of f32, f16 or bf16, bound as array<u32>: one f32 per word, or
//                                             two values of 16 bits, the first in the low half
//   values(words)        four values of a product's weight b, which lie in `words` from its first bit on
//   from_f16(words), from_bf16(words)   four values
//
// b in rows, by vec4: 16 bytes of f32, 8 of f16 and bf16, 4 of int8, 2 of int4. An index counts vec4s where ALIGNED,
// else elements.
//   b1(i)                element i of b; not of int8 and int4
//   b4(i, left)          elements i .. i + 3 of b; where not ALIGNED only the first `left` exist, and the last of them
//                        is repeated
//   up4(i, left)         the same of b_up, the second weight of a gated pair
//   b4_in(up, begin, k, count)   vec4 k of a row of `count` of either that begins at `begin`; past its end some value
//                                of the row
//
// b by texels of 16 bytes, for kernels whose lanes own rows: 4 values of f32, 8 of 16 bits, 16 of int8, 32 of int4.
// They take turns in a loop: written out they would be more code than an instruction cache holds (bf16 of 1024^3 on
// lavapipe: 28 GFLOP/s written out, 42 in turns; November 2026).
//   lane_row(n, lane, first, N, texels)   the row of `lane`, of LANES rows from `first + n` on, for b_texel
//   b_texel(up, row, t)  its texel t
//   next_turn(texel)     the next four values first; TURNS times and all have been
// Under @if(PACKED) b is a texture of groups of LANES rows, in which texel t of all rows precedes texel t + 1 of all,
// so that the loads of a subgroup are coalesced; on lavapipe a texture's load costs half of a storage buffer's.
//
//   b_scale(up, row, group, groups)    what the values of a row and its group of 32 values are multiplied by: one f32
//                                      per row, or one bf16 per group
//
// The epilogue:
//   biased(value, i)     value + bias[i]
//   bias4(i)             the bias of four columns, zeros where there is none
//   store(value, i)      y[i] = activation(value) + residual[i]
//
// bindings  1 b, 2 b_up (b where there is no pair), 3 bias [y's columns] f32, 4 residual f32 in y's shape, 5 y f32,
//           7 b_scales, 8 up_scales
// prelude   const B_TYPE, alias BWord (what a vec4 of b takes: vec4u, vec2u or array<u32, 1>; vec4u for texels) and
//           const B_WORDS of it, const ALIGNED, const STEP (1 where ALIGNED, else 4), const GATED: there is a pair,
//           const SCALE_GROUPS: 0 without scales, 1 one per row, 2 one per 32 values, const LANES, const TEXTURE_WIDTH;
//           of the epilogue const ACTIVATION (lib/activation.wgsl), const HAS_BIAS, const HAS_RESIDUAL, const IN_PLACE:
//           the residual lies in y
//
// src/kernels/packed.ts and src/kernels/quantize.ts write what is read here.

import package::lib::activation::activate;
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

// One way out of each function that is inlined in a loop: SwiftShader takes twice as long to compile early returns
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
    // Stored as 0 to 15, zero is 8
    v = vec4f((vec4u(words.x) >> vec4u(0u, 4u, 8u, 12u)) & vec4u(15u)) - 8.0;
  }
  return v;
}

fn from_f16(words: vec2u) -> vec4f { return vec4f(unpack2x16float(words.x), unpack2x16float(words.y)); }

fn from_bf16(words: vec2u) -> vec4f {
  // << 16, but in an inner loop SwiftShader shifts lane by lane, at the price of a load
  let low = words * 65536u;
  let high = words & vec2u(0xffff0000u);
  return bitcast<vec4f>(vec4u(low.x, high.x, low.y, high.y));
}

// ---------------------------------------------------------------------------------------------------------
// In rows

/** Vec4 number i, which begins in these words. */
fn unpacked(words: BWord, i: u32) -> vec4f {
  var first = words[0];
  if (B_TYPE == INT4) { first >>= i % 2u * 16u; }
  // Clamped, so that one text fits words of any number
  return values(vec4u(first, words[min(1u, B_WORDS - 1u)], words[min(2u, B_WORDS - 1u)], words[min(3u, B_WORDS - 1u)]));
}

/** The words that vec4 number i begins in: of int4 it is half a word. */
fn words_of(i: u32) -> u32 {
  var at = i;
  if (B_TYPE == INT4) { at /= 2u; }
  return at;
}

fn b1(i: u32) -> f32 { return widen(b[word_of(i, B_TYPE)][0], i, B_TYPE); }

fn b4(i: u32, left: u32) -> vec4f {
  var v: vec4f;
  if (ALIGNED) {
    v = unpacked(b[words_of(i)], i);
  } else {
    let at = i + min(NEXT, vec4u(left - 1u));
    v = vec4f(b1(at.x), b1(at.y), b1(at.z), b1(at.w));
  }
  return v;
}

fn up1(i: u32) -> f32 { return widen(b_up[word_of(i, B_TYPE)][0], i, B_TYPE); }

fn up4(i: u32, left: u32) -> vec4f {
  var v: vec4f;
  if (ALIGNED) {
    v = unpacked(b_up[words_of(i)], i);
  } else {
    let at = i + min(NEXT, vec4u(left - 1u));
    v = vec4f(up1(at.x), up1(at.y), up1(at.z), up1(at.w));
  }
  return v;
}

fn b4_in(up: bool, begin: u32, k: u32, count: u32) -> vec4f {
  let i = min(k * STEP, count - 1u);
  if (GATED && up) { return up4(begin + i, count - i); }
  return b4(begin + i, count - i);
}

// ---------------------------------------------------------------------------------------------------------
// By texels

@if(PACKED) fn lane_row(n: u32, lane: u32, first: u32, N: u32, texels: u32) -> u32 {
  // Past the last row, rows of the last group
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
