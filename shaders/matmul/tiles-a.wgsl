// What matmul-tiles stages of a, where a is a matrix: see conv2d-tiles.wgsl for an image.

/** Rows m .. m + 3 at the k-th four, k first; past the edge the last row again, whose sums are never stored. */
fn a_block(z: u32, m: u32, k: u32) -> mat4x4f {
  let rows = z * sizes.a_stride + min(m + NEXT, vec4u(sizes.M - 1u)) * sizes.K;
  return transpose(mat4x4f(a4(rows.x, k), a4(rows.y, k), a4(rows.z, k), a4(rows.w, k)));
}
