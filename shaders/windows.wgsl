// windows: an image cut into square windows, zero padded at the right and the bottom (SAM), or joined again
//
//   split   y[wy * across + wx, r * window + c, ch] = x[wy * window + r, wx * window + c, ch], 0 outside
//   join    y[row, col, ch] = x[the window of (row, col), the place in it, ch]
//
// shapes    image [H, W, cols], windows [down * across, window^2, cols], all in Elem
// threads   one an Elem of y
// host      count is y's size; more than 65,535 workgroups fold into workgroup_id.y
// prelude   alias Elem, const JOIN, const WG

struct Sizes { count: u32, H: u32, W: u32, cols: u32, window: u32, across: u32 }

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<Elem>;
@group(0) @binding(2) var<uniform> sizes: Sizes;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (group.x + group.y * groups.x) * WG + thread;
  if (i >= sizes.count) { return; }
  let token = i / sizes.cols;
  let ch = i - token * sizes.cols;
  let window = sizes.window;
  if (JOIN) {
    let row = token / sizes.W;
    let col = token - row * sizes.W;
    let wy = row / window;
    let wx = col / window;
    let place = (row - wy * window) * window + (col - wx * window);
    y[i] = x[((wy * sizes.across + wx) * window * window + place) * sizes.cols + ch];
  } else {
    let w = token / (window * window);
    let place = token - w * window * window;
    let wy = w / sizes.across;
    let r = place / window;
    let row = wy * window + r;
    let col = (w - wy * sizes.across) * window + (place - r * window);
    var v = Elem();
    if (row < sizes.H && col < sizes.W) { v = x[(row * sizes.W + col) * sizes.cols + ch]; }
    y[i] = v;
  }
}
