// copy: to[to_row + r, to_start + c] = from[r, from_start + c], whatever the words mean
//
// shapes    rows x cols of `from` [.., from_stride] into `to` [to_rows, to_stride], all in Elem
// threads   a workgroup takes CHUNK Elem, WG at a time
// host      count = rows * cols; both ends hold what the starts and strides say. Rows past to_rows are dropped.
//           More than 65,535 workgroups fold into workgroup_id.y.
// prelude   alias Elem (u32 or vec4u), const WG, const CHUNK

struct Sizes {
  count: u32, cols: u32,
  from_stride: u32, from_start: u32,
  to_stride: u32, to_start: u32, to_row: u32, to_rows: u32,
}

@group(0) @binding(0) var<storage, read> source: array<Elem>;
@group(0) @binding(1) var<storage, read_write> target_rows: array<Elem>;
@group(0) @binding(2) var<uniform> sizes: Sizes;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let first = (group.x + group.y * groups.x) * CHUNK;
  for (var i = first + thread; i < min(first + CHUNK, sizes.count); i += WG) {
    let row = i / sizes.cols;
    let col = i - row * sizes.cols;
    if (sizes.to_row >= sizes.to_rows || row >= sizes.to_rows - sizes.to_row) { continue; }
    target_rows[(sizes.to_row + row) * sizes.to_stride + sizes.to_start + col] =
      source[row * sizes.from_stride + sizes.from_start + col];
  }
}
