// copy: to[to_row + r, to_start + c] = from[r, from_start + c], bit by bit, for elements of any type
//
// shapes    rows x cols of `from` [.., from_stride] into `to` [to_rows, to_stride], all in Elem
//           @if(HALF): from f32 to f16, from vec4f to four values in a vec2u. Numbers beyond 65,504, the largest f16,
//           become that. Infinities and NaN become NaN: compilers may give any f16 for an infinity
// threads   a workgroup takes a chunk of Elem, WG at a time
// host      count = rows * cols, which both buffers hold under their starts and strides. Rows past to_rows are dropped.
//           More than 65,535 workgroups fold into workgroup_id.y
// prelude   alias Elem (u32 or vec4u; not @if(HALF)), const WG
// predicted a load and a store of 16 bytes: the ceiling that other kernels' headers compare with as `a copy`
// measured  [4096, 1024] 9.5 and 2.3 GB/s (lavapipe and SwiftShader, two cores of a Xeon, November 2026)

@if(HALF) import package::lib::nan::is_finite;
import package::lib::walk::{place_of, walk};
import prelude::{WG};
@if(!HALF) import prelude::Elem;

struct Sizes {
  count: u32, chunk: u32, cols: u32,
  from_stride: u32, from_start: u32,
  to_stride: u32, to_start: u32, to_row: u32, to_rows: u32,
}

@if(HALF) @group(0) @binding(0) var<storage, read> source: array<vec4f>;
@else @group(0) @binding(0) var<storage, read> source: array<Elem>;
@if(HALF) @group(0) @binding(1) var<storage, read_write> target_rows: array<vec2u>;
@else @group(0) @binding(1) var<storage, read_write> target_rows: array<Elem>;
@group(0) @binding(2) var<uniform> sizes: Sizes;

const LARGEST_F16 = 65504.0;
const NAN_F16 = 0x7e00u;

@if(HALF) fn half(x: f32) -> u32 {
  return select(NAN_F16, pack2x16float(vec2f(clamp(x, -LARGEST_F16, LARGEST_F16), 0.0)), is_finite(x));
}
@if(HALF) fn stored(v: vec4f) -> vec2u {
  return vec2u(half(v.x) | (half(v.y) << 16u), half(v.z) | (half(v.w) << 16u));
}
@else fn stored(v: Elem) -> Elem { return v; }

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let first = (group.x + group.y * groups.x) * sizes.chunk;
  let end = min(first + sizes.chunk, sizes.count);
  let room = sizes.to_rows - min(sizes.to_row, sizes.to_rows);
  let step = place_of(WG, sizes.cols);
  var at = place_of(first + thread, sizes.cols);
  for (var i = first + thread; i < end && at.x < room; i += WG) {
    target_rows[(sizes.to_row + at.x) * sizes.to_stride + sizes.to_start + at.y] =
      stored(source[at.x * sizes.from_stride + sizes.from_start + at.y]);
    at = walk(at, step, sizes.cols);
  }
}
