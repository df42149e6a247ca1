// Weights by texels: 16 bytes of a row of b, whatever its type, and four values of them at a time.
//
//   b_values(texel)    its first four values
//   next_turn(texel)   the next four first; TURNS times and all have been
//
// f32 has 4 values a texel, f16 and bf16 8, int8 16, int4 32. They take turns in a loop, as written out they would be
// more code than an instruction cache holds (bf16 of 1024^3 on lavapipe: 28 GFLOP/s written out, 42 in turns; November 2026).
// src/kernels/packed.ts and quantize.ts write texels.
//
// prelude   const B_TYPE, TURNS

const F32 = 0u;
const F16 = 1u;
const BF16 = 2u;
const INT8 = 3u;
const INT4 = 4u;

fn b_values(texel: vec4u) -> vec4f {
  if (B_TYPE == F32) { return bitcast<vec4f>(texel); }
  if (B_TYPE == INT8) { return vec4f(unpack4xI8(texel.x)); }
  if (B_TYPE == INT4) {
    // Stored as 0 to 15, zero is 8
    return vec4f((vec4u(texel.x) >> vec4u(0u, 4u, 8u, 12u)) & vec4u(15u)) - 8.0;
  }
  if (B_TYPE == F16) { return vec4f(unpack2x16float(texel.x), unpack2x16float(texel.y)); }
  let low = texel.xy << vec2u(16u);
  let high = texel.xy & vec2u(0xffff0000u);
  return bitcast<vec4f>(vec4u(low.x, high.x, low.y, high.y));
}

fn next_turn(texel: vec4u) -> vec4u {
  if (B_TYPE == INT8) { return texel.yzwx; }
  if (B_TYPE == INT4) { return (texel >> vec4u(16u)) | (texel.yzwx << vec4u(16u)); }
  return texel.zwxy;
}
