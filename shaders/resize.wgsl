// resize: bilinear, pixel centres at half, no antialias (PyTorch's interpolate with align_corners = false)
//
//   source row s = max((row + 0.5) * scale - 0.5, 0), between rows floor(s) and the next; columns likewise
//
// shapes    x [B, H, W, cols], y [B, H2, W2, cols], in Elem; of x only rows < h and columns < w are the source
// threads   one an Elem of y
// host      1 <= h <= H, 1 <= w <= W; scale_y = h / H2, scale_x = w / W2; count is y's size; more than 65,535
//           workgroups fold into workgroup_id.y
// prelude   alias Elem, const WG

struct Sizes {
  count: u32, H: u32, W: u32, cols: u32,
  H2: u32, W2: u32, h: u32, w: u32,
  scale_y: f32, scale_x: f32,
}

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
  let pixel = i / sizes.cols;
  let c = i - pixel * sizes.cols;
  let line = pixel / sizes.W2;  // b * H2 + row
  let col = pixel - line * sizes.W2;
  let b = line / sizes.H2;
  let row = line - b * sizes.H2;

  // The four source pixels and how far between them we are
  let sy = max((f32(row) + 0.5) * sizes.scale_y - 0.5, 0.0);
  let sx = max((f32(col) + 0.5) * sizes.scale_x - 0.5, 0.0);
  let y0 = min(u32(sy), sizes.h - 1u);
  let x0 = min(u32(sx), sizes.w - 1u);
  let y1 = min(y0 + 1u, sizes.h - 1u);
  let x1 = min(x0 + 1u, sizes.w - 1u);
  let ty = clamp(sy - f32(y0), 0.0, 1.0);
  let tx = clamp(sx - f32(x0), 0.0, 1.0);

  let above = (b * sizes.H + y0) * sizes.W;
  let below = (b * sizes.H + y1) * sizes.W;
  let top = x[(above + x0) * sizes.cols + c] * (1.0 - tx) + x[(above + x1) * sizes.cols + c] * tx;
  let bottom = x[(below + x0) * sizes.cols + c] * (1.0 - tx) + x[(below + x1) * sizes.cols + c] * tx;
  y[i] = top * (1.0 - ty) + bottom * ty;
}
