// matmul in workgroup memory: y[m, n] = activation(scale * sum_k a[m, k] b[n, k] + bias[n]) + residual[m, n]
//
// For GPUs. A workgroup computes a tile of ROWS x COLS outputs. Step by step along k it copies its rows of a and of b
// to workgroup memory, transposed so that k comes first; then each thread adds up the products of its own rows and
// columns.
//
// shapes    a [B, M, K] f32, or under @if(CONV) an image (shaders/conv/patch.wgsl); b [B, N, K] or (not B_IS_NK) [B, K,
//           N] in rows (lib/operands.wgsl); y [B, M, y_cols] f32, where b's columns begin at y_first. GATED: y = silu(a
//           b^T) * (a b_up^T), a SwiGLU pair
// threads   8 x 8. Thread (x, y) takes rows 4 y .. 4 y + 3, and 32 further down where ROW_VEC4S = 2, and likewise
//           columns; GATED, the columns 32 further on are the same columns of b_up
// numerics  f32; products are added one by one in the order of k: same bits every run. No activation is held in 16
//           bits: a rounded to f16 or bf16 errs by 2e-4 or 2e-3, and splitting each value into two would double the
//           reads. @if(TILE_16): b, of f16, bf16 or int8, is held in 16 bits, which have the weight's own numbers
//           exactly
// host      M, N, K >= 1; K, b_row and the strides count vec4s where ALIGNED; workgroups x, y count tiles, z is B;
//           first_group is added to workgroup_id.y; indices fit 32 bits
// prelude   const ROW_VEC4S and COLUMN_VEC4S of a thread (1 or 2; GATED needs COLUMN_VEC4S = 2), const STEP_VEC4S: k of
//           a step (4 or 8), const A_BLOCKS and B_BLOCKS: blocks that a thread copies in a step (.._VEC4S * STEP_VEC4S
//           / 8), const SUMS = 4 ROW_VEC4S COLUMN_VEC4S, const B_IS_NK, and those of lib/left_operand.wgsl and
//           lib/operands.wgsl
//
// Bank conflicts: row k of an operand is 8 or 16 vec4s, and eight of them, a line, fill the 32 banks. A thread copies 4
// x 4 values, transposed in registers; the neighbours in a quarter of a warp are neighbours along k, as in memory. At
// plain addresses they would all write to one bank or two, so the place in a line is XORed with k (`mixed`): eight
// threads write to eight places. When reading, eight neighbouring threads want eight neighbouring vec4s of b, mixed in
// the same way, and one vec4 of a.
//
// Arithmetic for 64 x 64, ROW_VEC4S = COLUMN_VEC4S = 2, STEP_VEC4S = 4, on a GPU whose cores have 128 f32 lanes, 64 Ki
// registers and 64 KB for workgroups:
//   registers      64 sums + 16 operands + 32 of the next step on its way + some 16 addresses: 128 per thread
//   resident       8 workgroups by registers (64 x 128 x 8 = 64 Ki), 8 by memory (2 x 64 x 16 x 4 = 8 KB): 512 threads,
//                  16 warps
//   workgroup mem  a thread reads 4 vec4s for 64 multiply-adds: 2 flop per byte. A warp's k: 16 cycles of
//                  multiply-adds, 8 of reads where equal addresses of a warp are merged (128 bytes of a, 256 of b, in
//                  two phases each), 16 where not
//   global mem     2 x 64 x 4 bytes for 4,096 multiply-adds: 16 flop per byte, of L2 for most. 10 TFLOP/s ask for 0.6
//                  TB/s
//   a step         2 barriers, 16 stores and loads for 1,024 multiply-adds per thread, and the next step's loads under
//                  way meanwhile
//   expected       a k takes 68 instructions per thread, 64 of them multiply-adds, and a step 60 more: 1,024 of 1,148 =
//                  89 %. 70 % of the ceiling with what latency is left, 50 % where reads aren't merged
// With ROW_VEC4S = 1 (32 x 64: 12 KB) a thread reads 3 vec4s for 32, with both 1 (32 x 32: 8 KB) 2 for 16: for few
// tiles. Keeping 16-bit weights in 16 bits (TILE_16) takes 6 KB instead of 8 and 3 reads instead of 4, and 8
// conversions for 64 multiply-adds, which run at half rate or less: no clear gain, so a measurement has to ask for it.
//
// predicted, not measured: 70 % of a GPU's multiply-add ceiling at 1024^3 (see above)
// measured  on no GPU. Software adapters, whose cost model avoids it, in GFLOP/s of 512^3 (two cores of a Xeon,
//           November 2026): lavapipe 9.9, registers 8.9, subgroup 39.5; SwiftShader 1.7, registers 3.1

import package::conv::patch::{patch4, patches};
import package::lib::left_operand::a4_in;
import package::lib::operands::{BF16, NEXT, b4_in, finish, from_bf16, from_f16, scaled};
import package::lib::tile_order::tile_at;
import package::matmul::sizes::{b_begin, b_row, image, row_scale, sizes, y_cols, y_first};
import prelude::{
  ALIGNED, A_BLOCKS, B_BLOCKS, B_IS_NK, B_TYPE, COLUMN_VEC4S, GATED, ROW_VEC4S, SCALE_GROUPS, STEP, STEP_VEC4S, SUMS,
};

const SIDE = 8u;
const WG = SIDE * SIDE;
/** k of a step. */
const DEPTH = 4u * STEP_VEC4S;
/** Vec4s of rows of a tile, and vec4s of columns of b and b_up. */
const HIGH = SIDE * ROW_VEC4S;
const WIDE = SIDE * COLUMN_VEC4S;
/** Vec4s of columns of y of a thread. */
const Y_VEC4S = select(COLUMN_VEC4S, COLUMN_VEC4S / 2u, GATED);
/** Rows and columns of y of a tile. */
const ROWS = 4u * HIGH;
const COLS = 4u * SIDE * Y_VEC4S;

var<workgroup> a_tile: array<vec4f, DEPTH * HIGH>;
var<workgroup> b_tile: array<Held, DEPTH * WIDE>;

/** The 4 x 4 blocks that a thread copies in a step. A column holds four rows of a, or four columns of y, at one k. */
struct Fetched { a: array<mat4x4f, A_BLOCKS>, b: array<mat4x4f, B_BLOCKS> }

/** The place of vec4 `f` in its line, where k is in vec4 k4 of the step: without bank conflicts (see above). */
fn mixed(f: u32, k4: u32) -> u32 { return f ^ (k4 * (8u / STEP_VEC4S)); }

/** The weights of columns n .. n + 3 of y at the k-th vec4, k first; b begins at index `first`. */
fn b_by_k(up: bool, first: u32, n: u32, k: u32) -> mat4x4f {
  if (B_IS_NK) {
    let rows = first + min(n + NEXT, vec4u(sizes.N - 1u)) * b_row();
    var block = mat4x4f(
      b4_in(up, rows.x, k, sizes.K), b4_in(up, rows.y, k, sizes.K),
      b4_in(up, rows.z, k, sizes.K), b4_in(up, rows.w, k, sizes.K));
    if (SCALE_GROUPS == 2u) {
      block[0] *= row_scale(up, n, k);
      block[1] *= row_scale(up, n + 1u, k);
      block[2] *= row_scale(up, n + 2u, k);
      block[3] *= row_scale(up, n + 3u, k);
    }
    return transpose(block);
  }
  let last = select(sizes.K, 4u * sizes.K, ALIGNED) - 1u;
  let rows = first + min(4u * k + NEXT, vec4u(last)) * b_row();
  let i = n / 4u;
  return mat4x4f(
    b4_in(up, rows.x, i, b_row()), b4_in(up, rows.y, i, b_row()),
    b4_in(up, rows.z, i, b_row()), b4_in(up, rows.w, i, b_row()));
}

/** Rows m .. m + 3 of a at the k-th vec4, k first; past the edge the last row, whose sums are never stored. */
@if(CONV) fn a_by_k(z: u32, m: u32, k: u32) -> mat4x4f {
  let map = image();
  let all = patches(map, min(m + NEXT, vec4u(sizes.M - 1u)));
  return transpose(mat4x4f(
    patch4(map, all.row.x, all.at.x, k, sizes.K), patch4(map, all.row.y, all.at.y, k, sizes.K),
    patch4(map, all.row.z, all.at.z, k, sizes.K), patch4(map, all.row.w, all.at.w, k, sizes.K)));
}
@else fn a_by_k(z: u32, m: u32, k: u32) -> mat4x4f {
  let rows = z * sizes.a_stride + min(m + NEXT, vec4u(sizes.M - 1u)) * sizes.K;
  return transpose(mat4x4f(
    a4_in(rows.x, k, sizes.K), a4_in(rows.y, k, sizes.K), a4_in(rows.z, k, sizes.K), a4_in(rows.w, k, sizes.K)));
}

// Four columns of b at one k, as workgroup memory holds them. int8 is held as f16, which has all integers up to 2,048

@if(TILE_16) alias Held = vec2u;
@else alias Held = vec4f;

@if(TILE_16) fn held(v: vec4f) -> Held {
  if (B_TYPE == BF16) {
    let words = bitcast<vec4u>(v);
    return (words.xz >> vec2u(16u)) | (words.yw & vec2u(0xffff0000u));
  }
  return vec2u(pack2x16float(v.xy), pack2x16float(v.zw));
}
@else fn held(v: vec4f) -> Held { return v; }

@if(TILE_16) fn widened(v: Held) -> vec4f {
  if (B_TYPE == BF16) { return from_bf16(v); }
  return from_f16(v);
}
@else fn widened(v: Held) -> vec4f { return v; }

/** The place of block i of b: (vec4 of columns, vec4 of the step's k). Neighbours are neighbours in memory. */
fn b_place(i: u32) -> vec2u {
  if (B_IS_NK) { return vec2u(i / STEP_VEC4S, i % STEP_VEC4S); }
  return vec2u(i % WIDE, i / WIDE);
}

fn fetch(m0: u32, n0: u32, z: u32, thread: u32, k: u32) -> Fetched {
  var blocks: Fetched;
  /*unroll*/ for (var t = 0u; t < A_BLOCKS; t++) {
    let i = t * WG + thread;
    blocks.a[t] = a_by_k(z, m0 + 4u * (i / STEP_VEC4S), k + i % STEP_VEC4S);
  }
  /*unroll*/ for (var t = 0u; t < B_BLOCKS; t++) {
    let at = b_place(t * WG + thread);
    let up = GATED && at.x >= SIDE * Y_VEC4S;
    blocks.b[t] = b_by_k(up, b_begin(z), n0 + 4u * select(at.x, at.x - SIDE * Y_VEC4S, up), k + at.y);
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
  let corner = tile_at(tile, sizes.tiles_m, sizes.tiles_n) * vec2u(ROWS, COLS);
  let x = thread % SIDE;
  let y_vec4 = thread / SIDE;

  var sums: array<vec4f, SUMS>;
  var row: array<vec4f, ROW_VEC4S>;
  var column: array<vec4f, COLUMN_VEC4S>;
  var next: Fetched;
  let vec4s = (sizes.K + STEP - 1u) / STEP;
  for (var k = 0u; ; k += STEP_VEC4S) {
    // Load the next step's blocks, multiply the tiles of this step meanwhile, then copy the blocks to the tiles. In
    // this order the loop has each of the three once
    if (k < vec4s) { next = fetch(corner.x, corner.y, group.z, thread, k); }
    if (k > 0u) {
      for (var k4 = 0u; k4 < STEP_VEC4S; k4++) {
        let a_at = 4u * k4 * HIGH + mixed(y_vec4, k4);
        let b_at = 4u * k4 * WIDE + mixed(x, k4);
        /*unroll*/ for (var j = 0u; j < 4u; j++) {
          /*unroll*/ for (var p = 0u; p < ROW_VEC4S; p++) { row[p] = a_tile[a_at + j * HIGH + p * SIDE]; }
          /*unroll*/ for (var q = 0u; q < COLUMN_VEC4S; q++) {
            column[q] = widened(b_tile[b_at + j * WIDE + q * SIDE]);
          }
          /*unroll*/ for (var p = 0u; p < ROW_VEC4S; p++) {
            /*unroll*/ for (var r = 0u; r < 4u; r++) {
              /*unroll*/ for (var q = 0u; q < COLUMN_VEC4S; q++) {
                sums[(p * 4u + r) * COLUMN_VEC4S + q] += row[p][r] * column[q];
              }
            }
          }
        }
      }
    }
    if (k >= vec4s) { break; }
    workgroupBarrier();
    /*unroll*/ for (var t = 0u; t < A_BLOCKS; t++) {
      let i = t * WG + thread;
      let k4 = i % STEP_VEC4S;
      /*unroll*/ for (var j = 0u; j < 4u; j++) {
        a_tile[(4u * k4 + j) * HIGH + mixed(i / STEP_VEC4S, k4)] = next.a[t][j];
      }
    }
    /*unroll*/ for (var t = 0u; t < B_BLOCKS; t++) {
      let at = b_place(t * WG + thread);
      /*unroll*/ for (var j = 0u; j < 4u; j++) {
        b_tile[(4u * at.y + j) * WIDE + mixed(at.x, at.y)] = held(next.b[t][j]);
      }
    }
    workgroupBarrier();
  }

  @if(CONV) let scale = 1.0;
  @else let scale = sizes.scale;
  // A copy, as indexing by a variable puts an array into memory
  var done: array<vec4f, SUMS>;
  /*unroll*/ for (var i = 0u; i < SUMS; i++) { done[i] = sums[i]; }
  for (var i = 0u; i < 4u * ROW_VEC4S * Y_VEC4S; i++) {
    let r = i / Y_VEC4S;
    let q = i % Y_VEC4S;
    let m = corner.x + r / 4u * 4u * SIDE + 4u * y_vec4 + r % 4u;
    let n = corner.y + 4u * (q * SIDE + x);
    if (m >= sizes.M || n >= sizes.N) { continue; }
    let at = (group.z * sizes.M + m) * y_cols() + y_first() + n;
    for (var j = 0u; j < min(4u, sizes.N - n); j++) {
      let column = y_first() + n + j;
      let sum = scaled(false, done[r * COLUMN_VEC4S + q][j], column);
      var up_sum = 0.0;
      if (GATED) { up_sum = scaled(true, done[r * COLUMN_VEC4S + Y_VEC4S + q][j], column); }
      finish(sum, up_sum, scale, column, at + j);
    }
  }
}
