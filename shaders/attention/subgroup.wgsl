// attention/subgroup: y = softmax(scale * q k^T + bias) v for every head, by subgroups that share their loads
//
// For adapters where a load costs more than arithmetic and subgroups have one fixed size, above all CPUs behind Vulkan.
// A row is one query of one head, and a lane keeps ROWS rows (queries and sums) to itself. The lanes of a subgroup load
// a key together, a vec4 each, and every vec4 is broadcast to all: a load feeds LANES * LANES * ROWS products of vec4s.
// As a lane has whole rows, neither scores nor their maxima are exchanged. The softmax is that of lib/online_softmax,
// with o rescaled once per block of keys.
//
// shapes    query, key, value and y as in attention/bindings; SPLIT: y has the parts of lib/online_softmax; bits,
//           rel_h, rel_w as in lib/attention_bias
// threads   a workgroup is one subgroup; lane l takes rows l, LANES + l, ... of its ROWS * LANES, and every splits-th
//           block of keys
// grid      x: splits, y: head of keys, then blocks of rows; z: batch
// numerics  f32; a row that sees no key gives 0
// host      keys, rows >= 1; the sizes as in attention/bindings; loop_end = ROWS * D4
// prelude   const D4 (vec4s of a head), LANES, ROWS, SHARED_BY, BIAS; bool SPLIT
//
// per key   ceil(D4 / LANES) loads of k and of v (60 cycles), D4 broadcasts of each (6), and per row 8 D4 multiply-adds
//           of 8 lanes (1), 2 D4 for the mask of the loop that sums are kept under, 50 for its score, exponential and
//           largest. A broadcast of a vec4 is four shuffles of 3 cycles, and matmul/subgroup counts 13 for it; 6, which
//           agrees with what is measured below, supposes that half of that goes on beside the arithmetic
// predicted lavapipe, two cores of a Xeon at 3 GHz, ROWS = 4 of 64 channels: 1,320 cycles for 8,192 FLOPs,
//           37 GFLOP/s, two fifths of the 96 that multiply-adds alone reach; bytes of k and v are read from cache,
//           rows / 32 times
// measured  37 (November 2026); 30 of 72 channels, whose last load is three quarters idle; 26 of 128, where ROWS = 2
//           (more shapes in src/ops/attention/subgroup.ts). Reading k and v through textures gains 2 %, and two keys
//           per turn gain 10 % at 64 channels and lose 5 to 20 at 72 and 128: what is left is arithmetic on spilled
//           registers

import package::attention::bindings::{
  key4, key_at, keys_of_rows, map_width, oldest_of, query, query_at, query_of, row_of, sizes, value4, value_at, y,
};
import package::lib::attention_bias::{
  BLOCK_KEYS, RELATIVE, block_count, horizontal_bias, is_visible, key_block, mask_word, vertical_bias, visible_keys,
};
import package::lib::online_softmax::{FLOOR, LOG2E, output_at, output_scale, power};
import prelude::{BIAS, D4, LANES, ROWS, SHARED_BY, SPLIT};

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let unit = group.y + sizes.first_group;
  let head = unit / sizes.row_blocks;
  let batch = group.z;
  let split = group.x;
  let first = unit % sizes.row_blocks * (ROWS * LANES);

  // The lane's rows. Past the end the last row is computed again, and not stored
  var m: array<f32, ROWS>;
  var l: array<f32, ROWS>;
  var i: array<u32, ROWS>;        // its query
  var row: array<u32, ROWS>;      // its index in y
  var visible: array<u32, ROWS>;  // its keys are in [oldest, visible)
  var oldest: array<u32, ROWS>;
  /*unroll*/ for (var r = 0u; r < ROWS; r++) {
    let in_head = min(first + r * LANES + lane, sizes.rows - 1u);
    i[r] = query_of(in_head);
    row[r] = row_of(batch, head, in_head);
    m[r] = FLOOR;
    l[r] = 0.0;
    visible[r] = visible_keys(i[r], sizes.keys, sizes.limit);
    oldest[r] = oldest_of(i[r]);
  }
  // The keys of the last row, the same for all lanes
  let keys = keys_of_rows(first + ROWS * LANES);

  // Rows are read and written by a plain loop whose end is a size, which Mesa can't know: unrolled, by us or by Mesa,
  // each load takes 22 ms to compile (lavapipe, November 2026). They are then copied to another array, as an array that
  // is indexed by a variable anywhere stays in memory, out of registers
  var places = row;
  var loaded: array<vec4f, ROWS * D4>;
  for (var n = 0u; n < sizes.loop_end; n++) {
    loaded[n] = query[query_at(places[n / D4]) + n % D4] * (sizes.scale * LOG2E);
  }
  var q: array<vec4f, ROWS * D4>;
  var o: array<vec4f, ROWS * D4>;
  /*unroll*/ for (var r = 0u; r < ROWS; r++) {
    /*unroll*/ for (var c = 0u; c < D4; c++) { q[r * D4 + c] = loaded[r * D4 + c]; }
  }

  let k_first = key_at(batch, head);
  let v_first = value_at(batch, head);
  let words = (sizes.keys + 31u) / 32u;
  let map_height = sizes.keys / map_width();
  let blocks = block_count(keys, map_width());
  // One longer than needed: Mesa unrolls loops over a whole array
  var scores: array<f32, BLOCK_KEYS * ROWS + 1u>;
  var top: array<f32, ROWS>;
  var p: array<f32, ROWS>;
  var score: array<f32, ROWS>;
  var word: array<u32, ROWS>;
  var vertical: array<f32, ROWS>;
  var chunk: vec4f;
  for (var b = oldest_of(query_of(first)) / BLOCK_KEYS + split; b < blocks; b += sizes.splits) {
    // 1. The block's keys, with the parts of their bias that are the same for all of them
    let block = key_block(b, keys, map_width());
    /*unroll*/ for (var r = 0u; r < ROWS; r++) {
      word[r] = mask_word(i[r], b, words);
      vertical[r] = vertical_bias(row[r], block.y, map_height);
    }

    // 2. Their scores and the new largest ones
    /*unroll*/ for (var r = 0u; r < ROWS; r++) { top[r] = m[r]; }
    for (var t = 0u; t < block.count; t++) {
      let j = block.first + t;
      let at = k_first + j * sizes.k_stride;
      /*unroll*/ for (var r = 0u; r < ROWS; r++) { score[r] = 0.0; }
      /*unroll*/ for (var c = 0u; c < D4; c++) {
        if (c % LANES == 0u) { chunk = key4(at + min(c + lane, D4 - 1u)); }
        let k = subgroupBroadcast(chunk, c % LANES);
        /*unroll*/ for (var r = 0u; r < ROWS; r++) { score[r] += dot(q[r * D4 + c], k); }
      }
      /*unroll*/ for (var r = 0u; r < ROWS; r++) {
        if (BIAS == RELATIVE) { score[r] += vertical[r] + horizontal_bias(row[r], block.x + t, map_width()); }
        score[r] = select(FLOOR, score[r], is_visible(j, oldest[r], visible[r], word[r]));
        scores[t * ROWS + r] = score[r];
        top[r] = max(top[r], score[r]);
      }
    }

    // 3. The rows' sums so far, rescaled to the new largest scores
    /*unroll*/ for (var r = 0u; r < ROWS; r++) {
      let shrink = power(m[r], top[r]);
      m[r] = top[r];
      l[r] *= shrink;
      /*unroll*/ for (var c = 0u; c < D4; c++) { o[r * D4 + c] *= shrink; }
    }

    // 4. The block's values
    for (var t = 0u; t < block.count; t++) {
      /*unroll*/ for (var r = 0u; r < ROWS; r++) {
        p[r] = power(scores[t * ROWS + r], m[r]);
        l[r] += p[r];
      }
      let at = v_first + (block.first + t) * sizes.v_stride;
      /*unroll*/ for (var c = 0u; c < D4; c++) {
        if (c % LANES == 0u) { chunk = value4(at + min(c + lane, D4 - 1u)); }
        let v = subgroupBroadcast(chunk, c % LANES);
        /*unroll*/ for (var r = 0u; r < ROWS; r++) { o[r * D4 + c] += p[r] * v; }
      }
    }
  }

  // The output, through arrays that may stay in memory
  var sums: array<vec4f, ROWS * D4>;
  var largest: array<f32, ROWS>;
  var totals: array<f32, ROWS>;
  /*unroll*/ for (var r = 0u; r < ROWS; r++) {
    largest[r] = m[r];
    totals[r] = l[r];
    let scale = output_scale(m[r], l[r]);
    /*unroll*/ for (var c = 0u; c < D4; c++) { sums[r * D4 + c] = o[r * D4 + c] * scale; }
  }
  for (var n = 0u; n < sizes.loop_end; n++) {
    let r = n / D4;
    if (first + r * LANES + lane < sizes.rows) {
      let at = output_at(places[r], split, sizes.splits);
      y[at + n % D4] = sums[n];
      if (SPLIT && n % D4 == 0u) { y[at + D4] = vec4f(largest[r], totals[r], 0.0, 0.0); }
    }
  }
}
