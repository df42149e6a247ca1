// matmul for few rows: y[m, n] = activation(scale * sum_k a[m, k] b[n, k] + bias[n]) + residual[m, n]
//
// For GPUs, where a product with few rows (gemv: one) is bound by memory bandwidth. A workgroup takes four columns
// (GATED: two, and the same two of b_up) and ROWS rows. Its threads stride along k, so that a row of b is read once,
// coalesced, and used for all rows of a, which come from a cache. Under @if(SUBGROUPS) subgroups, of any size, add up
// their threads' sums in registers first, so that WG / (their size) values per output go through workgroup memory
// instead of WG. With subgroups of 32 the epilogue takes 2 reads per thread instead of 64.
//
// shapes    a [M, K] f32, b [N, K] in rows (lib/operands.wgsl), y [M, y_cols] f32, where b's columns begin at y_first.
//           GATED: y = silu(a b^T) * (a b_up^T), a SwiGLU pair
// threads   WG per workgroup; thread t takes vec4s t, t + WG ... of k, for all outputs of the workgroup
// numerics  f32; dot products of vec4s add up in the order of k per thread, then thread by thread, or in the subgroup's
//           order and then subgroup by subgroup: same bits every run
// host      M, N, K >= 1; K and b_row count vec4s where ALIGNED; workgroups x, y count tiles of ROWS x COLS;
//           first_group is added to workgroup_id.y. SUBGROUPS: of 4 threads or more, in a WGSL that has subgroup_id
// prelude   const ROWS (1, 2, 4, 8, 16), const WG, const PASSES (ROWS / 4, at least 1) and const PASS_ROWS (ROWS /
//           PASSES), and those of lib/left_operand.wgsl and lib/operands.wgsl
//
// Arithmetic, WG = 64, of a vec4 (16 bytes of b in f32, 8 in 16 bits, 4 in int8): a thread has 4 + ROWS loads for 16
// ROWS multiply-adds. One row: 5 loads, 1 of them from a cache, some 60 instructions. Registers: 4 ROWS sums + 16 + 4 +
// addresses, 40 for one row and 100 for sixteen: 24 or 10 workgroups per core of 64 Ki registers (64 threads each; 1 to
// 4 KB of workgroup memory). In flight a core then has 24 x 64 x 4 x 8 bytes = 48 KB in 16 bits; 20 bytes per ns (300
// GB/s over 16 cores) over 600 ns are 12 KB. Epilogue: PASSES times two barriers, 4 stores and WG loads by 16
// threads, some 300 cycles that the other workgroups hide.
//
// predicted (not measured) 80 % of memory bandwidth for one row of f32 or 16-bit weights from 1,024 x 1,024 on, 50 %
//           for int4, whose 4 x 2 bytes take 60 instructions; for 16 rows half of the multiply-add ceiling or less, as
//           20 loads feed 256 multiply-adds. SUBGROUPS: 5 % more where K <= 1,024, as the epilogue is then a tenth of
//           the work; else the same
// measured  on no GPU. Software adapters, whose cost model avoids it, in GFLOP/s of 1 x 1024 x 1024 (two cores of a
//           Xeon, November 2026): lavapipe 2.1 (SUBGROUPS 2.3), registers 3.9; SwiftShader 0.2 (0.3), registers 1.7

import package::lib::left_operand::a4_in;
import package::lib::operands::{b4_in, finish, scaled};
import package::lib::tile_order::tile_at;
import package::matmul::sizes::{b_row, row_scale, sizes, y_cols, y_first};
import prelude::{GATED, PASSES, PASS_ROWS, ROWS, SCALE_GROUPS, STEP, WG};

/** Columns of y of a tile. */
const COLS = select(4u, 2u, GATED);

/** Partial sums of an output in workgroup memory: one per thread, or one per subgroup, of at least four lanes. */
@if(SUBGROUPS) const PARTIALS = WG / 4u;
@else const PARTIALS = WG;

/** The partial sums of a pass, of PASS_ROWS rows each. */
var<workgroup> partial: array<vec4f, PARTIALS * PASS_ROWS>;

fn total_of_threads(row: u32, c: u32, count: u32) -> f32 {
  var sum = 0.0;
  for (var i = 0u; i < count; i++) { sum += partial[i * PASS_ROWS + row][c]; }
  return sum;
}

/** Adds up `count` partial sums of each of the pass's outputs, an output per thread, and stores it. */
fn end_pass(corner: vec2u, pass_index: u32, thread: u32, count: u32) {
  if (thread >= PASS_ROWS * COLS) { return; }
  let row = thread / COLS;
  let c = thread % COLS;
  let m = corner.x + pass_index * PASS_ROWS + row;
  let n = corner.y + c;
  if (m >= sizes.M || n >= sizes.N) { return; }
  let column = y_first() + n;
  let sum = scaled(false, total_of_threads(row, c, count), column);
  var up_sum = 0.0;
  if (GATED) { up_sum = scaled(true, total_of_threads(row, c + COLS, count), column); }
  finish(sum, up_sum, sizes.scale, column, m * y_cols() + column);
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @if(SUBGROUPS) @builtin(subgroup_invocation_id) lane: u32,
  @if(SUBGROUPS) @builtin(subgroup_id) subgroup: u32,
  @if(SUBGROUPS) @builtin(num_subgroups) subgroups: u32,
) {
  let tile = (group.y + sizes.first_group) * groups.x + group.x;
  if (tile >= sizes.tiles_m * sizes.tiles_n) { return; }  // all of the workgroup, so the barriers stay uniform
  let corner = tile_at(tile, sizes.tiles_m, sizes.tiles_n) * vec2u(ROWS, COLS);

  var sums: array<vec4f, ROWS>;
  var column: array<vec4f, 4>;
  let vec4s = (sizes.K + STEP - 1u) / STEP;
  for (var k = thread; k < vec4s; k += WG) {
    /*unroll*/ for (var c = 0u; c < 4u; c++) {
      let n = min(corner.y + c % COLS, sizes.N - 1u);
      column[c] = b4_in(c >= COLS, n * b_row(), k, sizes.K);
      if (SCALE_GROUPS == 2u) { column[c] *= row_scale(c >= COLS, n, k); }
    }
    /*unroll*/ for (var r = 0u; r < ROWS; r++) {
      let v = a4_in(min(corner.x + r, sizes.M - 1u) * sizes.K, k, sizes.K);
      sums[r] += vec4f(dot(v, column[0]), dot(v, column[1]), dot(v, column[2]), dot(v, column[3]));
    }
  }
  // A copy, as the epilogue indexes it by a variable, which puts an array into memory. Unrolled, the epilogue compiled
  // for 1 s on lavapipe
  var done: array<vec4f, ROWS>;
  /*unroll*/ for (var r = 0u; r < ROWS; r++) { done[r] = sums[r]; }

  for (var pass_index = 0u; pass_index < PASSES; pass_index++) {
    workgroupBarrier();
    for (var r = 0u; r < PASS_ROWS; r++) {
      @if(SUBGROUPS) {
        let sum = subgroupAdd(done[pass_index * PASS_ROWS + r]);
        if (lane == 0u) { partial[subgroup * PASS_ROWS + r] = sum; }
      }
      @else { partial[thread * PASS_ROWS + r] = done[pass_index * PASS_ROWS + r]; }
    }
    workgroupBarrier();
    @if(SUBGROUPS) let count = subgroups;
    @else let count = WG;
    end_pass(corner, pass_index, thread, count);
  }
}
