// resize: bilinear, pixel centres at half, no antialias (PyTorch's interpolate with align_corners = false)
//
//   source row s = max((row + 0.5) * scale - 0.5, 0), between rows floor(s) and the next; columns likewise
//
// shapes    x [B, H, W, cols], y [B, H2, W2, cols], in Elem; of x only rows < h and columns < w are the source
// threads   one an Elem of `run` rows of y, below each other: it reads what a source row gives to its column once,
//           and keeps it for all of the rows that lie beside it
// host      1 <= h <= H, 1 <= w <= W; scale_y = h / H2, scale_x = w / W2; span = W2 * cols; across = workgroups a
//           row, strips = B * runs of rows; more than 65,535 workgroups fold into workgroup_id.y
// prelude   alias Elem, const WG
// predicted a store and half a load an Elem, four times as large: 80 % of a copy
// measured  64 x 64 x 256 to 256 x 256 3.7 and 0.8 GB/s, 39 and 36 %; each Elem by itself 0.5 and 0.25 (lavapipe and
//           SwiftShader, two cores of a Xeon, November 2026)

struct Sizes {
  H: u32, W: u32, cols: u32, H2: u32, h: u32, w: u32,
  scale_y: f32, scale_x: f32,
  span: u32, across: u32, run: u32, runs: u32, strips: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<Elem>;
@group(0) @binding(2) var<uniform> sizes: Sizes;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let id = group.x + group.y * groups.x;
  let strip = id / sizes.across;
  let i = (id - strip * sizes.across) * WG + thread;
  if (strip >= sizes.strips || i >= sizes.span) { return; }
  let b = strip / sizes.runs;
  let first = (strip - b * sizes.runs) * sizes.run;
  let col = i / sizes.cols;
  let c = i - col * sizes.cols;

  // The two source columns and how far between them we are
  let sx = max((f32(col) + 0.5) * sizes.scale_x - 0.5, 0.0);
  let x0 = min(u32(sx), sizes.w - 1u);
  let tx = clamp(sx - f32(x0), 0.0, 1.0);
  let left = x0 * sizes.cols + c;
  let right = min(x0 + 1u, sizes.w - 1u) * sizes.cols + c;

  let stride = sizes.W * sizes.cols;
  let map = b * sizes.H * stride;
  let end = min(first + sizes.run, sizes.H2);
  var row = first;
  var place = place_of(row);
  var above = sizes.h;  // the source row that `top` is of: none yet
  var top = Elem();
  var bottom = Elem();
  // A loop around the rows beside one source row, as CPUs would run the body of an `if` for no lane as well
  while (row < end) {
    let start = map + place.row * stride;
    if (place.row == above + 1u) { top = bottom; } else { top = x[start + left] * (1.0 - tx) + x[start + right] * tx; }
    let below = map + min(place.row + 1u, sizes.h - 1u) * stride;
    bottom = x[below + left] * (1.0 - tx) + x[below + right] * tx;
    above = place.row;
    while (row < end && place.row == above) {
      y[(b * sizes.H2 + row) * sizes.span + i] = top * (1.0 - place.share) + bottom * place.share;
      row++;
      place = place_of(row);
    }
  }
}
