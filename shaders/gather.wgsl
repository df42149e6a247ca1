// gather: y[t, c] = table[ids[t], c], zero where ids[t] is no row of the table
//
// shapes    table [rows, cols] DTYPE in words, ids [T], y [T, cols]
// threads   one an element of y
// host      `rows` rows from first_row on are bound, of a table of table_rows in all. Each shard of a table is a
//           dispatch and writes its own ids' rows; the one with first_row = 0 also those that are out of range,
//           so together they write every row once. Sharded 16-bit tables begin on a word.
//           More than 65,535 workgroups fold into workgroup_id.y.
// prelude   lib/widen, const DTYPE, const WG

struct Sizes { count: u32, cols: u32, first_row: u32, rows: u32, table_rows: u32 }

@group(0) @binding(0) var<storage, read> table: array<u32>;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> sizes: Sizes;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (group.x + group.y * groups.x) * WG + thread;
  if (i >= sizes.count) { return; }
  let t = i / sizes.cols;
  let id = ids[t];
  if (id >= sizes.table_rows) {
    if (sizes.first_row == 0u) { y[i] = 0.0; }
    return;
  }
  if (id < sizes.first_row || id - sizes.first_row >= sizes.rows) { return; }
  let at = (id - sizes.first_row) * sizes.cols + (i - t * sizes.cols);
  y[i] = widen(table[word_of(at, DTYPE)], at, DTYPE);
}
