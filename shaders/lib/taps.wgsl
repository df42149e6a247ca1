// Sums of weighted pixels of 8 bits, rounded to levels again: what both of Pillow's passes of resampling do.
//
//   add_weighted(sums, weight, pixel)   adds weight times each of a pixel's three low bytes, the lowest first
//   levels_of(sums)                     min(sums >> 22, 255)
//
// numerics  whole numbers: the same bits on every adapter, and those of a CPU
// host      weights, and what the sums start from, stand for 2^22, so that no sum leaves 32 bits

/** Channel by channel: shifts by vectors are done lane by lane on CPUs. */
fn add_weighted(sums: vec3u, weight: u32, pixel: u32) -> vec3u {
  return vec3u(
    sums.x + weight * (pixel & 255u), sums.y + weight * ((pixel >> 8u) & 255u), sums.z + weight * ((pixel >> 16u) & 255u));
}

fn levels_of(sums: vec3u) -> vec3u {
  return vec3u(min(sums.x >> 22u, 255u), min(sums.y >> 22u, 255u), min(sums.z >> 22u, 255u));
}
