// conv2d-subgroup: y[p, n] = activation(sum over dy, dx, i of x[oy * stride + dy - padding, ox * stride + dx - padding, i]
//                  * weight[n, dy, dx, i] + bias[n]), p = oy * out_w + ox, x zero outside of the image
//
// matmul-subgroup.wgsl with pixels for rows of a, where a row is found in the image as conv2d.wgsl finds it: for one dy the
// kw * I values that a pixel multiplies are one run of an image row.
//
// shapes    x [H, W, I] f32, b = weight [N, kh, kw, I] in panels whose runs [kw, I] each begin a texel, y [M, N] f32
// threads   a workgroup is one subgroup; lane l has pixel l of every panel of pixels, and channel l of every panel of b
// numerics  f32; four products at a time are added to the sum, in the order of dy, dx, i: same bits every run
// host      row = W * I, step = stride * I, run = kw * I, left_pad = padding * I; ALIGNED where all are multiples of four,
//           and then they count vectors
// prelude   const LANES, ROW_PANELS, COLUMN_PANELS, ALIGNED, PADDED (padding > 0), alias AWord, and those of matmul-texels,
//           matmul-texture and matmul-ending
//
// per step  as matmul-subgroup; predicted and measured the same share of multiply-adds: 3 x 3, 256 -> 256 channels of
//           64 x 64 on lavapipe 40 GFLOP/s (two cores of a Xeon, November 2026)

struct Sizes {
  M: u32, N: u32,
  tiles_m: u32, tiles_n: u32,
  H: i32, row: i32, run: u32, kh: u32,
  out_w: u32, stride: i32, step: i32,
  padding: i32, left_pad: i32,
  run_texels: u32,
  first_group: u32,
}

@group(0) @binding(0) var<storage, read> a: array<AWord>;
@group(0) @binding(6) var<uniform> sizes: Sizes;

const ROWS = ROW_PANELS * LANES;
const COLS = COLUMN_PANELS * LANES;

fn y_first() -> u32 { return 0u; }
fn b_first(up: bool) -> u32 { return 0u; }
fn b_texels() -> u32 { return sizes.kh * sizes.run_texels; }

/** Four values of image row y from position p + j on (ALIGNED: in vectors), zeros outside of the image and of the run. */
fn x4(y: i32, p: i32, j: u32) -> vec4f {
  // As u32, what lies above or left of the image is large too
  let row_inside = u32(y) < u32(sizes.H);
  if (ALIGNED) {
    let at = p + i32(min(j, sizes.run - 1u));
    if (!PADDED) { return vec4f(a[y * sizes.row + at]); }
    let inside = row_inside & (u32(at) < u32(sizes.row));
    return select(vec4f(), vec4f(a[select(0, y * sizes.row + at, inside)]), inside);
  }
  let run = 4u * j + vec4u(0u, 1u, 2u, 3u);
  let at = vec4u(vec4i(p) + vec4i(run));
  let inside = (at < vec4u(u32(sizes.row))) & (run < vec4u(sizes.run)) & vec4<bool>(row_inside);
  let i = select(vec4u(), u32(y * sizes.row) + at, inside);
  return select(vec4f(), vec4f(vec4f(a[i.x]).x, vec4f(a[i.y]).x, vec4f(a[i.z]).x, vec4f(a[i.w]).x), inside);
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let tile = (group.y + sizes.first_group) * groups.x + group.x;
  if (tile >= sizes.tiles_m * sizes.tiles_n) { return; }
  let place = place_of(tile);

  // Of our pixels, the image row above their first, and where their runs begin in an image row. Pixels past the end are
  // the last one again, whose sums are never stored
  var top: array<i32, ROW_PANELS>;
  var left: array<i32, ROW_PANELS>;
  var b_at: array<u32, COLUMN_PANELS>;
  /*unroll*/ for (var p = 0u; p < ROW_PANELS; p++) {
    let pixel = min(place.m + p * LANES + lane, sizes.M - 1u);
    let oy = pixel / sizes.out_w;
    top[p] = i32(oy) * sizes.stride - sizes.padding;
    left[p] = i32(pixel - oy * sizes.out_w) * sizes.step - sizes.left_pad;
  }
  /*unroll*/ for (var p = 0u; p < COLUMN_PANELS; p++) { b_at[p] = b_begin(false, place.n + p * LANES, lane); }

  var sums: array<f32, ROWS * COLUMN_PANELS>;
  var texel: array<vec4u, COLUMN_PANELS>;
  var row: array<vec4f, ROW_PANELS>;
  var column: array<vec4f, COLUMN_PANELS>;
  for (var dy = 0u; dy < sizes.kh; dy++) {
    for (var t = 0u; t < sizes.run_texels; t++) {
      /*unroll*/ for (var p = 0u; p < COLUMN_PANELS; p++) {
        texel[p] = b_texel(false, b_at[p], dy * sizes.run_texels + t);
      }
      for (var turn = 0u; turn < TURNS; turn++) {
        /*unroll*/ for (var p = 0u; p < ROW_PANELS; p++) {
          row[p] = x4(top[p] + i32(dy), left[p], t * TURNS + turn);
        }
        /*unroll*/ for (var p = 0u; p < COLUMN_PANELS; p++) { column[p] = b_values(texel[p]); }
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
  }

  // In a copy, as it is indexed by a variable and so lies in memory
  var done = sums;
  for (var r = 0u; r < min(ROWS, sizes.M - place.m); r++) {
    for (var q = 0u; q < COLUMN_PANELS; q++) {
      let n = place.n + q * LANES + lane;
      if (n < sizes.N) { finish(biased(done[r * COLUMN_PANELS + q], n), (place.m + r) * sizes.N + n); }
    }
  }
}
