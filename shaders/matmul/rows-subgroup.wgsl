// matmul-rows-subgroup: matmul-rows with its sums added up by subgroups first, of any size
//
// Subgroups add in registers, so WG / (their size) values an output go through workgroup memory instead of WG: with subgroups of 32
// the ending takes 2 reads a thread instead of 64.
//
// shapes    as in matmul-rows
// threads   as in matmul-rows
// numerics  as in matmul-rows, but added up in the subgroup's order, then subgroup by subgroup: same bits every run
// host      as in matmul-rows; subgroups of 4 threads or more, WGSL with subgroup_id
// prelude   as in matmul-rows
//
// predicted, not measured: 5 % over matmul-rows where K <= 1,024, as the ending is then a tenth of the work; else the same
// measured  on no GPU. As in matmul-rows: lavapipe 2.3, SwiftShader 0.3

/** Every subgroup leaves one, of at least four lanes. */
const PARTIALS = WG / 4u;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32, @builtin(subgroup_invocation_id) lane: u32,
  @builtin(subgroup_id) subgroup: u32, @builtin(num_subgroups) subgroups: u32,
) {
  let tile = (group.y + sizes.first_group) * groups.x + group.x;
  if (tile >= sizes.tiles_m * sizes.tiles_n) { return; }  // all of the workgroup, so the barriers stay uniform
  let place = place_of(tile);
  var sums = row_sums(place, thread);
  for (var turn = 0u; turn < PASSES; turn++) {
    workgroupBarrier();
    for (var r = 0u; r < PASS_ROWS; r++) {
      let sum = subgroupAdd(sums[turn * PASS_ROWS + r]);
      if (lane == 0u) { partial[subgroup * PASS_ROWS + r] = sum; }
    }
    workgroupBarrier();
    end_pass(place, turn, thread, subgroups);
  }
}
