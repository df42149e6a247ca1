// How matmul and convolution end, and where a tile lies.
//
//   place_of(tile)       row and column of the tile's first output
//   biased(value, n)     value + bias[n]
//   finish(value, i)     y[i] = activation(value) + residual[i]
//
// Tiles are numbered down panels of PANEL tiles' width: neighbours share rows of a and of b, and a panel of b stays in
// cache while a streams by.
//
// host      the kernel has Sizes.M, N, tiles_m, tiles_n, and y_first(): it writes N columns of y from there on; bias is as
//           long as y's rows
// prelude   const ROWS and COLS of a tile, const ACTIVATION (lib/activation.wgsl), const HAS_BIAS, const HAS_RESIDUAL,
//           const IN_PLACE: the residual is in y already

@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> residual: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

const PANEL = 8u;

struct Place { m: u32, n: u32 }

fn place_of(tile: u32) -> Place {
  let panel = tile / (PANEL * sizes.tiles_m);
  let width = min(PANEL, sizes.tiles_n - panel * PANEL);
  let inside = tile - panel * PANEL * sizes.tiles_m;
  return Place(inside / width * ROWS, (panel * PANEL + inside % width) * COLS);
}

fn biased(value: f32, n: u32) -> f32 {
  if (!HAS_BIAS) { return value; }
  return value + bias[y_first() + n];
}

fn finish(value: f32, i: u32) {
  var v = activate(value, ACTIVATION);
  if (HAS_RESIDUAL) {
    if (IN_PLACE) { v += y[i]; } else { v += residual[i]; }
  }
  y[i] = v;
}
