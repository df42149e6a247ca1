// a, the left operand of a product, by vec4s of its rows. For an image in its place see shaders/conv/patch.wgsl.
//
//   a, a1(i)                  the buffer, for images, and one element of it where not ALIGNED
//   a4(i, left)               elements i .. i + 3; where not ALIGNED only the first `left` exist, and the others are 0
//   a4_in(begin, k, count)    vec4 k of a row of `count` that begins at `begin`; zeros past its end, so that their
//                             products are 0
//
// bindings  0 a f32
// prelude   const ALIGNED: rows are multiples of four, and indices and lengths count vec4s: one load each. Otherwise
//           they count elements. const STEP (1 where ALIGNED, else 4: from one vec4 to the next), alias AWord (vec4f
//           where ALIGNED, else f32)

import package::lib::operands::NEXT;
import prelude::{ALIGNED, AWord, STEP};

@group(0) @binding(0) var<storage, read> a: array<AWord>;

fn a1(i: i32) -> f32 { return vec4f(a[i]).x; }

fn a4(i: u32, left: u32) -> vec4f {
  var v: vec4f;
  if (ALIGNED) {
    v = vec4f(a[i]);
  } else {
    let at = vec4i(i + min(NEXT, vec4u(left - 1u)));
    v = select(vec4f(), vec4f(a1(at.x), a1(at.y), a1(at.z), a1(at.w)), NEXT < vec4u(left));
  }
  return v;
}

fn a4_in(begin: u32, k: u32, count: u32) -> vec4f {
  let i = min(k * STEP, count - 1u);
  return select(vec4f(), a4(begin + i, count - i), k * STEP < count);
}
