// binary: y[i] = a[i] OP b[i mod period], OP one of + - *
//
// shapes    a [count] Elem, b [period] Other, y [count] Elem
// threads   a workgroup takes CHUNK Elem, WG at a time
// host      period divides count. Other is f32 when b is one number, else it is Elem.
//           In place, a's values are found in y. More than 65,535 workgroups fold into workgroup_id.y.
// prelude   alias Elem, alias Other, const OPERATION, const BROADCAST, const IN_PLACE, const WG, const CHUNK

const ADD = 0u;
const SUBTRACT = 1u;
const MULTIPLY = 2u;

struct Sizes { count: u32, period: u32 }

@group(0) @binding(0) var<storage, read> a: array<Elem>;
@group(0) @binding(1) var<storage, read> b: array<Other>;
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;
@group(0) @binding(3) var<uniform> sizes: Sizes;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let first = (group.x + group.y * groups.x) * CHUNK;
  for (var i = first + thread; i < min(first + CHUNK, sizes.count); i += WG) {
    var left: Elem;
    if (IN_PLACE) { left = y[i]; } else { left = a[i]; }
    var at = i;
    if (BROADCAST) { at = i % sizes.period; }
    let right = Elem(b[at]);
    switch (OPERATION) {
      case ADD: { y[i] = left + right; }
      case SUBTRACT: { y[i] = left - right; }
      default: { y[i] = left * right; }
    }
  }
}
