// resize-map: resize.wgsl for maps of one channel: four columns a thread
//
// shapes    x [B, H, W] f32, y [B, H2, W2 / 4] vec4f; of x only rows < h and columns < w are the source
// threads   one four columns of `run` rows of y
// host      as resize.wgsl with cols = 1, but span = W2 / 4
// prelude   const WG
// predicted a store and two scalar loads a vec4f, four times as large: 80 % of a copy
// measured  256 x 256 to 1024 x 1024 2.4 and 0.6 GB/s, 26 and 25 %; each number by itself 0.34 and 0.18 (lavapipe and
//           SwiftShader, two cores of a Xeon, November 2026)

struct Sizes {
  H: u32, W: u32, H2: u32, h: u32, w: u32,
  scale_y: f32, scale_x: f32,
  span: u32, across: u32, run: u32, runs: u32, strips: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(2) var<uniform> sizes: Sizes;

fn row_of(start: u32, left: vec4u, right: vec4u, tx: vec4f) -> vec4f {
  let l = vec4f(x[start + left.x], x[start + left.y], x[start + left.z], x[start + left.w]);
  let r = vec4f(x[start + right.x], x[start + right.y], x[start + right.z], x[start + right.w]);
  return l * (1.0 - tx) + r * tx;
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let id = group.x + group.y * groups.x;
  let strip = id / sizes.across;
  let i = (id - strip * sizes.across) * WG + thread;
  if (strip >= sizes.strips || i >= sizes.span) { return; }
  let b = strip / sizes.runs;
  let first = (strip - b * sizes.runs) * sizes.run;

  let columns = vec4f(vec4u(4u * i) + vec4u(0u, 1u, 2u, 3u));
  let sx = max((columns + 0.5) * sizes.scale_x - 0.5, vec4f());
  let left = min(vec4u(sx), vec4u(sizes.w - 1u));
  let right = min(left + 1u, vec4u(sizes.w - 1u));
  let tx = clamp(sx - vec4f(left), vec4f(), vec4f(1.0));

  let map = b * sizes.H * sizes.W;
  let end = min(first + sizes.run, sizes.H2);
  var row = first;
  var place = place_of(row);
  var above = sizes.h;  // the source row that `top` is of: none yet
  var top = vec4f();
  var bottom = vec4f();
  // A loop around the rows beside one source row, as CPUs would run the body of an `if` for no lane as well
  while (row < end) {
    let start = map + place.row * sizes.W;
    if (place.row == above + 1u) { top = bottom; } else { top = row_of(start, left, right, tx); }
    let below = map + min(place.row + 1u, sizes.h - 1u) * sizes.W;
    bottom = row_of(below, left, right, tx);
    above = place.row;
    while (row < end && place.row == above) {
      y[(b * sizes.H2 + row) * sizes.span + i] = top * (1.0 - place.share) + bottom * place.share;
      row++;
      place = place_of(row);
    }
  }
}
