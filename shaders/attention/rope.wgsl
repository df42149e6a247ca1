// rope: rotary position embedding, half-split style: channels i and i + HALF of a head are rotated together
//
//   a = (position + t) * theta^(-i / HALF)
//   y[t, i] = x[t, i] cos a - x[t, i + HALF] sin a,   y[t, i + HALF] = x[t, i + HALF] cos a + x[t, i] sin a
//
// An angle of 2,000 radians in f32 is off by 1e-4, and WGSL's sin by 5e-4 even near 0. So angles are counted in turns,
// in fixed point: theta^(-i / HALF) / 2 pi is a fraction of 64 bits, whose product with the position wraps around
// exactly, and sin and cos are polynomials on an eighth of a turn to either side.
//
// shapes    x [T, ...] Elem, rows `x_stride` apart, the first head at x_start; y [T, heads * 2 * COLS]; in Elem
// threads   one per row and Elem of pairs of channels, which it rotates in all heads
// numerics  sin and cos within 2e-7 for positions up to 2^24
// host      T, heads >= 1; COLS = HALF / WIDTH; TURNS are the fractions, the high word of each before the low one
// prelude   const HALF, COLS, WG, TURNS (2 HALF words)
// predicted 8 bytes and 3 FLOPs per element, and a sine and cosine per row for all heads: a copy
// measured  [1800, 32 x 128] 10.9 and 2.5 GB/s, 115 and 108 % (lavapipe and SwiftShader, two cores of a Xeon,
//           November 2026)

import package::lib::elem::{Elem, WIDTH, pack};
import prelude::{COLS, HALF, TURNS, WG};

struct Sizes { T: u32, heads: u32, position: u32, x_stride: u32, x_start: u32 }

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<Elem>;
@group(0) @binding(2) var<uniform> sizes: Sizes;

/** A variable, so that it can be indexed by one. */
var<private> turns: array<u32, 2 * HALF> = TURNS;

/** (cos, sin) of an angle in units of 2^-32 turns. */
fn turn(angle: u32) -> vec2f {
  // To the nearest quarter, which leaves at most pi / 4
  let quarter = (angle + 0x20000000u) >> 30u;
  let rest = f32(bitcast<i32>(angle - (quarter << 30u))) * 1.4629180792671596e-9;  // 2 pi / 2^32
  let z = rest * rest;
  let s = rest * (1.0 + z * (-1.0 / 6.0 + z * (1.0 / 120.0 + z * (-1.0 / 5040.0 + z * (1.0 / 362880.0)))));
  let c = 1.0 + z * (-0.5 + z * (1.0 / 24.0 + z * (-1.0 / 720.0 + z * (1.0 / 40320.0 + z * (-1.0 / 3628800.0)))));
  let swapped = select(vec2f(c, s), vec2f(-s, c), (quarter & 1u) == 1u);
  return select(swapped, -swapped, (quarter & 2u) == 2u);
}

/** (cos, sin) of channel i at a position: the product with the high word wraps, the low word adds a carry. */
fn turn_at(position: u32, i: u32) -> vec2f {
  let carry = u32(f32(position) * (f32(turns[2u * i + 1u]) * 2.3283064365386963e-10));
  return turn(position * turns[2u * i] + carry);
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let id = (group.x + group.y * groups.x) * WG + thread;
  let t = id / COLS;
  if (t >= sizes.T) { return; }
  let i = id % COLS;

  let position = sizes.position + t;
  let first = i * WIDTH;
  let w0 = turn_at(position, first);
  let w1 = turn_at(position, first + WIDTH / 4u);
  let w2 = turn_at(position, first + WIDTH / 2u);
  let w3 = turn_at(position, first + WIDTH - 1u);
  let cosines = pack(w0.x, w1.x, w2.x, w3.x);
  let sines = pack(w0.y, w1.y, w2.y, w3.y);

  for (var h = 0u; h < sizes.heads; h++) {
    let at_x = t * sizes.x_stride + sizes.x_start + h * (2u * COLS) + i;
    let at_y = (t * sizes.heads + h) * (2u * COLS) + i;
    let a = x[at_x];
    let b = x[at_x + COLS];
    y[at_y] = a * cosines - b * sines;
    y[at_y + COLS] = b * cosines + a * sines;
  }
}
