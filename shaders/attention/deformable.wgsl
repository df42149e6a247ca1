// attention/deformable: multi-scale deformable attention (Zhu et al. 2021, eq. 3; spec 6.2)
//
//   y[i, h] = sum_lp softmax(weights[i, h])_lp * bilinear(value of level l, head h, at the point)
//   point   = (column_i + 1/2, row_i + 1/2) * size_l / size_of_i's_level + offsets[i, h, l, p] - 1/2
//
// in pixels of level l. Taps outside of the map count as 0.
//
// shapes    value [T, heads, D4] vec4f, offsets [T, heads, levels, points] vec2f (x, y), weights [T, heads, levels,
//           points] f32, y as value. Tokens are the levels one after the other, each row-major.
// threads   a thread takes CHUNKS of the D4 vec4s of a token's head
// grid      x: heads, then chunks of them; y: tokens, WG per workgroup
// numerics  f32; whole pixels and fractions are kept apart, so that a large map costs no precision. A point whose place
//           isn't finite or whose weight is NaN makes the token's head NaN
// host      levels <= 4, of which unused ones have size 0; T is the sum of H * W; CHUNKS divides D4.
//           Levels and points are sizes and not constants: Mesa would unroll all of their loops, and compile for
//           seconds
// prelude   const D4, CHUNKS, WG
// predicted 48 loads of 60 cycles per vec4f of a head on 8 lanes: 95 ms
// measured  142 and 653 ms for 21,504 tokens of 8 heads of 32, 3 levels of 4 points (lavapipe and SwiftShader, two
//           cores of a Xeon, November 2026)

import package::lib::nan::{is_finite, nan_of};
import prelude::{CHUNKS, D4, WG};

struct Sizes {
  T: u32, heads: u32, levels: u32, points: u32,
  h0: u32, w0: u32, h1: u32, w1: u32, h2: u32, w2: u32, h3: u32, w3: u32,
  first_group: u32,
}

@group(0) @binding(0) var<storage, read> value: array<vec4f>;
@group(0) @binding(1) var<storage, read> offsets: array<vec2f>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(4) var<uniform> sizes: Sizes;

/** A level's width and height. */
fn extent(level: u32) -> vec2u {
  switch (level) {
    case 0u: { return vec2u(sizes.w0, sizes.h0); }
    case 1u: { return vec2u(sizes.w1, sizes.h1); }
    case 2u: { return vec2u(sizes.w2, sizes.h2); }
    default: { return vec2u(sizes.w3, sizes.h3); }
  }
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  // x runs over a token's heads and their chunks, y over tokens, so that a long dispatch can be cut
  let token = (group.y + sizes.first_group) * WG + thread;
  if (token >= sizes.T) { return; }
  let head = group.x / (D4 / CHUNKS);
  let chunk = group.x % (D4 / CHUNKS) * CHUNKS;

  // The token's own level and pixel
  var own = vec2u(1u);
  var before = 0u;
  var place = token;
  for (var l = 0u; l < sizes.levels; l++) {
    let size = extent(l);
    if (token >= before) {
      own = size;
      place = token - before;
    }
    before += size.x * size.y;
  }
  let pixel = vec2u(place % own.x, place / own.x);

  // Softmax: the largest weight first, the sum on the way
  let first = (token * sizes.heads + head) * (sizes.levels * sizes.points);
  var top = weights[first];
  for (var p = 1u; p < sizes.levels * sizes.points; p++) { top = max(top, weights[first + p]); }

  var sums: array<vec4f, CHUNKS>;
  /*unroll*/ for (var c = 0u; c < CHUNKS; c++) { sums[c] = vec4f(); }
  var total = 0.0;
  var level_first = 0u;
  for (var l = 0u; l < sizes.levels; l++) {
    // The reference point, (pixel + 1/2) * size / own - 1/2, as whole + fraction; the added 1 keeps it positive
    let size = extent(l);
    let numerator = (2u * pixel + 1u) * size + own;
    let whole = vec2i(numerator / (2u * own)) - 1i;
    let fraction = vec2f(numerator % (2u * own)) / vec2f(2u * own);
    for (var p = 0u; p < sizes.points; p++) {
      let share = exp(weights[first + l * sizes.points + p] - top);
      // An offset that isn't finite has no pixel: total becomes NaN, and so y
      let exact = fraction + offsets[first + l * sizes.points + p];
      total += select(nan_of(exact.x), share, is_finite(exact.x) && is_finite(exact.y));
      // Points farther away than this are outside of every map
      let moved = clamp(exact, vec2f(-1.0e6), vec2f(1.0e6));
      let floored = floor(moved);
      let corner = whole + vec2i(floored);
      let w = moved - floored;
      for (var tap = 0u; tap < 4u; tap++) {
        let side = vec2u(tap & 1u, tap >> 1u);
        let at = corner + vec2i(side);
        if (all(at >= vec2i(0)) && all(at < vec2i(size))) {
          let near = select(1.0 - w, w, side == vec2u(1u));
          let weight = share * near.x * near.y;
          let token_at = level_first + u32(at.y) * size.x + u32(at.x);
          let from_here = (token_at * sizes.heads + head) * D4 + chunk;
          /*unroll*/ for (var c = 0u; c < CHUNKS; c++) { sums[c] += weight * value[from_here + c]; }
        }
      }
    }
    level_first += size.x * size.y;
  }

  let to = (token * sizes.heads + head) * D4 + chunk;
  total = select(nan_of(total), total, is_finite(total));
  /*unroll*/ for (var c = 0u; c < CHUNKS; c++) { y[to + c] = sums[c] / total; }
}
