// A row a team: LANES neighbouring threads of a workgroup share a row, WG / LANES rows a workgroup.
//
//   over_lanes_sum(value, thread, call), over_lanes_max(value, thread, call)
//                 what the team's values come to, for each of it; a kernel's first call is 0, its second 1
//
// numerics  each thread adds the team's values up in the same order: same bits every run
// host      const LANES and const WG are powers of two, LANES <= WG; called in uniform control flow only
//
// One barrier a call, as each call has its own memory, and no tree of barriers: one takes 270 cycles a subgroup on
// lavapipe, as much as 7 loads.

import prelude::{LANES, WG};

var<workgroup> lane_values: array<f32, 2 * WG>;

fn publish(value: f32, thread: u32, call: u32) -> u32 {
  lane_values[call * WG + thread] = value;
  workgroupBarrier();
  return call * WG + (thread & ~(LANES - 1u));
}

fn over_lanes_sum(value: f32, thread: u32, call: u32) -> f32 {
  if (LANES == 1u) { return value; }
  let first = publish(value, thread, call);
  var sum = 0.0;
  for (var i = first; i < first + LANES; i++) { sum += lane_values[i]; }
  return sum;
}

fn over_lanes_max(value: f32, thread: u32, call: u32) -> f32 {
  if (LANES == 1u) { return value; }
  let first = publish(value, thread, call);
  var best = value;
  for (var i = first; i < first + LANES; i++) { best = max(best, lane_values[i]); }
  return best;
}
