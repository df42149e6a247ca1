// Threads of matmul.wgsl and conv2d.wgsl in quads, which share what they load. For CPUs with subgroups of four, where a load is
// done lane by lane and a swap is one instruction.
//
// Each thread of a quad computes one of its tiles. Threads beside each other need the same rows of a, those below each other the
// same columns of b. Where there are two, each loads one of its two blocks of four and swaps it for the other, so that a thread's
// blocks are in an order of its own, `first_block`. Where four lie in a line, each loads one row of each block for all.
//
// host      a workgroup is one quad, COLS = 8; ROWS = 8, or 4 in a line; tiles_m and tiles_n count quads' tiles together
// predicted a step of four k is 128 loaded elements in a square and 160 in a line, of 256: at 6.5 ns of 7.3, 1.75 times as fast
//           and 1.5
// prelude   const BESIDE, BELOW: 2 and 2 in a square, 4 and 1 in a line

fn tile_of(group: u32, thread: u32) -> u32 { return group; }

fn tile_place(quad: Place, thread: u32) -> Place {
  return Place(BELOW * quad.m + ROWS * (thread / BESIDE), BESIDE * quad.n + COLS * (thread % BESIDE));
}

fn first_block(thread: u32) -> vec2u {
  if (BESIDE == 4u) { return vec2u(); }
  return vec2u(thread % 2u, thread / 2u);
}

fn from_beside(block: mat4x4f) -> mat4x4f {
  return mat4x4f(quadSwapX(block[0]), quadSwapX(block[1]), quadSwapX(block[2]), quadSwapX(block[3]));
}

fn from_below(block: mat4x4f) -> mat4x4f {
  return mat4x4f(quadSwapY(block[0]), quadSwapY(block[1]), quadSwapY(block[2]), quadSwapY(block[3]));
}

fn from_line(row: vec4f) -> mat4x4f {
  return mat4x4f(quadBroadcast(row, 0u), quadBroadcast(row, 1u), quadBroadcast(row, 2u), quadBroadcast(row, 3u));
}
