// An op of your own: a WGSL body, and a function that checks shapes and records a dispatch. In plans it stands beside
// those of the engine, and shares their memory planning, profiling and messages.

import { expectShape, expectType, kernel, record, ShapeError, tensor } from 'flowseg/engine'

const WG = 64

const SOURCE = /* wgsl */ `
// blur: y[i, j, c] = mean of x over the (2 radius + 1)^2 pixels around (i, j), the border's pixels repeated outwards
//
// shapes    x, y [height, width, channels] f32
// threads   one per value; more than 65,535 workgroups fold into y
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
`

/**
 * Box blur: the mean over the pixels at most `radius` away along both axes; those of the border count for what is outside.
 *
 * @param {import('flowseg/engine').Tensor} x [H, W, C] f32
 * @param {number} radius in pixels, 0 leaves x as it is
 * @returns {import('flowseg/engine').Tensor} [H, W, C] f32
 * @throws ShapeError if x has another rank or type, or the radius is no whole number from 0 on
 */
export function blur(x, radius) {
  expectType('blur', 'x', x, 'f32')
  expectShape('blur', 'x', x, [undefined, undefined, undefined])
  if (!Number.isInteger(radius) || radius < 0) {
    throw new ShapeError(`blur: the radius is ${radius}, expected a whole number from 0 on.`)
  }
  const [height = 1, width = 1, channels = 1] = x.shape

  const y = tensor(x.shape)
  record({
    kernel: kernel('blur', SOURCE, { WG }),
    reads: { x },
    writes: { y },
    sizes: { height, width, channels, radius },
    workgroups: Math.ceil(x.size / WG),
    flops: x.size * (2 * radius + 1) ** 2,
  })
  return y
}
