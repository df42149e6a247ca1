// relative-bias: y[t, h, a] = LOG2E * query[t, h] . table[place(t) - a + side - 1], for one axis of a grid
//
// shapes    query [tokens, stride] with the heads from column `start`, table [2 side - 1, depth],
//           y [tokens, heads, side]; place(t) is the token's row or column in its grid
// threads   a thread an output
// host      tokens is batch * height * width; more than 65,535 workgroups fold into workgroup_id.y
// prelude   const ROWS_AXIS: place(t) is the row; else the column

const LOG2E = 1.4426950408889634;

struct Sizes { tokens: u32, heads: u32, depth: u32, stride: u32, start: u32, height: u32, width: u32, side: u32 }

@group(0) @binding(0) var<storage, read> query: array<f32>;
@group(0) @binding(1) var<storage, read> table: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> sizes: Sizes;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let id = (group.x + group.y * groups.x) * 64u + thread;
  if (id >= sizes.tokens * sizes.heads * sizes.side) { return; }
  let a = id % sizes.side;
  let head = id / sizes.side % sizes.heads;
  let token = id / (sizes.side * sizes.heads);
  let within = token % (sizes.height * sizes.width);
  let place = select(within % sizes.width, within / sizes.width, ROWS_AXIS);

  let q = token * sizes.stride + sizes.start + head * sizes.depth;
  let r = (place + sizes.side - 1u - a) * sizes.depth;
  var sum = 0.0;
  for (var c = 0u; c < sizes.depth; c++) { sum += query[q + c] * table[r + c]; }
  y[id] = sum * LOG2E;
}
