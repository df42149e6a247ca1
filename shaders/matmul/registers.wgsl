// matmul: y[m, n] = activation(scale * sum_k a[m, k] b[n, k] + bias[n]) + residual[m, n]
//
// shapes    a [B, M, K] f32, b [B, N, K] or (not B_IS_NK) [B, K, N], y [B, M, y_cols] f32, where b's columns begin
//           at y_first: a weight in several bindings takes one dispatch each
// threads   a thread takes ROWS x COLS outputs in registers, in blocks of 4 x 4 summed over 4 k at a time; ROWS = 1
//           is the matrix-vector product
// numerics  f32; four products at a time are added to the sum, in the order of k: same bits every run
// host      M, N, K >= 1; K, b_row and the strides count vectors where ALIGNED (matmul-load.wgsl); workgroups x, y
//           count WG tiles each, z is B; first_group is added to y; indices fit 32 bits
// prelude   const ROWS (1, 4, 8), const COLS (4, 8), const WG, const B_IS_NK, and those of matmul-load.wgsl,
//           matmul-tile.wgsl, and matmul-alone.wgsl or matmul-quads.wgsl
//
// No workgroup memory: on software adapters a barrier costs more than the loads it saves. And no larger tile: past 32
// KiB of code the inner loop leaves the instruction cache. GFLOP/s of 256^3 on two cores of a Xeon, SwiftShader,
// November 2026, side by side: 8 x 8 6.2, 8 x 12 3.8, 8 x 16 3.9, 16 x 16 4.8, 16 rows in workgroup memory 2.9.

/** Elements counted by an index. */
const PER_INDEX = 4u / STEP;

/** Where rows m .. m + 3 of a begin; past the edge the last row again, whose sums are never stored. */
fn a_rows(m: u32, first: u32) -> vec4u {
  return first + min(m + NEXT, vec4u(sizes.M - 1u)) * sizes.K;
}

/** Four rows of a, four k: a column of the matrix is a row of a. */
fn a_block(rows: vec4u, k: u32) -> mat4x4f {
  let left = sizes.K - k;
  return mat4x4f(a4(rows.x + k, left), a4(rows.y + k, left), a4(rows.z + k, left), a4(rows.w + k, left));
}

/** What b_block needs to know of columns n .. n + 3 of y: where they begin in b. */
fn b_columns(n: u32, first: u32) -> vec4u {
  if (B_IS_NK) { return first + min(n + NEXT, vec4u(sizes.N - 1u)) * sizes.b_row; }
  let column = min(n / PER_INDEX, sizes.b_row - 1u);
  return vec4u(first + column, sizes.b_row - column, 0u, 0u);
}

/** Four columns of y, four k: a column of the matrix is a k. */
fn b_block(columns: vec4u, k: u32) -> mat4x4f {
  if (B_IS_NK) {
    let left = sizes.K - k;
    return transpose(mat4x4f(
      b4(columns.x + k, left), b4(columns.y + k, left), b4(columns.z + k, left), b4(columns.w + k, left)));
  }
  let rows = columns.x + min(k * PER_INDEX + NEXT, vec4u(sizes.K * PER_INDEX - 1u)) * sizes.b_row;
  let left = columns.y;
  return mat4x4f(b4(rows.x, left), b4(rows.y, left), b4(rows.z, left), b4(rows.w, left));
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = tile_of((group.y + sizes.first_group) * groups.x + group.x, thread);
  if (tile >= sizes.tiles_m * sizes.tiles_n) { return; }
  let place = tile_place(place_of(tile), thread);
  let first = first_block(thread);

  // In a line a thread loads one row of each block
  let own_row = select(0u, thread, BESIDE == 4u);
  let rows0 = a_rows(place.m + 4u * first.x + own_row, group.z * sizes.a_stride);
  let rows1 = a_rows(place.m + 4u + own_row, group.z * sizes.a_stride);
  let columns0 = b_columns(place.n + 4u * first.y, group.z * sizes.b_stride);
  let columns1 = b_columns(place.n + 4u, group.z * sizes.b_stride);
  // The sums: block c<row><col> has a column for each row of a; row0 and row1 where there is one row only
  var c00 = mat4x4f();
  var c01 = mat4x4f();
  var c10 = mat4x4f();
  var c11 = mat4x4f();
  var row0 = vec4f();
  var row1 = vec4f();
  for (var k = 0u; k < sizes.K; k += STEP) {
    if (ROWS == 1u) {
      let row = a4(rows0.x + k, sizes.K - k);
      row0 += b_block(columns0, k) * row;
      if (COLS > 4u) { row1 += b_block(columns1, k) * row; }
    } else {
      let left = sizes.K - k;
      var a0: mat4x4f;
      var a1 = mat4x4f();
      if (BESIDE == 4u) { a0 = from_line(a4(rows0.x + k, left)); } else { a0 = a_block(rows0, k); }
      let b0 = b_block(columns0, k);
      c00 += b0 * a0;
      if (ROWS > 4u) {
        if (BESIDE == 4u) {
          a1 = from_line(a4(rows1.x + k, left));
        } else if (BESIDE == 2u) {
          a1 = from_beside(a0);
        } else {
          a1 = a_block(rows1, k);
        }
        c10 += b0 * a1;
      }
      if (COLS > 4u) {
        var b1: mat4x4f;
        if (BELOW == 2u) { b1 = from_below(b0); } else { b1 = b_block(columns1, k); }
        c01 += b1 * a0;
        if (ROWS > 4u) { c11 += b1 * a1; }
      }
    }
  }

  if (ROWS == 1u) {
    c00[0] = row0;
    c01[0] = row1;
  }
  store_tile(place, first, group.z, Blocks(c00, c01, c10, c11), sizes.scale);
}
