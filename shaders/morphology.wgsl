// morphology: y[row, col] = the largest (dilate) or the smallest (erode) of x in the 3 x 3 window around it
//
// shapes    x, y [H, W]
// threads   one an element
// host      outside of the map there is nothing: the window is clipped at the border, which repeating the edge
//           amounts to. More than 65,535 workgroups fold into workgroup_id.y.
// prelude   const ERODE, const WG

struct Sizes { H: u32, W: u32 }

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> sizes: Sizes;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (group.x + group.y * groups.x) * WG + thread;
  if (i >= sizes.H * sizes.W) { return; }
  let row = i / sizes.W;
  let col = i - row * sizes.W;
  var best = x[i];
  for (var r = max(row, 1u) - 1u; r <= min(row + 1u, sizes.H - 1u); r++) {
    for (var c = max(col, 1u) - 1u; c <= min(col + 1u, sizes.W - 1u); c++) {
      let v = x[r * sizes.W + c];
      if (ERODE) { best = min(best, v); } else { best = max(best, v); }
    }
  }
  y[i] = best;
}
