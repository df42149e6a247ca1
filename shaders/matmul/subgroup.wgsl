// matmul by subgroups: y[m, n] = activation(scale * sum_k a[m, k] b[n, k] + bias[n]) + residual[m, n]
//
// For adapters where a load costs more than arithmetic and a subgroup has one fixed size, above all CPUs behind Vulkan.
// A subgroup takes A_GROUPS groups of LANES rows of a, and B_GROUPS groups of LANES rows of b. A lane loads
// four k of its own rows; the values of a are then broadcast to all lanes, so that a load feeds LANES times as many
// products.
//
// shapes    a [M, K] f32, or under @if(CONV) an image (shaders/conv/patch.wgsl); b [N, K] by texels
//           (lib/operands.wgsl), y [M, N] f32. CONV: the runs [kw, I] of a row of b each begin a texel. GATED: y =
//           silu(a b^T) * (a b_up^T), a SwiGLU pair
// threads   a workgroup is one subgroup; lane l loads row l of every group of a and of b, and computes columns l, LANES
//           + l, ... of the tile
// numerics  f32; four products at a time are added to the sum, in the order of k: same bits every run
// host      M, N, K >= 1; K counts vec4s where ALIGNED; A_GROUPS * LANES * B_GROUPS <= 256; workgroups x, y count
//           tiles; first_group is added to workgroup_id.y
// prelude   const LANES, A_GROUPS, B_GROUPS, TURNS (vec4s in a texel), GATED, and those of lib/left_operand.wgsl and
//           lib/operands.wgsl
//
// per step  of 4 k on 8 lanes: A_GROUPS loads of a (60 cycles), B_GROUPS of b (30 through a texture), 8 A_GROUPS
//           broadcasts of a vec4 (13: four shuffles of 3), 32 A_GROUPS B_GROUPS multiply-adds of 8 lanes (1)
// measured  lavapipe, two cores of a Xeon, November 2026, GFLOP/s of 1024^3: 4 x 8 groups 52.5 (b in a texture), 4 x 4
//           groups 41 (b in a buffer), 4 x 8 with a buffer 26 (too many registers); 84 is what multiply-adds alone
//           reach. 3 x 3, 256 -> 256 channels of 64 x 64: 40

import package::conv::patch::{patches, run4};
import package::lib::left_operand::a4_in;
import package::lib::operands::{b_texel, finish, lane_row, next_turn, values};
import package::lib::tile_order::tile_at;
import package::matmul::sizes::{first_row, image, sizes, texel_scale};
import prelude::{A_GROUPS, B_GROUPS, GATED, LANES, SCALE_GROUPS, STEP, TURNS};

/** Groups of columns of y. GATED: the first half of the groups is of b, the second of b_up, for the same columns. */
const Y_GROUPS = select(B_GROUPS, B_GROUPS / 2u, GATED);
/** Rows and columns of y of a tile. */
const ROWS = A_GROUPS * LANES;
const COLS = Y_GROUPS * LANES;

// The place where a lane's row of a begins; of an image, where its patch begins
@if(CONV) alias Row = vec2i;  // image row and position in it
@else alias Row = u32;

@if(CONV) fn row_of_a(m: u32) -> Row {
  let all = patches(image(), vec4u(m));
  return vec2i(all.row.x, all.at.x);
}
@else fn row_of_a(m: u32) -> Row { return m * sizes.K; }

/** Vec4 k of run dy of a row. */
@if(CONV) fn a_vec4(row: Row, dy: u32, k: u32) -> vec4f {
  let i = min(k * STEP, sizes.run - 1u);
  return run4(image(), row.x + i32(dy), row.y + i32(i), i32(sizes.run) - i32(k * STEP));
}
@else fn a_vec4(row: Row, dy: u32, k: u32) -> vec4f { return a4_in(row, k, sizes.K); }

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let tile = (group.y + sizes.first_group) * groups.x + group.x;
  if (tile >= sizes.tiles_m * sizes.tiles_n) { return; }
  let at = tile_at(tile, sizes.tiles_m, sizes.tiles_n) * vec2u(ROWS, COLS);

  // Past the edge the last row is taken again, and its sums are never stored
  var a_at: array<Row, A_GROUPS>;
  var b_at: array<u32, B_GROUPS>;
  /*unroll*/ for (var p = 0u; p < A_GROUPS; p++) {
    a_at[p] = row_of_a(min(at.x + p * LANES + lane, sizes.M - 1u));
  }
  /*unroll*/ for (var p = 0u; p < B_GROUPS; p++) {
    b_at[p] = lane_row(at.y + p % Y_GROUPS * LANES, lane, first_row(p >= Y_GROUPS), sizes.N, sizes.texels);
  }

  var sums: array<f32, ROWS * B_GROUPS>;
  var texel: array<vec4u, B_GROUPS>;
  var factor: array<f32, B_GROUPS>;
  var row: array<vec4f, A_GROUPS>;
  var column: array<vec4f, B_GROUPS>;
  // The run of an image that has texel t, and the run's first texel
  @if(CONV) var dy = 0u;
  @else let dy = 0u;
  @if(CONV) var begin = 0u;
  @else let begin = 0u;
  for (var t = 0u; t < sizes.texels; t++) {
    @if(CONV) {
      if (t - begin == sizes.run_texels) {
        begin = t;
        dy++;
      }
    }
    /*unroll*/ for (var p = 0u; p < B_GROUPS; p++) {
      let up = p >= Y_GROUPS;
      texel[p] = b_texel(up, b_at[p], t);
      factor[p] = texel_scale(up, at.y + p % Y_GROUPS * LANES + lane, t);
    }
    for (var turn = 0u; turn < TURNS; turn++) {
      /*unroll*/ for (var p = 0u; p < B_GROUPS; p++) {
        column[p] = values(texel[p]);
        if (SCALE_GROUPS > 0u) { column[p] *= factor[p]; }
        texel[p] = next_turn(texel[p]);
      }
      /*unroll*/ for (var p = 0u; p < A_GROUPS; p++) { row[p] = a_vec4(a_at[p], dy, (t - begin) * TURNS + turn); }
      /*unroll*/ for (var p = 0u; p < A_GROUPS; p++) {
        /*unroll*/ for (var l = 0u; l < LANES; l++) {
          let v = subgroupBroadcast(row[p], l);
          /*unroll*/ for (var q = 0u; q < B_GROUPS; q++) {
            sums[(p * LANES + l) * B_GROUPS + q] += dot(v, column[q]);
          }
        }
      }
    }
  }

  @if(CONV) let scale = 1.0;
  @else let scale = sizes.scale;
  // A copy, as indexing by a variable puts an array into memory
  var done = sums;
  for (var r = 0u; r < min(ROWS, sizes.M - at.x); r++) {
    for (var q = 0u; q < Y_GROUPS; q++) {
      let n = at.y + q * LANES + lane;
      if (n >= sizes.N) { continue; }
      var up_sum = 0.0;
      if (GATED) { up_sum = done[r * B_GROUPS + Y_GROUPS + q]; }
      finish(done[r * B_GROUPS + q], up_sum, scale, n, (at.x + r) * sizes.N + n);
    }
  }
}
