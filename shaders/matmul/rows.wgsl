// matmul-rows: y[m, n] = activation(scale * sum_k a[m, k] b[n, k] + bias[n]) + residual[m, n], for few m
//
// For GPUs, where few rows leave a product to the speed of memory. A workgroup takes four columns (GATED: two, and the same two
// of b_up) and ROWS rows; its threads stride along k, so that a row of b is read in whole lines, once.
//
// shapes    a [M, K] f32, b [N, K] as matmul-fours.wgsl has it, y [M, y_cols] f32, where b's columns begin at y_first
// threads   WG a workgroup; thread t takes fours t, t + WG ... of k, for all outputs of the workgroup
// numerics  f32; dot products of fours add up in the order of k a thread, then thread by thread: same bits every run
// host      M, N, K >= 1; workgroups x, y count tiles of ROWS x COLS; first_group is added to y; the marked loops are written
//           out first (src/kernels/unroll.ts)
// prelude   const PASSES (ROWS / 4, at least 1) and const PASS_ROWS (ROWS / PASSES), and those of matmul-row-sums
//
// Arithmetic, WG = 64, of a four (16 bytes of b in f32, 8 in 16 bits, 4 in int8): a thread has 4 + ROWS loads for 16 ROWS
// multiply-adds. One row: 5 loads, 1 of them from a cache, some 60 instructions. Registers: 4 ROWS sums + 16 + 4 + addresses, 40 for
// one row and 100 for sixteen: 24 or 10 workgroups a core of 64 Ki registers (64 threads each; 1 to 4 KB of workgroup memory).
// In flight a core then has 24 x 64 x 4 x 8 bytes = 48 KB in 16 bits; 20 bytes a ns (300 GB/s over 16 cores) over 600 ns are 12 KB.
// Ending: PASSES times a barrier, 4 stores and WG loads by 16 threads, some 300 cycles that the other workgroups hide.
//
// predicted, not measured: 80 % of memory bandwidth for one row of f32 or 16-bit weights from 1,024 x 1,024 on, 50 % for int4
//           (instructions: 60 for 4 x 2 bytes); for 16 rows half of the multiply-add ceiling or less, as 20 loads feed 256
// measured  on no GPU. Software adapters, whose cost model avoids it, in GFLOP/s of 1 x 1024 x 1024 (two cores of a Xeon,
//           November 2026): lavapipe 2.1, registers 3.9; SwiftShader 0.2, registers 1.7

/** Every thread leaves its own. */
const PARTIALS = WG;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = (group.y + sizes.first_group) * groups.x + group.x;
  if (tile >= sizes.tiles_m * sizes.tiles_n) { return; }  // all of the workgroup, so the barriers stay uniform
  let place = place_of(tile);
  var sums = row_sums(place, thread);
  for (var turn = 0u; turn < PASSES; turn++) {
    workgroupBarrier();
    for (var r = 0u; r < PASS_ROWS; r++) { partial[thread * PASS_ROWS + r] = sums[turn * PASS_ROWS + r]; }
    workgroupBarrier();
    end_pass(place, turn, thread, WG);
  }
}
