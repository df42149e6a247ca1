// blur: y[i, j, c] = mean of x over the (2 radius + 1)^2 pixels around (i, j), the border's pixels repeated outwards
//
// shapes    x, y [height, width, channels] f32
// threads   one a value; more than 65,535 workgroups fold into y
// host      height, width, channels >= 1
// prelude   const WG

struct Sizes { height: u32, width: u32, channels: u32, radius: i32 }

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> sizes: Sizes;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let at = (group.x + group.y * groups.x) * WG + thread;
  if (at >= sizes.height * sizes.width * sizes.channels) { return; }
  let c = at % sizes.channels;
  let j = i32(at / sizes.channels % sizes.width);
  let i = i32(at / sizes.channels / sizes.width);

  var sum = 0.0;
  for (var di = -sizes.radius; di <= sizes.radius; di++) {
    let row = u32(clamp(i + di, 0, i32(sizes.height) - 1));
    for (var dj = -sizes.radius; dj <= sizes.radius; dj++) {
      let column = u32(clamp(j + dj, 0, i32(sizes.width) - 1));
      sum += x[(row * sizes.width + column) * sizes.channels + c];
    }
  }
  let side = f32(2 * sizes.radius + 1);
  y[at] = sum / (side * side);
}
