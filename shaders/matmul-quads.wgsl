// Threads of matmul.wgsl and conv2d.wgsl in quads, which share what they load. For CPUs with subgroups of four, where a load is
// done lane by lane and a swap is one instruction.
//
// Of a square of 2 x 2 tiles each thread computes one. Threads beside each other need the same rows of a, and each loads one of
// its two blocks of four; those above each other need the same columns of b, likewise. The other block comes from the partner, so
// a thread's blocks are in an order of its own, `first_block`: half the loads for the same products.
//
// host      a workgroup is one quad, ROWS = COLS = 8; tiles_m and tiles_n count squares of 16 x 16
// predicted a step of four k is 128 loaded elements of four lanes instead of 256, at 6.5 ns of 7.3: 1.75 times as fast

const SHARED = true;

fn tile_of(group: u32, thread: u32) -> u32 { return group; }

fn tile_place(square: Place, thread: u32) -> Place {
  return Place(2u * square.m + ROWS * (thread / 2u), 2u * square.n + COLS * (thread % 2u));
}

fn first_block(thread: u32) -> vec2u { return vec2u(thread % 2u, thread / 2u); }

fn from_beside(block: mat4x4f) -> mat4x4f {
  return mat4x4f(quadSwapX(block[0]), quadSwapX(block[1]), quadSwapX(block[2]), quadSwapX(block[3]));
}

fn from_below(block: mat4x4f) -> mat4x4f {
  return mat4x4f(quadSwapY(block[0]), quadSwapY(block[1]), quadSwapY(block[2]), quadSwapY(block[3]));
}
