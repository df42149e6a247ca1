// morphology: y[row, col] = the largest (dilate) or the smallest (erode) of x in the 3 x 3 window around it
//
// shapes    x, y [H, cols] Elem
// threads   one per column of Elem and `run` rows of it, so that it reads every row once
// numerics  numbers are compared by keys, which are integers in the same order, as max and min of floats may drop NaN:
//           a NaN makes all nine windows around it NaN
// host      the window is clipped at the border, which is the same as repeating the edge. across = workgroups per row;
//           more than 65,535 workgroups fold into workgroup_id.y.
// prelude   alias Keys (i32 or vec4i, as wide as Elem), Shift (u32 or vec4u), const ERODE, WG
// predicted 8 bytes and 9 FLOPs per element, three loads and a store: 50 % of a copy
// measured  1024 x 1024 5.2 and 0.7 GB/s, 55 and 31 %; each number by itself 0.5 and 0.2 (lavapipe and SwiftShader, two
//           cores of a Xeon, November 2026), by max and min of numbers. Keys take as long on lavapipe, and 1.7 times as
//           long on SwiftShader

import package::image::strips::strip_at;
import package::lib::elem::{Elem, WIDTH, pack, part};
import prelude::{ERODE, Keys, Shift, WG};

struct Sizes { H: u32, cols: u32, across: u32, run: u32 }

@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<Elem>;
@group(0) @binding(2) var<uniform> sizes: Sizes;

/** The key of NaN is beyond those of all numbers: the largest of all integers, or for ERODE the smallest. */
fn key_of(v: Elem) -> Keys {
  let bits = bitcast<Keys>(v);
  let past = Keys(select(0x7fffffff, -0x7fffffff - 1, ERODE));
  return select(flipped(bits), past, (bits & Keys(0x7fffffff)) > Keys(0x7f800000));
}

/** From bits to keys and back: negative numbers, whose bits are in the opposite order, keep only their sign bit. */
fn flipped(bits: Keys) -> Keys { return bits ^ ((bits >> Shift(31u)) & Keys(0x7fffffff)); }

fn extreme(a: Keys, b: Keys) -> Keys {
  if (ERODE) { return min(a, b); }
  return max(a, b);
}

/** For each column of an Elem, the extreme of it and its two neighbours in this row. */
fn keys_of_row(row: u32, col: u32) -> Keys {
  let start = row * sizes.cols;
  let v = x[start + col];
  // The neighbours outside of v; at the border v's own, which change nothing
  let last = part(x[start + max(col, 1u) - 1u], WIDTH - 1u);
  let next = part(x[start + min(col + 1u, sizes.cols - 1u)], 0u);
  let left = select(last, part(v, 0u), col == 0u);
  let right = select(next, part(v, WIDTH - 1u), col + 1u == sizes.cols);
  if (WIDTH == 1u) { return extreme(key_of(v), extreme(key_of(Elem(left)), key_of(Elem(right)))); }
  let before = pack(left, part(v, 0u), part(v, 1u), part(v, 2u));
  let after = pack(part(v, 1u), part(v, 2u), part(v, 3u), right);
  return extreme(key_of(v), extreme(key_of(before), key_of(after)));
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let strip = strip_at(group, groups, sizes.across, thread);
  let col = strip.column;
  let first = strip.index * sizes.run;
  if (first >= sizes.H || col >= sizes.cols) { return; }

  var above = keys_of_row(max(first, 1u) - 1u, col);
  var here = keys_of_row(first, col);
  for (var row = first; row < min(first + sizes.run, sizes.H); row++) {
    let below = keys_of_row(min(row + 1u, sizes.H - 1u), col);
    y[row * sizes.cols + col] = bitcast<Elem>(flipped(extreme(here, extreme(above, below))));
    above = here;
    here = below;
  }
}
