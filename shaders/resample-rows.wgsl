// resample-rows: pixels of 8 bits weighted along the rows, the first of Pillow's two passes
//
//   y[first + r, c] = (start[c] + sum_k weight[c, k] * x[r, begin[c] + k]) >> 22 for red, green and blue, at most 255
//
// shapes    x [rows, stride] pixels, a strip of an image; y [height, width] pixels, red in the lowest byte, 0 for alpha;
//           taps [width, words]: begin, how many k, start, then the weights
// threads   one a column of `run` rows of y, below each other
// numerics  whole numbers: the same bits on every adapter, and those of a CPU
// host      weights and start stand for 2^22, so that no sum leaves 32 bits; first + rows <= height; red is where red
//           stands in a pixel of x, 0 or, where blue comes first, 16; across = workgroups a row; more than 65,535
//           workgroups fold into workgroup_id.y
// prelude   const WG
// predicted two loads a tap, and three multiply-adds of a shifted byte
// measured  4000 x 1000 to 1024 x 1000 in 26 and 130 ms, 33 and 280 with shifts by vectors (lavapipe and SwiftShader, two cores
//           of a Xeon, November 2026)

struct Sizes { stride: u32, first: u32, rows: u32, red: u32, width: u32, words: u32, across: u32, run: u32 }

@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read> taps: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;
@group(0) @binding(3) var<uniform> sizes: Sizes;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let id = group.x + group.y * groups.x;
  let strip = id / sizes.across;
  let c = (id - strip * sizes.across) * WG + thread;
  if (c >= sizes.width) { return; }

  let tap = c * sizes.words;
  let count = taps[tap + 1u];
  let end = min((strip + 1u) * sizes.run, sizes.rows);
  for (var r = strip * sizes.run; r < end; r++) {
    let begin = r * sizes.stride + taps[tap];
    // Channel by channel: shifts by vectors are done lane by lane on CPUs
    var low = taps[tap + 2u];
    var middle = low;
    var high = low;
    for (var k = 0u; k < count; k++) {
      let weight = taps[tap + 3u + k];
      let pixel = x[begin + k];
      low += weight * (pixel & 255u);
      middle += weight * ((pixel >> 8u) & 255u);
      high += weight * ((pixel >> 16u) & 255u);
    }
    let blue_first = sizes.red != 0u;
    let sum = vec3u(select(low, high, blue_first), middle, select(high, low, blue_first));
    let level = vec3u(min(sum.x >> 22u, 255u), min(sum.y >> 22u, 255u), min(sum.z >> 22u, 255u));
    y[(sizes.first + r) * sizes.width + c] = level.x | (level.y << 8u) | (level.z << 16u);
  }
}
