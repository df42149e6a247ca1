// Weights of any storage type as f32. They are bound as array<u32>: one f32 a word, or two 16-bit values
// a word, the first in the low half. bf16 widens by a shift, exactly, and needs no shader-f16; nor does f16.
//
//   widen(words[word_of(i, DTYPE)], i, DTYPE)   is element i; DTYPE is a prelude constant

const F32 = 0u;
const F16 = 1u;
const BF16 = 2u;

fn word_of(i: u32, dtype: u32) -> u32 { return select(i >> 1u, i, dtype == F32); }

fn widen(word: u32, i: u32, dtype: u32) -> f32 {
  if (dtype == F32) { return bitcast<f32>(word); }
  let odd = (i & 1u) == 1u;
  if (dtype == BF16) { return bitcast<f32>(select(word << 16u, word & 0xffff0000u, odd)); }
  let pair = unpack2x16float(word);
  return select(pair.x, pair.y, odd);
}
