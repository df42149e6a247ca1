// The grid of kernels whose threads go down a column: a workgroup takes WG columns of a strip of rows.
//
//   strip_at(group, groups, across, thread)   the thread's strip and column
//
// host      across = workgroups per strip (`strips` in src/kernels/elem.ts); more than 65,535 workgroups fold into
//           workgroup_id.y
// prelude   const WG

import prelude::WG;

struct Strip { index: u32, column: u32 }

fn strip_at(group: vec3u, groups: vec3u, across: u32, thread: u32) -> Strip {
  let id = group.x + group.y * groups.x;
  let index = id / across;
  return Strip(index, (id - index * across) * WG + thread);
}
