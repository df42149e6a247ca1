// matmul-tiles: y[m, n] = activation(scale * sum_k a[m, k] b[n, k] + bias[n]) + residual[m, n]
//
// For GPUs. A workgroup computes a tile of ROWS x COLS outputs. Step by step along k it stages its rows of a and of b in
// workgroup memory, turned so that k comes first; then each thread adds the products of its own rows and columns.
//
// shapes    a [B, M, K] f32, b [B, N, K] or (not B_IS_NK) [B, K, N] as matmul-fours.wgsl has it, y [B, M, y_cols] f32, where
//           b's columns begin at y_first. GATED: y = silu(a b^T) * (a b_up^T), a SwiGLU pair
// threads   8 x 8. Thread (x, y) takes rows 4 y .. 4 y + 3, and 32 further down where ROW_FOURS = 2, and likewise columns;
//           GATED, the columns 32 further on are the same columns of b_up
// numerics  f32; products are added one by one in the order of k: same bits every run. No activation is staged in 16 bits:
//           a rounded to f16 or bf16 errs by 2e-4 or 2e-3, and two halves of each would double what is to be read
// host      what is staged of a, and Sizes, come from matmul-tiles-a.wgsl and matmul-sizes.wgsl, or from conv2d-tiles.wgsl;
//           M, N, K >= 1; K, b_row and the strides count fours where ALIGNED; workgroups x, y count tiles, z is B;
//           first_group is added to y; indices fit 32 bits; the marked loops are written out first (src/kernels/unroll.ts)
// prelude   const ROW_FOURS and COLUMN_FOURS of a thread (1 or 2; GATED needs COLUMN_FOURS = 2), const STEP_FOURS: k of a
//           step (4 or 8), const A_TURNS and B_TURNS: blocks that a thread stages in a step (FOURS * STEP_FOURS / 8),
//           const SUMS = 4 ROW_FOURS COLUMN_FOURS, const B_IS_NK, and those of matmul-fours and matmul-ending
//
// Banks: row k of a staged operand is 8 or 16 fours, of which the eight in a line fill the 32 banks. A thread stages 4 x 4
// values, turned in registers, and neighbours in a quarter of a warp lie along k first, as memory does. At plain addresses
// they would all meet in one bank or two, so the place in a line is mixed with k (`mixed`): eight threads, eight places.
// Reading, eight threads side by side want eight neighbouring fours of b, mixed alike, and one of a.
//
// Arithmetic for 64 x 64, ROW_FOURS = COLUMN_FOURS = 2, STEP_FOURS = 4, on a GPU whose cores have 128 f32 lanes, 64 Ki registers
// and 64 KB for workgroups:
//   registers      64 sums + 16 operands + 32 of the next step on its way + some 16 addresses: 128 a thread
//   resident       8 workgroups by registers (64 x 128 x 8 = 64 Ki), 8 by memory (2 x 64 x 16 x 4 = 8 KB): 512 threads, 16 warps
//   workgroup mem  a thread reads 4 fours for 64 multiply-adds: 2 flop a byte. A warp's k: 16 cycles of multiply-adds, 8 of reads
//                  where equal addresses of a warp are merged (128 bytes of a, 256 of b, in two phases each), 16 where not
//   global mem     2 x 64 x 4 bytes for 4,096 multiply-adds: 16 flop a byte, of L2 for most. 10 TFLOP/s ask for 0.6 TB/s
//   a step         2 barriers, 16 stores and loads for 1,024 multiply-adds a thread, and the next step's loads under way meanwhile
//   expected       a k takes 68 instructions a thread, 64 of them multiply-adds, and a step 60 more: 1,024 of 1,148 = 89 %. 70 % of
//                  the ceiling with what latency is left, 50 % where reads aren't merged
// With ROW_FOURS = 1 (32 x 64: 12 KB) a thread reads 3 fours for 32, with both 1 (32 x 32: 8 KB) 2 for 16: for few tiles.
// Staging 16-bit weights as such (matmul-staged-half.wgsl) takes 6 KB instead of 8 and 3 reads instead of 4, and 8
// conversions for 64 multiply-adds, which run at half rate or less: no clear gain, so a measurement has to ask for it.
//
// predicted, not measured: 70 % of a GPU's multiply-add ceiling at 1024^3 (see above)
// measured  on no GPU. Software adapters, whose cost model avoids it, in GFLOP/s of 512^3 (two cores of a Xeon, November 2026):
//           lavapipe 9.9, registers 8.9, subgroup 39.5; SwiftShader 1.7, registers 3.1

const SIDE = 8u;
const WG = SIDE * SIDE;
const STEP = 4u * STEP_FOURS;
/** Fours of rows, and of columns of b and b_up, of a tile. */
const HIGH = SIDE * ROW_FOURS;
const WIDE = SIDE * COLUMN_FOURS;
const PAIRS = select(COLUMN_FOURS, COLUMN_FOURS / 2u, GATED);
const ROWS = 4u * HIGH;
const COLS = 4u * SIDE * PAIRS;

var<workgroup> a_tile: array<vec4f, STEP * HIGH>;
var<workgroup> b_tile: array<Staged, STEP * WIDE>;

/** What a thread stages in a step: a matrix holds 4 x 4 values, a column of it four rows of a, or columns of y, at one k. */
struct Blocks { a: array<mat4x4f, A_TURNS>, b: array<mat4x4f, B_TURNS> }

/** Where four number `f` lies in a line whose k is in the k4-th four of the step. */
fn mixed(f: u32, k4: u32) -> u32 { return f ^ (k4 * (8u / STEP_FOURS)); }

fn b_block(up: bool, first: u32, n: u32, k: u32) -> mat4x4f {
  if (B_IS_NK) {
    let rows = first + min(n + NEXT, vec4u(sizes.N - 1u)) * sizes.b_row;
    var block = mat4x4f(b4(up, rows.x, k), b4(up, rows.y, k), b4(up, rows.z, k), b4(up, rows.w, k));
    if (SCALE_GROUPS == 2u) {
      block[0] *= b_scale(up, n, k);
      block[1] *= b_scale(up, n + 1u, k);
      block[2] *= b_scale(up, n + 2u, k);
      block[3] *= b_scale(up, n + 3u, k);
    }
    return transpose(block);
  }
  let last = select(sizes.K, 4u * sizes.K, ALIGNED) - 1u;
  let rows = first + min(4u * k + NEXT, vec4u(last)) * sizes.b_row;
  return mat4x4f(b4_across(rows.x, n), b4_across(rows.y, n), b4_across(rows.z, n), b4_across(rows.w, n));
}

/** Which four of columns, and which four of the step's k, block i of b is: neighbours lie as in memory. */
fn b_place(i: u32) -> vec2u {
  if (B_IS_NK) { return vec2u(i / STEP_FOURS, i % STEP_FOURS); }
  return vec2u(i % WIDE, i / WIDE);
}

fn fetch(place: Place, z: u32, thread: u32, k: u32) -> Blocks {
  var blocks: Blocks;
  /*unroll*/ for (var t = 0u; t < A_TURNS; t++) {
    let i = t * WG + thread;
    blocks.a[t] = a_block(z, place.m + 4u * (i / STEP_FOURS), k + i % STEP_FOURS);
  }
  /*unroll*/ for (var t = 0u; t < B_TURNS; t++) {
    let at = b_place(t * WG + thread);
    let up = GATED && at.x >= SIDE * PAIRS;
    blocks.b[t] = b_block(up, batch_of_b(z), place.n + 4u * select(at.x, at.x - SIDE * PAIRS, up), k + at.y);
  }
  return blocks;
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = (group.y + sizes.first_group) * groups.x + group.x;
  if (tile >= sizes.tiles_m * sizes.tiles_n) { return; }  // all of the workgroup, so the barriers stay uniform
  let place = place_of(tile);
  let x = thread % SIDE;
  let y_fours = thread / SIDE;

  var sums: array<vec4f, SUMS>;
  var row: array<vec4f, ROW_FOURS>;
  var column: array<vec4f, COLUMN_FOURS>;
  var next: Blocks;
  let fours = fours_of_k();
  for (var k = 0u; ; k += STEP_FOURS) {
    // Ask for what comes next, multiply what is staged meanwhile, then stage it: in this order, so that each is written once
    if (k < fours) { next = fetch(place, group.z, thread, k); }
    if (k > 0u) {
      for (var k4 = 0u; k4 < STEP_FOURS; k4++) {
        let a_at = 4u * k4 * HIGH + mixed(y_fours, k4);
        let b_at = 4u * k4 * WIDE + mixed(x, k4);
        /*unroll*/ for (var j = 0u; j < 4u; j++) {
          /*unroll*/ for (var p = 0u; p < ROW_FOURS; p++) { row[p] = a_tile[a_at + j * HIGH + p * SIDE]; }
          /*unroll*/ for (var q = 0u; q < COLUMN_FOURS; q++) { column[q] = staged(b_tile[b_at + j * WIDE + q * SIDE]); }
          /*unroll*/ for (var p = 0u; p < ROW_FOURS; p++) {
            /*unroll*/ for (var r = 0u; r < 4u; r++) {
              /*unroll*/ for (var q = 0u; q < COLUMN_FOURS; q++) {
                sums[(p * 4u + r) * COLUMN_FOURS + q] += row[p][r] * column[q];
              }
            }
          }
        }
      }
    }
    if (k >= fours) { break; }
    workgroupBarrier();
    /*unroll*/ for (var t = 0u; t < A_TURNS; t++) {
      let i = t * WG + thread;
      let k4 = i % STEP_FOURS;
      /*unroll*/ for (var j = 0u; j < 4u; j++) {
        a_tile[(4u * k4 + j) * HIGH + mixed(i / STEP_FOURS, k4)] = next.a[t][j];
      }
    }
    /*unroll*/ for (var t = 0u; t < B_TURNS; t++) {
      let at = b_place(t * WG + thread);
      /*unroll*/ for (var j = 0u; j < 4u; j++) {
        b_tile[(4u * at.y + j) * WIDE + mixed(at.x, at.y)] = stage(next.b[t][j]);
      }
    }
    workgroupBarrier();
  }

  // In a copy, as it is indexed by a variable and so lies in memory
  var done: array<vec4f, SUMS>;
  /*unroll*/ for (var i = 0u; i < SUMS; i++) { done[i] = sums[i]; }
  for (var i = 0u; i < 4u * ROW_FOURS * PAIRS; i++) {
    let r = i / PAIRS;
    let q = i % PAIRS;
    let m = place.m + r / 4u * 4u * SIDE + 4u * y_fours + r % 4u;
    let n = place.n + 4u * (q * SIDE + x);
    if (m >= sizes.M || n >= sizes.N) { continue; }
    let at = (group.z * sizes.M + m) * y_cols() + y_first() + n;
    for (var j = 0u; j < min(4u, sizes.N - n); j++) {
      var value = done[r * COLUMN_FOURS + q][j];
      if (SCALE_GROUPS == 1u) { value *= b_scale(false, n + j, 0u); }
      if (GATED) {
        var gate_up = done[r * COLUMN_FOURS + PAIRS + q][j];
        if (SCALE_GROUPS == 1u) { gate_up *= b_scale(true, n + j, 0u); }
        value = activate(value, SILU) * gate_up;
      }
      finish(biased(value * scale(), n + j), at + j);
    }
  }
}
