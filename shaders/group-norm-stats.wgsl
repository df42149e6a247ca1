// group-norm-stats: mean and sum of squared deviations of each group of channels over a chunk of pixels
//
// shapes    x [pixels, groups, cols] Elem, partials [chunks, groups] (mean, deviations); cols Elem of a group
// threads   one a chunk and group, neighbouring threads take neighbouring groups
// numerics  as in layer-norm: shifted by the chunk's first value, then Welford by Elem
// host      chunks * chunk >= pixels, no chunk is empty; more than 65,535 workgroups fold into workgroup_id.y
// prelude   const WIDTH with lib/elem-*, const WG

struct Sizes { pixels: u32, groups: u32, cols: u32, chunk: u32, chunks: u32 }

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> partials: array<vec2f>;
@group(0) @binding(2) var<uniform> sizes: Sizes;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (group.x + group.y * groups.x) * WG + thread;
  if (i >= sizes.chunks * sizes.groups) { return; }
  let chunk = i / sizes.groups;
  let g = i - chunk * sizes.groups;

  let first = chunk * sizes.chunk;
  let end = min(first + sizes.chunk, sizes.pixels);
  let stride = sizes.groups * sizes.cols;
  let shift = part(x[first * stride + g * sizes.cols], 0);
  let width = f32(WIDTH);
  var count = 0.0;
  var mean = 0.0;
  var deviations = 0.0;
  for (var pixel = first; pixel < end; pixel++) {
    for (var c = 0u; c < sizes.cols; c++) {
      let v = x[pixel * stride + g * sizes.cols + c] - shift;
      let m = total(v) / width;
      let d = v - m;
      let step = m - mean;
      let share = width / (count + width);
      deviations += total(d * d) + step * step * count * share;
      mean += step * share;
      count += width;
    }
  }
  partials[i] = vec2f(mean + shift, deviations);
}
