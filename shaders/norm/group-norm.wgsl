// group-norm: y[p, c] = activation((down[g] * x[p, c] - mean[g]) * scale[g] * weight[c] + bias[c]), g the group of c
//
// shapes    x, y [pixels, groups, cols] Elem, stats [groups] (down, mean, scale, 0), weight, bias [groups, cols] Elem
// threads   `lanes` threads share a pixel; each takes an Elem of its channels, and keeps their statistics, weight and
//           bias in registers; a workgroup takes `run` pixels
// host      lanes divides WG; where IN_PLACE, y holds x's values; more than 65,535 workgroups fold into workgroup_id.y
// prelude   const ACTIVATION (see lib/activation), IN_PLACE, WG
// predicted with group-norm-stats: 12 bytes and 12 FLOPs per element: 80 % of a copy
// measured  [65536, 256] in 32 groups 6.6 and 2.4 GB/s, 69 and 105 % (lavapipe and SwiftShader, two cores of a Xeon,
//           November 2026)

import package::lib::activation::activate;
import package::lib::elem::{Elem, pack, part};
import prelude::{ACTIVATION, IN_PLACE, WG};

struct Sizes { pixels: u32, groups: u32, cols: u32, lanes: u32, run: u32 }

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read> stats: array<vec4f>;
@group(0) @binding(2) var<storage, read> weight: array<Elem>;
@group(0) @binding(3) var<storage, read> bias: array<Elem>;
@group(0) @binding(4) var<storage, read_write> y: array<Elem>;
@group(0) @binding(5) var<uniform> sizes: Sizes;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let offset = thread / sizes.lanes;
  let lane = thread - offset * sizes.lanes;
  let first = (group.x + group.y * groups.x) * sizes.run;
  let end = min(first + sizes.run, sizes.pixels);
  let channels = sizes.groups * sizes.cols;
  for (var c = lane; c < channels; c += sizes.lanes) {
    let g = stats[c / sizes.cols];
    let w = weight[c];
    let b = bias[c];
    for (var pixel = first + offset; pixel < end; pixel += WG / sizes.lanes) {
      let i = pixel * channels + c;
      var v: Elem;
      if (IN_PLACE) { v = y[i]; } else { v = x[i]; }
      v = (v * g.x - g.y) * g.z * w + b;
      y[i] = pack(
        activate(part(v, 0), ACTIVATION), activate(part(v, 1), ACTIVATION),
        activate(part(v, 2), ACTIVATION), activate(part(v, 3), ACTIVATION),
      );
    }
  }
}
