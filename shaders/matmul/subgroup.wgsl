// matmul-subgroup: y[m, n] = activation(scale * sum_k a[m, k] b[n, k] + bias[n]) + residual[m, n]
//
// For adapters where a load costs more than arithmetic and a subgroup has one fixed size, above all CPUs behind Vulkan.
// A subgroup takes ROW_PANELS x COLUMN_PANELS panels of LANES rows of a and LANES rows of b. A lane loads what its own
// row has at four k, once; a's rows then go round by broadcast, so a load feeds LANES times as many products.
//
// shapes    a [M, K] f32, b [N, K] as matmul-texture.wgsl or matmul-buffer.wgsl has it, y [M, y_cols] f32, where b's columns
//           begin at y_first. GATED: y = silu(a b^T) * (a b_up^T), a SwiGLU pair
// threads   a workgroup is one subgroup; lane l has row l of every panel of a and of b, and column l of its outputs
// numerics  f32; four products at a time are added to the sum, in the order of k: same bits every run
// host      M, N, K >= 1; K counts vectors where ALIGNED; the marked loops are written out first (src/kernels/unroll.ts);
//           ROW_PANELS * LANES * COLUMN_PANELS <= 256
// prelude   const LANES, ROW_PANELS, COLUMN_PANELS, GATED, and those of matmul-a, matmul-texels, matmul-texture or
//           matmul-buffer, and matmul-ending; the parts are matmul-panels too
//
// per step  of 4 k on 8 lanes: ROW_PANELS loads of a (60 cycles), COLUMN_PANELS of b (30 through a texture), 8 ROW_PANELS
//           broadcasts (13), 32 ROW_PANELS COLUMN_PANELS multiply-adds of 8 lanes (1)
// measured  lavapipe, two cores of a Xeon, November 2026, GFLOP/s of 1024^3: 4 x 8 panels 52.5 (b in a texture), 4 x 4
//           panels 41 (b in a buffer), 4 x 8 with a buffer 26 (too many registers); 84 is what multiply-adds alone reach

/** GATED: the first half of the panels is of b, the second of b_up, for the same columns. */
const PAIRS = select(COLUMN_PANELS, COLUMN_PANELS / 2u, GATED);
const ROWS = ROW_PANELS * LANES;
const COLS = PAIRS * LANES;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let tile = (group.y + sizes.first_group) * groups.x + group.x;
  if (tile >= sizes.tiles_m * sizes.tiles_n) { return; }
  let place = place_of(tile);

  // Rows past the edge are the last row again, whose sums are never stored
  var a_at: array<u32, ROW_PANELS>;
  var b_at: array<u32, COLUMN_PANELS>;
  /*unroll*/ for (var p = 0u; p < ROW_PANELS; p++) {
    a_at[p] = min(place.m + p * LANES + lane, sizes.M - 1u) * sizes.K;
  }
  /*unroll*/ for (var p = 0u; p < COLUMN_PANELS; p++) {
    b_at[p] = b_begin(p >= PAIRS, place.n + p % PAIRS * LANES, lane);
  }

  var sums: array<f32, ROWS * COLUMN_PANELS>;
  var texel: array<vec4u, COLUMN_PANELS>;
  var factor: array<f32, COLUMN_PANELS>;
  var row: array<vec4f, ROW_PANELS>;
  var column: array<vec4f, COLUMN_PANELS>;
  for (var t = 0u; t < sizes.texels; t++) {
    /*unroll*/ for (var p = 0u; p < COLUMN_PANELS; p++) {
      texel[p] = b_texel(p >= PAIRS, b_at[p], t);
      factor[p] = b_scale(p >= PAIRS, place.n + p % PAIRS * LANES, lane, t);
    }
    for (var turn = 0u; turn < TURNS; turn++) {
      /*unroll*/ for (var p = 0u; p < ROW_PANELS; p++) { row[p] = a4(a_at[p], t * TURNS + turn); }
      /*unroll*/ for (var p = 0u; p < COLUMN_PANELS; p++) {
        column[p] = b_values(texel[p]);
        if (SCALE_GROUPS > 0u) { column[p] *= factor[p]; }
      }
      /*unroll*/ for (var p = 0u; p < ROW_PANELS; p++) {
        /*unroll*/ for (var l = 0u; l < LANES; l++) {
          let v = subgroupBroadcast(row[p], l);
          /*unroll*/ for (var q = 0u; q < COLUMN_PANELS; q++) {
            sums[(p * LANES + l) * COLUMN_PANELS + q] += dot(v, column[q]);
          }
        }
      }
      /*unroll*/ for (var p = 0u; p < COLUMN_PANELS; p++) { texel[p] = next_turn(texel[p]); }
    }
  }

  // In a copy, as it is indexed by a variable and so lies in memory
  var done = sums;
  for (var r = 0u; r < min(ROWS, sizes.M - place.m); r++) {
    for (var q = 0u; q < PAIRS; q++) {
      let n = place.n + q * LANES + lane;
      if (n >= sizes.N) { continue; }
      var value = done[r * COLUMN_PANELS + q];
      if (GATED) { value = activate(value, SILU) * done[r * COLUMN_PANELS + PAIRS + q]; }
      finish(biased(value * sizes.scale, n), (place.m + r) * sizes.y_cols + sizes.y_first + n);
    }
  }
}
