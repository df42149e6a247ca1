// What matmul-rows and matmul-rows-subgroup share: a thread's part of the sums, and how a sum ends.
//
//   row_sums(place, thread)             of rows m .. and of columns n .. n + 3, the products at every WG-th four of k
//   partial                             what threads or subgroups leave of a pass, PARTIALS at most
//   end_pass(place, turn, thread, count)  adds `count` of them up and stores the outputs
//
// GATED: columns n, n + 1 of b, then those of b_up. A thread reads neighbouring fours of a row of b with its neighbours, and
// uses them for all rows of a, which come from a cache.
//
// host      K >= 1; K and b_row count fours where ALIGNED; b is [N, K]
// prelude   const ROWS (1, 2, 4, 8, 16), const WG, PASS_ROWS (rows of a pass), and those of matmul-fours and matmul-ending

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

/** A pass's partial sums, of PASS_ROWS rows each. */
var<workgroup> partial: array<vec4f, PARTIALS * PASS_ROWS>;

fn whole(row: u32, c: u32, count: u32) -> f32 {
  var sum = 0.0;
  for (var i = 0u; i < count; i++) { sum += partial[i * PASS_ROWS + row][c]; }
  return sum;
}

/** Adds up `count` partial sums of each of the pass's outputs, an output a thread. */
fn end_pass(place: Place, turn: u32, thread: u32, count: u32) {
  if (thread >= PASS_ROWS * PAIRS) { return; }
  let row = thread / PAIRS;
  let c = thread % PAIRS;
  var up_sum = 0.0;
  if (GATED) { up_sum = whole(row, c + PAIRS, count); }
  end_row(place, turn * PASS_ROWS + row, c, whole(row, c, count), up_sum);
}
