// group-norm: y[p, c] = activation((x[p, c] - mean[g]) * scale[g] * weight[c] + bias[c]), g the group of c
//
// shapes    x, y [pixels, groups, cols] Elem, stats [groups] (mean, scale), weight, bias [groups, cols] Elem
// threads   a workgroup takes CHUNK Elem, WG at a time
// host      count = pixels * groups * cols; in place, x's values are found in y; more than 65,535 workgroups
//           fold into workgroup_id.y
// prelude   const WIDTH with lib/elem-*, lib/activation, const ACTIVATION, const IN_PLACE, const WG, const CHUNK

struct Sizes { count: u32, groups: u32, cols: u32 }

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read> stats: array<vec2f>;
@group(0) @binding(2) var<storage, read> weight: array<Elem>;
@group(0) @binding(3) var<storage, read> bias: array<Elem>;
@group(0) @binding(4) var<storage, read_write> y: array<Elem>;
@group(0) @binding(5) var<uniform> sizes: Sizes;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let first = (group.x + group.y * groups.x) * CHUNK;
  for (var i = first + thread; i < min(first + CHUNK, sizes.count); i += WG) {
    let c = i % (sizes.groups * sizes.cols);
    let g = stats[c / sizes.cols];
    var v: Elem;
    if (IN_PLACE) { v = y[i]; } else { v = x[i]; }
    v = (v - g.x) * g.y * weight[c] + bias[c];
    y[i] = pack(
      activate(part(v, 0), ACTIVATION), activate(part(v, 1), ACTIVATION),
      activate(part(v, 2), ACTIVATION), activate(part(v, 3), ACTIVATION),
    );
  }
}
