// The threads of a row: LANES neighbouring threads of a workgroup share a row, WG / LANES rows per workgroup.
//
//   row_at(group, groups, thread)   the row of a thread
//   sum_of_row(value, thread, call), max_of_row(value, thread, call)
//                 the sum or the maximum over the row's threads, for each of them; `call` is 0 in a kernel's first
//                 call, 1 in its second
//
// numerics  each thread adds up the values of the row's threads in the same order: same bits every run
// host      LANES and WG are powers of two, LANES <= WG; called in uniform control flow only; more than 65,535
//           workgroups fold into workgroup_id.y
// prelude   const LANES, WG
//
// A call has one barrier, as each call has its own memory and every thread adds up all values. A tree would have one
// per level, and a barrier takes 272 cycles per subgroup on lavapipe, as much as 4.5 loads of a vec4 (60 each).

import prelude::{LANES, WG};

var<workgroup> lane_values: array<f32, 2 * WG>;

fn row_at(group: vec3u, groups: vec3u, thread: u32) -> u32 {
  return (group.x + group.y * groups.x) * (WG / LANES) + thread / LANES;
}

fn publish(value: f32, thread: u32, call: u32) -> u32 {
  lane_values[call * WG + thread] = value;
  workgroupBarrier();
  return call * WG + (thread & ~(LANES - 1u));
}

fn sum_of_row(value: f32, thread: u32, call: u32) -> f32 {
  if (LANES == 1u) { return value; }
  let first = publish(value, thread, call);
  var sum = 0.0;
  for (var i = first; i < first + LANES; i++) { sum += lane_values[i]; }
  return sum;
}

fn max_of_row(value: f32, thread: u32, call: u32) -> f32 {
  if (LANES == 1u) { return value; }
  let first = publish(value, thread, call);
  var best = value;
  for (var i = first; i < first + LANES; i++) { best = max(best, lane_values[i]); }
  return best;
}
