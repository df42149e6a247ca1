// What matmul-rows and matmul-rows-subgroup share: a thread's part of the sums, and how a sum ends.
//
//   row_sums(place, thread)             of rows m .. and of columns n .. n + 3, the products at every WG-th four of k
//   end_row(place, row, c, sum, up_sum)   stores one output from its whole sum, and from that of b_up where GATED
//
// GATED: columns n, n + 1 of b, then those of b_up. A thread reads neighbouring fours of a row of b with its neighbours, and
// uses them for all rows of a, which come from a cache.
//
// host      K >= 1; K and b_row count fours where ALIGNED; b is [N, K]
// prelude   const ROWS (1, 2, 4, 8, 16), const WG, and those of matmul-fours and matmul-ending

struct Sizes {
  M: u32, N: u32, K: u32,
  scale: f32,
  tiles_m: u32, tiles_n: u32,
  y_cols: u32, y_first: u32,
  b_row: u32,
  first_group: u32,
}

@group(0) @binding(6) var<uniform> sizes: Sizes;

fn y_first() -> u32 { return sizes.y_first; }

const PAIRS = select(4u, 2u, GATED);
const COLS = PAIRS;

fn row_sums(place: Place, thread: u32) -> array<vec4f, ROWS> {
  var sums: array<vec4f, ROWS>;
  var column: array<vec4f, 4>;
  let fours = fours_of_k();
  for (var k = thread; k < fours; k += WG) {
    /*unroll*/ for (var c = 0u; c < 4u; c++) {
      let n = min(place.n + c % PAIRS, sizes.N - 1u);
      column[c] = b4(c >= PAIRS, n * sizes.b_row, k);
      if (SCALE_GROUPS == 2u) { column[c] *= b_scale(c >= PAIRS, n, k); }
    }
    /*unroll*/ for (var r = 0u; r < ROWS; r++) {
      let v = a4(min(place.m + r, sizes.M - 1u) * sizes.K, k);
      sums[r] += vec4f(dot(v, column[0]), dot(v, column[1]), dot(v, column[2]), dot(v, column[3]));
    }
  }
  // In a copy, as the ending indexes it by a variable and so it lies in memory: written out it compiled for 1 s on lavapipe
  var done: array<vec4f, ROWS>;
  /*unroll*/ for (var r = 0u; r < ROWS; r++) { done[r] = sums[r]; }
  return done;
}

fn end_row(place: Place, row: u32, c: u32, sum: f32, up_sum: f32) {
  let m = place.m + row;
  let n = place.n + c;
  if (m >= sizes.M || n >= sizes.N) { return; }
  var value = sum;
  if (SCALE_GROUPS == 1u) { value *= b_scale(false, n, 0u); }
  if (GATED) { value = activate(value, SILU) * up_sum * select(1.0, b_scale(true, n, 0u), SCALE_GROUPS == 1u); }
  finish(biased(value * sizes.scale, n), m * sizes.y_cols + sizes.y_first + n);
}
