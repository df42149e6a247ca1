// Threads of matmul.wgsl and conv2d.wgsl, each on its own: see matmul-quads.wgsl for threads that share loads.
//
// prelude   const WG, const BESIDE = BELOW = 1

fn tile_of(group: u32, thread: u32) -> u32 { return group * WG + thread; }
fn tile_place(place: Place, thread: u32) -> Place { return place; }

/** Of a thread's two blocks of rows, and of columns, which one it loads first. */
fn first_block(thread: u32) -> vec2u { return vec2u(); }

// Never called
fn from_beside(block: mat4x4f) -> mat4x4f { return block; }
fn from_below(block: mat4x4f) -> mat4x4f { return block; }
fn from_line(row: vec4f) -> mat4x4f { return mat4x4f(row, row, row, row); }
