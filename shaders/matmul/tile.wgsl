// Tiles of matmul.wgsl and conv2d.wgsl, in registers: how one ends.
//
//   store_tile(place, first, z, sums, scale)   y = activation(scale * sums + bias) + residual
//
// host      as in matmul-ending.wgsl
// prelude   const ROWS (1, 4, 8), const COLS (4, 8), and those of matmul-ending.wgsl

/** A tile's outputs in blocks of 4 x 4, whose columns are rows of y. Block 2 r + c lies at row 4 r, column 4 c. */
alias Blocks = array<mat4x4f, 4>;

/** Of columns n to n + 3 of this dispatch; the last is repeated past the edge. */
fn bias4(n: u32) -> vec4f {
  if (!HAS_BIAS) { return vec4f(); }
  let at = y_first() + min(vec4u(n, n + 1u, n + 2u, n + 3u), vec4u(sizes.N - 1u));
  return vec4f(bias[at.x], bias[at.y], bias[at.z], bias[at.w]);
}

/**
 * One copy of the ending for all blocks: indexing by a variable puts them in memory, once.
 *
 * @param first which of the blocks of rows, and of columns, come first in `sums`
 */
fn store_tile(place: Place, first: vec2u, z: u32, sums: Blocks, scale: f32) {
  var blocks = sums;
  let halves = COLS / 4u;
  let bias0 = bias4(place.n);
  let bias1 = bias4(place.n + 4u);
  for (var i = 0u; i < ROWS * halves; i++) {
    let half = i % halves;
    let row = i / halves;
    let block = ((row / 4u) ^ first.x) * 2u + (half ^ first.y);
    let m = place.m + row;
    let n = place.n + half * 4u;
    if (m < sizes.M && n < sizes.N) {
      let v = blocks[block][row % 4u] * scale + select(bias0, bias1, half == 1u);
      let at = (z * sizes.M + m) * sizes.y_cols + y_first() + n;
      let count = min(4u, sizes.N - n);
      for (var j = 0u; j < count; j++) { finish(v[j], at + j); }
    }
  }
}
