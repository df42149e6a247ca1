// shuffle: 2 x 2 blocks of pixels into channels, or channels into blocks
//
//   space to depth   y[Y, X, (dy * 2 + dx) * cols + c] = x[2Y + dy, 2X + dx, c]
//   depth to space   y[2Y + dy, 2X + dx, c] = x[Y, X, (dx * 2 + dy) * cols + c]       dx is the slow index here
//
// shapes    the fine map [2H, 2W, cols], the coarse one [H, W, 4 * cols], in Elem
// threads   one an Elem
// host      count = 4 * H * W * cols; more than 65,535 workgroups fold into workgroup_id.y
// prelude   alias Elem, const TO_SPACE, const WG

struct Sizes { count: u32, W: u32, cols: u32 }

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

  // Where element i of the fine map is
  let pixel = i / sizes.cols;
  let c = i - pixel * sizes.cols;
  let row = pixel / (2u * sizes.W);
  let col = pixel - row * 2u * sizes.W;
  let block = (row / 2u) * sizes.W + col / 2u;
  let dy = row % 2u;
  let dx = col % 2u;

  if (TO_SPACE) {
    y[i] = x[(block * 4u + dx * 2u + dy) * sizes.cols + c];
  } else {
    y[(block * 4u + dy * 2u + dx) * sizes.cols + c] = x[i];
  }
}
