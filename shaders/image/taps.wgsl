// A weighted sum of pixels of 8 bits, rounded to 8 bits again: the step that both of Pillow's resampling passes take.
//
//   levels_at(tap, start, step)   the pixels x[start + begin * step], and so on in steps of `step`, weighted with the
//                                 taps from `tap` on: red, green and blue, each min(sum >> 22, 255)
//
// shapes    x pixels, a byte per channel; taps [count, words]: the first pixel of an output, their number, the value
//           that the sum starts from (the rounding), and their weights
// bindings  0 x, 1 taps
// numerics  whole numbers: the same bits on every adapter, and those of a CPU
// host      weights and start values are in units of 2^-22, so that no sum overflows 32 bits

@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read> taps: array<u32>;

fn levels_at(tap: u32, start: u32, step: u32) -> vec3u {
  var at = start + taps[tap] * step;
  var sums = vec3u(taps[tap + 2u]);
  for (var k = 0u; k < taps[tap + 1u]; k++) {
    sums = add_weighted(sums, taps[tap + 3u + k], x[at]);
    at += step;
  }
  return vec3u(min(sums.x >> 22u, 255u), min(sums.y >> 22u, 255u), min(sums.z >> 22u, 255u));
}

/** Adds the weighted bytes of a pixel, the lowest first. Channel by channel: CPUs do shifts by vectors lane by lane. */
fn add_weighted(sums: vec3u, weight: u32, pixel: u32) -> vec3u {
  return vec3u(
    sums.x + weight * (pixel & 255u), sums.y + weight * ((pixel >> 8u) & 255u), sums.z + weight * ((pixel >> 16u) & 255u));
}
