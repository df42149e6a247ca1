// Four consecutive elements of an operand as f32, for matmul.wgsl and conv2d.wgsl.
//
//   a4(i, left), b4(i, left)   elements i, i + 1, i + 2, i + 3
//   a1(i)                      element i; only where not ALIGNED
//
// ALIGNED: all rows are multiples of four, and every index and length counts vectors of four: one load, `left` is not
// looked at. Otherwise they count elements, and only the first `left` (at least 1) of the four exist: a4 gives zeros
// for the others, b4 repeats the last, so that their products vanish.
//
// host      a is f32; b is F32, F16 or BF16 (lib/widen.wgsl) and bound once: as b where ALIGNED, else as b_words
// prelude   const ALIGNED, const STEP (1 where ALIGNED, else 4: from one four to the next),
//           alias AWord (vec4f where ALIGNED, else f32), const B_TYPE,
//           alias BWord (four elements of b: vec4u for f32, vec2u for 16 bits), const B_WORDS (4 or 2)
//
// No division, no shift: in an inner loop SwiftShader does them lane by lane, at the price of a load.

@group(0) @binding(0) var<storage, read> a: array<AWord>;
@group(0) @binding(1) var<storage, read> b: array<BWord>;
@group(0) @binding(2) var<storage, read> b_words: array<u32>;

const NEXT = vec4u(0u, 1u, 2u, 3u);

fn a1(i: u32) -> f32 { return vec4f(a[i]).x; }

fn b1(i: u32) -> f32 { return widen(b_words[word_of(i, B_TYPE)], i, B_TYPE); }

fn a4(i: u32, left: u32) -> vec4f {
  if (ALIGNED) { return vec4f(a[i]); }
  let at = i + min(NEXT, vec4u(left - 1u));
  return select(vec4f(), vec4f(a1(at.x), a1(at.y), a1(at.z), a1(at.w)), NEXT < vec4u(left));
}

fn b4(i: u32, left: u32) -> vec4f {
  if (!ALIGNED) {
    let at = i + min(NEXT, vec4u(left - 1u));
    return vec4f(b1(at.x), b1(at.y), b1(at.z), b1(at.w));
  }
  // B_WORDS - 2 is 2 of four words and 0 of two, so that one text fits both
  let words = b[i];
  if (B_TYPE == F32) { return bitcast<vec4f>(vec4u(words[0], words[1], words[B_WORDS - 2u], words[B_WORDS - 1u])); }
  let pairs = vec2u(words[0], words[1]);
  if (B_TYPE == F16) { return vec4f(unpack2x16float(pairs.x), unpack2x16float(pairs.y)); }
  let low = pairs * 65536u;  // << 16
  let high = pairs & vec2u(0xffff0000u);
  return bitcast<vec4f>(vec4u(low.x, high.x, low.y, high.y));
}
