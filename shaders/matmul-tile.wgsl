// Tiles of matmul.wgsl and conv2d.wgsl: which one a thread takes, and how it ends.
//
//   place_of(tile)                      row and column of the tile's first output
//   store_tile(place, z, sums, scale)   y = activation(scale * sums + bias) + residual
//
// Tiles are numbered down panels of PANEL tiles' width: threads that are neighbours share rows of a and of b, and a
// panel of b stays in cache while a streams by.
//
// host      Sizes has M, N, tiles_m, tiles_n, and y_cols, y_first: y's rows are y_cols long, this dispatch writes N
//           columns from y_first on; bias is y_cols long
// prelude   const ROWS (1, 4, 8), const COLS (4, 8), const ACTIVATION (lib/activation.wgsl), const HAS_BIAS,
//           const HAS_RESIDUAL, const IN_PLACE: the residual is in y already

@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> residual: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

const PANEL = 8u;

struct Place { m: u32, n: u32 }

/** A tile's outputs in blocks of 4 x 4, whose columns are rows of y. Block 2 r + c lies at row 4 r, column 4 c. */
alias Blocks = array<mat4x4f, 4>;

fn place_of(tile: u32) -> Place {
  let panel = tile / (PANEL * sizes.tiles_m);
  let width = min(PANEL, sizes.tiles_n - panel * PANEL);
  let inside = tile - panel * PANEL * sizes.tiles_m;
  return Place(inside / width * ROWS, (panel * PANEL + inside % width) * COLS);
}

/** Of columns n to n + 3 of this dispatch; the last is repeated past the edge. */
fn bias4(n: u32) -> vec4f {
  if (!HAS_BIAS) { return vec4f(); }
  let at = sizes.y_first + min(vec4u(n, n + 1u, n + 2u, n + 3u), vec4u(sizes.N - 1u));
  return vec4f(bias[at.x], bias[at.y], bias[at.z], bias[at.w]);
}

fn finish(value: f32, i: u32) {
  var v = activate(value, ACTIVATION);
  if (HAS_RESIDUAL) {
    if (IN_PLACE) { v += y[i]; } else { v += residual[i]; }
  }
  y[i] = v;
}

/** One copy of the ending for all blocks: indexing by a variable puts them in memory, once. */
fn store_tile(place: Place, z: u32, sums: Blocks, scale: f32) {
  var blocks = sums;
  let halves = COLS / 4u;
  let bias0 = bias4(place.n);
  let bias1 = bias4(place.n + 4u);
  for (var i = 0u; i < ROWS * halves; i++) {
    let half = i % halves;
    let row = i / halves;
    let m = place.m + row;
    let n = place.n + half * 4u;
    if (m < sizes.M && n < sizes.N) {
      let v = blocks[row / 4u * 2u + half][row % 4u] * scale + select(bias0, bias1, half == 1u);
      let at = (z * sizes.M + m) * sizes.y_cols + sizes.y_first + n;
      let count = min(4u, sizes.N - n);
      for (var j = 0u; j < count; j++) { finish(v[j], at + j); }
    }
  }
}
