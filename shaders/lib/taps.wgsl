// A sum of weighted pixels of 8 bits along one axis of an image, rounded to levels again: what both of Pillow's passes do.
//
//   weighted(tap, begin, stride)   min((start + sum_k weight[k] * x[begin + k * stride]) >> 22, 255) for each of the three
//                                  low bytes of a pixel, the lowest first
//
// shapes    x array<u32> of pixels; taps array<u32>, of which a row stands at `tap`: begin, how many k, start, the weights
// numerics  whole numbers: the same bits on every adapter, and those of a CPU
// host      weights and start stand for 2^22, so that no sum leaves 32 bits

fn weighted(tap: u32, begin: u32, stride: u32) -> vec3u {
  let count = taps[tap + 1u];
  // Channel by channel: shifts by vectors are done lane by lane on CPUs
  var low = taps[tap + 2u];
  var middle = low;
  var high = low;
  for (var k = 0u; k < count; k++) {
    let weight = taps[tap + 3u + k];
    let pixel = x[begin + k * stride];
    low += weight * (pixel & 255u);
    middle += weight * ((pixel >> 8u) & 255u);
    high += weight * ((pixel >> 16u) & 255u);
  }
  return vec3u(min(low >> 22u, 255u), min(middle >> 22u, 255u), min(high >> 22u, 255u));
}
