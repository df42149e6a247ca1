// matmul in registers: y[m, n] = activation(scale * sum_k a[m, k] b[n, k] + bias[n]) + residual[m, n]
//
// Each thread computes a tile of outputs by itself, with no workgroup memory and no barrier, so it runs on any adapter.
// Under @if(QUADS) the four threads of a quad share their loads, for CPUs with subgroups of four, which load lane by
// lane and swap with one instruction.
//
// shapes    a [B, M, K] f32, or under @if(CONV) an image (shaders/conv/patch.wgsl); b [B, N, K] or (not B_IS_NK) [B, K,
//           N], f32, f16 or bf16; y [B, M, y_cols], where b's columns begin at y_first: a weight in several bindings
//           takes one dispatch per binding
// threads   a thread takes THREAD_ROWS x THREAD_COLS outputs in registers, in blocks of 4 x 4 summed over 4 k at a
//           time; THREAD_ROWS = 1 is the matrix-vector product. QUADS: a workgroup is one quad, whose threads compute
//           BELOW x BESIDE such tiles. Threads in a row of tiles need the same rows of a, threads in a column the same
//           columns of b. In a square (2 x 2) each loads one of its two blocks of four and swaps it for the other with
//           its neighbour, so that a thread's blocks are in an order of its own, `first`. In a line (1 x 4) each loads
//           one row of every block of a for all four
// numerics  f32; four products at a time are added to the sum, in the order of k: same bits every run
// host      M, N, K >= 1; K, b_row and the strides count vec4s where ALIGNED; workgroups x, y count WG tiles each, or
//           quads, z is B; first_group is added to workgroup_id.y; indices fit 32 bits
// prelude   const THREAD_ROWS (1, 4, 8), const THREAD_COLS (4, 8), const WG, const B_IS_NK, const BESIDE, BELOW (QUADS:
//           2 and 2 with 8 x 8 outputs per thread, or 4 and 1 with 4 or 8 rows; else 1 and 1), and those of
//           lib/left_operand.wgsl and lib/operands.wgsl
//
// There is no workgroup memory, as on software adapters a barrier costs more than the loads it saves, and no larger
// tile, as an inner loop of more than 32 KiB leaves the instruction cache. GFLOP/s of 256^3 on two cores of a Xeon,
// SwiftShader, November 2026, side by side: 8 x 8 6.2, 8 x 12 3.8, 8 x 16 3.9, 16 x 16 4.8, 16 rows in workgroup memory
// 2.9.
//
// predicted per step of four k, a quad loads 128 elements in a square and 160 in a line, instead of 256. As loads take
//           6.5 of 7.3 ns, it is 1.75 and 1.5 times as fast

import package::conv::patch::{Patches, patches, run4};
import package::lib::left_operand::a4;
import package::lib::operands::{NEXT, b4, bias4, store};
import package::lib::tile_order::tile_at;
import package::matmul::sizes::{b_begin, b_row, image, sizes, y_cols, y_first};
import prelude::{BELOW, BESIDE, B_IS_NK, STEP, THREAD_COLS, THREAD_ROWS, WG};

// ---------------------------------------------------------------------------------------------------------
// Rows of a, by the places where they begin; of an image, where their patches begin

@if(CONV) alias Rows = Patches;
@else alias Rows = vec4u;

/** The summed axis consists of runs of this length, which are contiguous in a and b: all of K, or kw * I. */
@if(CONV) fn run() -> u32 { return sizes.run; }
@else fn run() -> u32 { return sizes.K; }

/** The index in a row of b of value k of run dy. SwiftShader would multiply 0 by run() at every step. */
@if(CONV) fn in_row(dy: u32, k: u32) -> u32 { return dy * sizes.run + k; }
@else fn in_row(dy: u32, k: u32) -> u32 { return k; }

/** Rows m .. m + 3; past the edge the last row again, whose sums are never stored. */
@if(CONV) fn rows_of_a(m: u32, z: u32) -> Rows { return patches(image(), min(m + NEXT, vec4u(sizes.M - 1u))); }
@else fn rows_of_a(m: u32, z: u32) -> Rows {
  return z * sizes.a_stride + min(m + NEXT, vec4u(sizes.M - 1u)) * sizes.K;
}

/** The first of the rows, four values from value k of run dy on. */
@if(CONV) fn a_row(rows: Rows, dy: u32, k: u32) -> vec4f {
  return run4(image(), rows.row.x + i32(dy), rows.at.x + i32(k), i32(sizes.run - k));
}
@else fn a_row(rows: Rows, dy: u32, k: u32) -> vec4f { return a4(rows.x + k, sizes.K - k); }

/** Four rows at four k: a column of the mat4x4f is a row of a. */
@if(CONV) fn a_block(rows: Rows, dy: u32, k: u32) -> mat4x4f {
  let left = i32(sizes.run - k);
  let row = rows.row + i32(dy);
  let at = rows.at + i32(k);
  return mat4x4f(
    run4(image(), row.x, at.x, left), run4(image(), row.y, at.y, left),
    run4(image(), row.z, at.z, left), run4(image(), row.w, at.w, left));
}
@else fn a_block(rows: Rows, dy: u32, k: u32) -> mat4x4f {
  let left = sizes.K - k;
  return mat4x4f(a4(rows.x + k, left), a4(rows.y + k, left), a4(rows.z + k, left), a4(rows.w + k, left));
}

// ---------------------------------------------------------------------------------------------------------
// Columns of b

/** Elements counted by an index. */
const PER_INDEX = 4u / STEP;

/** The places in b where columns n .. n + 3 of y begin, for b_block. */
fn columns_of_b(n: u32, z: u32) -> vec4u {
  if (B_IS_NK) { return b_begin(z) + min(n + NEXT, vec4u(sizes.N - 1u)) * b_row(); }
  let column = min(n / PER_INDEX, b_row() - 1u);
  return vec4u(b_begin(z) + column, b_row() - column, 0u, 0u);
}

/** Four columns of y at four k: a column of the mat4x4f is one k. */
fn b_block(columns: vec4u, dy: u32, k: u32) -> mat4x4f {
  if (B_IS_NK) {
    let left = run() - k;
    let at = in_row(dy, k);
    return transpose(mat4x4f(
      b4(columns.x + at, left), b4(columns.y + at, left), b4(columns.z + at, left), b4(columns.w + at, left)));
  }
  let rows = columns.x + min(k * PER_INDEX + NEXT, vec4u(sizes.K * PER_INDEX - 1u)) * b_row();
  let left = columns.y;
  return mat4x4f(b4(rows.x, left), b4(rows.y, left), b4(rows.z, left), b4(rows.w, left));
}

// ---------------------------------------------------------------------------------------------------------
// Quads

@if(QUADS) fn from_beside(block: mat4x4f) -> mat4x4f {
  return mat4x4f(quadSwapX(block[0]), quadSwapX(block[1]), quadSwapX(block[2]), quadSwapX(block[3]));
}

@if(QUADS) fn from_below(block: mat4x4f) -> mat4x4f {
  return mat4x4f(quadSwapY(block[0]), quadSwapY(block[1]), quadSwapY(block[2]), quadSwapY(block[3]));
}

@if(QUADS) fn from_line(row: vec4f) -> mat4x4f {
  return mat4x4f(quadBroadcast(row, 0u), quadBroadcast(row, 1u), quadBroadcast(row, 2u), quadBroadcast(row, 3u));
}

// ---------------------------------------------------------------------------------------------------------

/** A tile's outputs in blocks of 4 x 4, whose columns are rows of y. Block 2 r + c lies at row 4 r, column 4 c. */
alias TileSums = array<mat4x4f, 4>;

/**
 * Stores a tile. One loop serves all blocks, as indexing by a variable puts them into memory once.
 *
 * @param first which of the blocks of rows, and of columns, come first in `sums`
 */
fn store_tile(m0: u32, n0: u32, z: u32, first: vec2u, sums: TileSums, scale: f32) {
  var blocks = sums;
  let halves = THREAD_COLS / 4u;
  // Past the edge the last column again
  let bias0 = bias4(y_first() + min(n0 + NEXT, vec4u(sizes.N - 1u)));
  let bias1 = bias4(y_first() + min(n0 + 4u + NEXT, vec4u(sizes.N - 1u)));
  for (var i = 0u; i < THREAD_ROWS * halves; i++) {
    let half = i % halves;
    let row = i / halves;
    let block = ((row / 4u) ^ first.x) * 2u + (half ^ first.y);
    let m = m0 + row;
    let n = n0 + half * 4u;
    if (m < sizes.M && n < sizes.N) {
      let v = blocks[block][row % 4u] * scale + select(bias0, bias1, half == 1u);
      let at = (z * sizes.M + m) * y_cols() + y_first() + n;
      let count = min(4u, sizes.N - n);
      for (var j = 0u; j < count; j++) { store(v[j], at + j); }
    }
  }
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let group_index = (group.y + sizes.first_group) * groups.x + group.x;
  @if(QUADS) let tile = group_index;
  @else let tile = group_index * WG + thread;
  if (tile >= sizes.tiles_m * sizes.tiles_n) { return; }
  let at = tile_at(tile, sizes.tiles_m, sizes.tiles_n) * vec2u(BELOW * THREAD_ROWS, BESIDE * THREAD_COLS);
  let m = at.x + THREAD_ROWS * (thread / BESIDE % BELOW);
  let n = at.y + THREAD_COLS * (thread % BESIDE);
  // The block that the thread loads first, of its two blocks of rows and of its two blocks of columns
  let first = select(vec2u(), vec2u(thread % 2u, thread / 2u), BESIDE == 2u);

  // In a line a thread loads one row of each block
  let own_row = select(0u, thread, BESIDE == 4u);
  let rows0 = rows_of_a(m + 4u * first.x + own_row, group.z);
  let rows1 = rows_of_a(m + 4u + own_row, group.z);
  let columns0 = columns_of_b(n + 4u * first.y, group.z);
  let columns1 = columns_of_b(n + 4u, group.z);
  // The sums: block c<row><col> has a column for each row of a; row0 and row1 serve where THREAD_ROWS = 1
  var c00 = mat4x4f();
  var c01 = mat4x4f();
  var c10 = mat4x4f();
  var c11 = mat4x4f();
  var row0 = vec4f();
  var row1 = vec4f();
  // All runs of an image, each in whole steps, are in one loop: SwiftShader takes half as long again to compile two.
  // `dy` is the current run, and `begin` the step that it begins with
  @if(CONV) var dy = 0u;
  @else let dy = 0u;
  @if(CONV) var begin = 0u;
  @else let begin = 0u;
  @if(CONV) let length = sizes.K / sizes.run * ((sizes.run + STEP - 1u) / STEP * STEP);
  @else let length = sizes.K;
  for (var i = 0u; i < length; i += STEP) {
    @if(CONV) {
      let has_ended = i - begin >= sizes.run;
      begin = select(begin, i, has_ended);
      dy += select(0u, 1u, has_ended);
    }
    let k = i - begin;
    if (THREAD_ROWS == 1u) {
      let row = a_row(rows0, dy, k);
      row0 += b_block(columns0, dy, k) * row;
      if (THREAD_COLS > 4u) { row1 += b_block(columns1, dy, k) * row; }
    } else {
      var block_a0: mat4x4f;
      var block_a1 = mat4x4f();
      @if(QUADS) {
        // In a line each thread loads one row for all
        if (BESIDE == 4u) { block_a0 = from_line(a_row(rows0, dy, k)); } else { block_a0 = a_block(rows0, dy, k); }
      } @else { block_a0 = a_block(rows0, dy, k); }
      let block_b0 = b_block(columns0, dy, k);
      c00 += block_b0 * block_a0;
      if (THREAD_ROWS > 4u) {
        @if(QUADS) {
          if (BESIDE == 4u) { block_a1 = from_line(a_row(rows1, dy, k)); } else { block_a1 = from_beside(block_a0); }
        } @else { block_a1 = a_block(rows1, dy, k); }
        c10 += block_b0 * block_a1;
      }
      if (THREAD_COLS > 4u) {
        var block_b1: mat4x4f;
        @if(QUADS) {
          if (BELOW == 2u) { block_b1 = from_below(block_b0); } else { block_b1 = b_block(columns1, dy, k); }
        } @else { block_b1 = b_block(columns1, dy, k); }
        c01 += block_b1 * block_a0;
        if (THREAD_ROWS > 4u) { c11 += block_b1 * block_a1; }
      }
    }
  }

  if (THREAD_ROWS == 1u) {
    c00[0] = row0;
    c01[0] = row1;
  }
  @if(CONV) let scale = 1.0;
  @else let scale = sizes.scale;
  store_tile(m, n, group.z, first, TileSums(c00, c01, c10, c11), scale);
}
