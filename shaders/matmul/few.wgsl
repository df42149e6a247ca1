// matmul-few: y[m, n] = activation(scale * sum_k a[m, k] b[n, k] + bias[n]) + residual[m, n], for few rows m
//
// With few rows the weights' loads are all that counts. So lanes own rows of b, as in matmul-subgroup.wgsl, but for a they
// stand side by side along k: one load brings LANES times four values of a row, which then go round by broadcast.
//
// shapes    a [M, K] f32, b [N, K] as matmul-texture.wgsl or matmul-buffer.wgsl has it, y [M, y_cols] f32.
//           GATED: y = silu(a b^T) * (a b_up^T), a SwiGLU pair
// threads   a workgroup is one subgroup; lane l has column l of every panel
// numerics  f32; four products at a time are added to the sum, in the order of k: same bits every run
// host      M, N, K >= 1; K counts vectors where ALIGNED; the marked loops are written out first (src/kernels/unroll.ts)
// prelude   const LANES, ROWS (1, 2, 4, 8), COLUMN_PANELS, PAIRS (COLUMN_PANELS, or half of
//           it where GATED: then the first half is of b, the second of b_up, for the same columns), BLOCK (the larger of LANES and TURNS) and LOADS (BLOCK / LANES),
//           ALIGNED, alias AWord (vec4f where ALIGNED, else f32), GATED, and those of matmul-texels, matmul-texture or
//           matmul-buffer, and matmul-ending
//
// per block of LANES fours of k, f32: ROWS loads of a, 8 COLUMN_PANELS of b, 8 ROWS broadcasts; the share of the load
//           bandwidth of b's texture should be 30 / (30 + 13 / COLUMN_PANELS + 8), 0.75 with four panels and one row

const COLS = PAIRS * LANES;

/** The four nibbles of the low half of a word, not shifted: times 1, 16, 256 and 4096. */
fn nibbles_in_place(word: u32) -> vec4f {
  return vec4f(vec4i(vec4u(word) & vec4u(0xfu, 0xf0u, 0xf00u, 0xf000u)));
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let tile = (group.y + sizes.first_group) * groups.x + group.x;
  if (tile >= sizes.tiles_m * sizes.tiles_n) { return; }
  let place = place_of(tile);

  // Rows past the edge are the last row again, whose sums are never stored
  var a_at: array<u32, ROWS>;
  var b_at: array<u32, COLUMN_PANELS>;
  /*unroll*/ for (var r = 0u; r < ROWS; r++) { a_at[r] = min(place.m + r, sizes.M - 1u) * sizes.K; }
  /*unroll*/ for (var p = 0u; p < COLUMN_PANELS; p++) {
    b_at[p] = b_begin(p >= PAIRS, place.n + p % PAIRS * LANES, lane);
  }

  var sums: array<f32, ROWS * COLUMN_PANELS>;
  var row: array<vec4f, ROWS * LOADS>;
  var texel: array<vec4u, COLUMN_PANELS>;
  var factor: array<f32, COLUMN_PANELS>;  // of int4: one a texel. int8 has one a row, for the end
  var spread: array<vec4f, ROWS>;
  var group_sums: array<f32, ROWS * COLUMN_PANELS>;
  var eights: array<f32, ROWS>;
  let fours = sizes.texels * TURNS;
  for (var k = 0u; k < fours; k += BLOCK) {
    /*unroll*/ for (var r = 0u; r < ROWS; r++) {
      /*unroll*/ for (var i = 0u; i < LOADS; i++) { row[r * LOADS + i] = a4(a_at[r], k + i * LANES + lane); }
    }
    /*unroll*/ for (var s = 0u; s < BLOCK; s++) {
      /*unroll*/ for (var r = 0u; r < ROWS; r++) {
        spread[r] = subgroupBroadcast(row[r * LOADS + s / LANES], s % LANES);
        if (B_TYPE == INT4) {
          if (s % TURNS == 0u) { eights[r] = 0.0; }
          eights[r] += dot(spread[r], vec4f(8.0));
          spread[r] *= vec4f(1.0, 0.0625, 0.00390625, 0.000244140625);
        }
      }
      /*unroll*/ for (var p = 0u; p < COLUMN_PANELS; p++) {
        if (s % TURNS == 0u) {
          // Past a row's end there are zeros of a, whatever b has
          let t = min((k + s) / TURNS, sizes.texels - 1u);
          texel[p] = b_texel(p >= PAIRS, b_at[p], t);
          if (SCALE_GROUPS == 2u) { factor[p] = b_scale(p >= PAIRS, place.n + p % PAIRS * LANES, lane, t); }
        }
        if (B_TYPE == INT4) {
          let values = nibbles_in_place(texel[p][s % TURNS / 2u] >> (16u * (s % 2u)));
          /*unroll*/ for (var r = 0u; r < ROWS; r++) {
            if (s % TURNS == 0u) { group_sums[r * COLUMN_PANELS + p] = 0.0; }
            group_sums[r * COLUMN_PANELS + p] += dot(spread[r], values);
            if (s % TURNS == TURNS - 1u) {
              sums[r * COLUMN_PANELS + p] += factor[p] * (group_sums[r * COLUMN_PANELS + p] - eights[r]);
            }
          }
        } else {
          let values = b_values(texel[p]);
          /*unroll*/ for (var r = 0u; r < ROWS; r++) { sums[r * COLUMN_PANELS + p] += dot(spread[r], values); }
          if (s % TURNS != TURNS - 1u) { texel[p] = next_turn(texel[p]); }
        }
      }
    }
  }

  /*unroll*/ for (var r = 0u; r < ROWS; r++) {
    if (place.m + r < sizes.M) {
      /*unroll*/ for (var p = 0u; p < PAIRS; p++) {
        let n = place.n + p * LANES + lane;
        if (n < sizes.N) {
          var value = sums[r * COLUMN_PANELS + p];
          if (SCALE_GROUPS == 1u) { value *= b_scale(false, place.n + p * LANES, lane, 0u); }
          if (GATED) {
            var gate_up = sums[r * COLUMN_PANELS + (PAIRS + p) % COLUMN_PANELS];
            if (SCALE_GROUPS == 1u) { gate_up *= b_scale(true, place.n + p * LANES, lane, 0u); }
            value = activate(value, SILU) * gate_up;
          }
          finish(biased(value * sizes.scale, n), (place.m + r) * sizes.y_cols + sizes.y_first + n);
        }
      }
    }
  }
}
