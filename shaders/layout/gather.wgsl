// gather: y[t, c] = table[ids[t], c], 0 where ids[t] is past the table's last row
//
// shapes    table [rows, cols] of a stored type, ids [T], y [T, cols], cols in Elem
// threads   `lanes` threads take a row; a workgroup takes `run` rows
// host      the binding has `rows` rows from first_row on, of the table_rows rows of the whole table. Each shard of a
//           table is a dispatch of its own, which writes the rows of its own ids. The shard with first_row = 0 also
//           writes the zeros of ids out of range, so that together they write every row once. Shards of 16-bit tables
//           begin at a whole word. lanes divides WG. More than 65,535 workgroups fold into workgroup_id.y
// prelude   const WG, and the names of lib/operands for weights in rows; ALIGNED is true under @if(VEC4)
// predicted a copy
// measured  1800 rows of 2560 f32 6.5 and 2.1 GB/s, 68 and 90 %, of bf16 6.2 and 1.7; each number by itself 0.6 and
//           0.3 (lavapipe and SwiftShader, two cores of a Xeon, November 2026)

import package::lib::elem::Elem;
@if(VEC4) import package::lib::operands::b4;
@else import package::lib::operands::b1;
import prelude::WG;

struct Sizes {
  T: u32, cols: u32, first_row: u32, rows: u32, table_rows: u32,
  lanes: u32, run: u32,
}

// lib/operands binds the table, as b
@group(0) @binding(0) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;
@group(0) @binding(3) var<uniform> sizes: Sizes;

@if(VEC4) fn element(i: u32) -> Elem { return b4(i, 4u); }
@else fn element(i: u32) -> Elem { return b1(i); }

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let offset = thread / sizes.lanes;
  let lane = thread - offset * sizes.lanes;
  let first = (group.x + group.y * groups.x) * sizes.run;
  let end = min(first + sizes.run, sizes.T);
  for (var t = first + offset; t < end; t += WG / sizes.lanes) {
    let id = ids[t];
    let is_ours = id >= sizes.first_row && id - sizes.first_row < sizes.rows;
    let is_missing = id >= sizes.table_rows && sizes.first_row == 0u;
    let start = (id - sizes.first_row) * sizes.cols;
    let to = t * sizes.cols;
    for (var c = select(sizes.cols, lane, is_ours); c < sizes.cols; c += sizes.lanes) {
      y[to + c] = element(start + c);
    }
    for (var c = select(sizes.cols, lane, is_missing); c < sizes.cols; c += sizes.lanes) { y[to + c] = Elem(); }
  }
}
