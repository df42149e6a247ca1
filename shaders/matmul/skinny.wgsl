// matmul for few rows, by subgroups: y[m, n] = activation(scale * sum_k a[m, k] b[n, k] + bias[n]) + residual[m, n]
//
// A skinny product: with few rows of a, the loads of the weights take most of the time. Each lane owns rows of b, as in
// subgroup.wgsl, but a is loaded with the lanes side by side along k: one load brings LANES times four values of a row,
// which are then broadcast to all lanes.
//
// shapes    a [M, K] f32, b [N, K] by texels (lib/operands.wgsl), y [M, N] f32. GATED: y = silu(a b^T) * (a b_up^T), a
//           SwiGLU pair
// threads   a workgroup is one subgroup; lane l takes column l of each of B_GROUPS groups of LANES columns
// numerics  f32; four products at a time are added to the sum, in the order of k: same bits every run
// host      M, N, K >= 1; K counts vec4s where ALIGNED; workgroups x, y count tiles; first_group is added to
//           workgroup_id.y
// prelude   const LANES, ROWS (1, 2, 4, 8), B_GROUPS, Y_GROUPS (B_GROUPS, or half of it where GATED: then the first
//           half of the groups is of b, the second of b_up, for the same columns), TURNS (vec4s in a texel), STEP_VEC4S
//           (vec4s of k per step: the larger of LANES and TURNS), LOADS (STEP_VEC4S / LANES), GATED, and those of
//           lib/left_operand.wgsl and lib/operands.wgsl
//
// predicted per step of LANES = 8 vec4s of k in f32: ROWS loads of a, 8 B_GROUPS loads of b, 8 ROWS broadcasts. With
//           one row, loads of b's texture take 30 / (30 + 13 / B_GROUPS + 8) of the time: 0.75 with four groups

import package::lib::left_operand::a4_in;
import package::lib::operands::{INT4, b_texel, finish, lane_row, next_turn, scaled, values};
import package::lib::tile_order::tile_at;
import package::matmul::sizes::{first_row, sizes, texel_scale};
import prelude::{B_GROUPS, B_TYPE, GATED, LANES, LOADS, ROWS, SCALE_GROUPS, STEP_VEC4S, TURNS, Y_GROUPS};

/** Columns of y of a tile. */
const COLS = Y_GROUPS * LANES;

/**
 * The four nibbles of the low half of a word, left in place: they are multiplied by 1, 16, 256 and 4096. Every other
 * kernel takes int4 from values() of lib/operands. With few rows most of the arithmetic is that of widening, so here
 * it is done without the shifts and without subtracting 8 from each: a, of which there is little, is divided by those
 * powers instead, and 8 times its sum is subtracted once per texel.
 */
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
  let at = tile_at(tile, sizes.tiles_m, sizes.tiles_n) * vec2u(ROWS, COLS);

  // Past the edge the last row is taken again, and its sums are never stored
  var a_at: array<u32, ROWS>;
  var b_at: array<u32, B_GROUPS>;
  /*unroll*/ for (var r = 0u; r < ROWS; r++) { a_at[r] = min(at.x + r, sizes.M - 1u) * sizes.K; }
  /*unroll*/ for (var p = 0u; p < B_GROUPS; p++) {
    b_at[p] = lane_row(at.y + p % Y_GROUPS * LANES, lane, first_row(p >= Y_GROUPS), sizes.N, sizes.texels);
  }

  var sums: array<f32, ROWS * B_GROUPS>;
  var row: array<vec4f, ROWS * LOADS>;
  var texel: array<vec4u, B_GROUPS>;
  var factor: array<f32, B_GROUPS>;  // of int4: one per texel. int8 has one per row, for the end
  var spread: array<vec4f, ROWS>;
  var group_sums: array<f32, ROWS * B_GROUPS>;
  var eights: array<f32, ROWS>;
  let vec4s = sizes.texels * TURNS;
  for (var k = 0u; k < vec4s; k += STEP_VEC4S) {
    /*unroll*/ for (var r = 0u; r < ROWS; r++) {
      /*unroll*/ for (var i = 0u; i < LOADS; i++) {
        row[r * LOADS + i] = a4_in(a_at[r], k + i * LANES + lane, sizes.K);
      }
    }
    /*unroll*/ for (var s = 0u; s < STEP_VEC4S; s++) {
      /*unroll*/ for (var r = 0u; r < ROWS; r++) {
        spread[r] = subgroupBroadcast(row[r * LOADS + s / LANES], s % LANES);
        if (B_TYPE == INT4) {
          if (s % TURNS == 0u) { eights[r] = 0.0; }
          eights[r] += dot(spread[r], vec4f(8.0));
          spread[r] *= vec4f(1.0, 0.0625, 0.00390625, 0.000244140625);
        }
      }
      /*unroll*/ for (var p = 0u; p < B_GROUPS; p++) {
        if (s % TURNS == 0u) {
          // Past a row's end a is 0, so any value of b will do
          let t = min((k + s) / TURNS, sizes.texels - 1u);
          texel[p] = b_texel(p >= Y_GROUPS, b_at[p], t);
          if (SCALE_GROUPS == 2u) { factor[p] = texel_scale(p >= Y_GROUPS, at.y + p % Y_GROUPS * LANES + lane, t); }
        }
        if (B_TYPE == INT4) {
          let numbers = nibbles_in_place(texel[p][s % TURNS / 2u] >> (16u * (s % 2u)));
          /*unroll*/ for (var r = 0u; r < ROWS; r++) {
            if (s % TURNS == 0u) { group_sums[r * B_GROUPS + p] = 0.0; }
            group_sums[r * B_GROUPS + p] += dot(spread[r], numbers);
            if (s % TURNS == TURNS - 1u) {
              sums[r * B_GROUPS + p] += factor[p] * (group_sums[r * B_GROUPS + p] - eights[r]);
            }
          }
        } else {
          let numbers = values(texel[p]);
          /*unroll*/ for (var r = 0u; r < ROWS; r++) { sums[r * B_GROUPS + p] += dot(spread[r], numbers); }
          if (s % TURNS != TURNS - 1u) { texel[p] = next_turn(texel[p]); }
        }
      }
    }
  }

  /*unroll*/ for (var r = 0u; r < ROWS; r++) {
    if (at.x + r < sizes.M) {
      /*unroll*/ for (var p = 0u; p < Y_GROUPS; p++) {
        let n = at.y + p * LANES + lane;
        if (n < sizes.N) {
          let sum = scaled(false, sums[r * B_GROUPS + p], first_row(false) + n);
          var up_sum = 0.0;
          if (GATED) {
            up_sum = scaled(true, sums[r * B_GROUPS + (Y_GROUPS + p) % B_GROUPS], first_row(true) + n);
          }
          finish(sum, up_sum, sizes.scale, n, (at.x + r) * sizes.N + n);
        }
      }
    }
  }
}
