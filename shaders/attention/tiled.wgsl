// attention/tiled: y = softmax(scale * q k^T + bias) v for every head, by workgroups that share tiles of keys
//
// For GPUs. Keys and values come through workgroup memory, a tile of KEYS at a time, so that 32 rows share each load; a
// row is one query of one head. ROW_THREADS threads share a row, each with every ROW_THREADS-th vec4 of its channels,
// so that a thread's queries and sums stay in registers up to heads of 128. They add up their parts of the scores
// through workgroup memory, so no subgroups are needed. The softmax is that of lib/online_softmax, with o rescaled once
// per tile.
//
// shapes    query, key, value and y as in attention/bindings; SPLIT: y has the parts of lib/online_softmax; bits,
//           rel_h, rel_w as in lib/attention_bias
// threads   64 per workgroup, in 16 groups of ROW_THREADS; a group takes ROWS rows, and its thread p their vec4s p,
//           ROW_THREADS + p, ...
// grid      x: splits, y: head of keys, then blocks of rows; z: batch
// numerics  f32; a row that sees no key gives 0
// host      keys, rows >= 1; the sizes as in attention/bindings; OWN_VEC4S = ceil(D4 / ROW_THREADS); ROW_THREADS = 4;
//           KEYS divides 32, the keys of a word of the mask; loop_end = KEYS, as a size so that Mesa doesn't unroll the
//           loops
// prelude   const D4 (vec4s of a head), KEYS, ROW_THREADS, ROWS, OWN_VEC4S, SHARED_BY, BIAS; bool SPLIT
//
// occupancy with ROWS = 2, a thread keeps 4 * 2 * 2 * OWN_VEC4S floats (64 at d = 64, 128 at d = 128) and about 40
//           more. Workgroup memory is 256 D4 bytes of tiles, 4,096 of partial sums, 1,024 of weights: 9 KiB at d = 64,
//           13 KiB at d = 128. A GPU with 64 KiB of it and 65,536 registers per multiprocessor holds 7 workgroups at d
//           = 64 (448 threads; registers would allow 9) and 4 at d = 128 (256 threads; registers would allow 6)
// per tile  of 8 keys, a thread loads D4 / 4 vec4f, reads 4 * OWN_VEC4S * 4 of tiles for 16 * OWN_VEC4S products of
//           vec4s: one read of a tile feeds ROWS = 2 of them; four barriers
// predicted the reads of workgroup memory, 128 bytes per cycle, bind: 64 multiply-adds per cycle, half of what 128
//           units could do, hence at most half the ceiling on such a GPU, less for exponentials and barriers. 512
//           causal tokens, 32/8 heads of 128: 2.1 GFLOP that count, 20 MiB of query, key, value and y once, and keys
//           again for each 32 rows, from cache
// measured  software adapters only, where barriers cost 272 cycles: see src/ops/attention/tiled.ts

import package::attention::bindings::{
  key4, key_at, keys_of_rows, map_width, oldest_of, query, query_at, query_of, row_of, sizes, value4, value_at, y,
};
import package::lib::attention_bias::{
  RELATIVE, horizontal_bias, is_visible, mask_word, vertical_bias, visible_keys,
};
import package::lib::online_softmax::{FLOOR, LOG2E, output_at, output_scale, power};
import prelude::{BIAS, D4, KEYS, OWN_VEC4S, ROWS, ROW_THREADS, SHARED_BY, SPLIT};

const WG = 64u;
const BLOCK_ROWS = WG / ROW_THREADS * ROWS;

var<workgroup> key_tile: array<vec4f, KEYS * D4>;
var<workgroup> value_tile: array<vec4f, KEYS * D4>;
/** Partial sums: the ROW_THREADS threads of a row have one each of every score, and at the end of l. */
var<workgroup> partial_sums: array<f32, BLOCK_ROWS * KEYS * ROW_THREADS>;
/** By row, the score of each key, then its weight. */
var<workgroup> weights: array<f32, BLOCK_ROWS * KEYS>;

/** The sum of the four partial sums. */
fn sum_of_partials(index: u32) -> f32 {
  let at = index * ROW_THREADS;
  return (partial_sums[at] + partial_sums[at + 1u]) + (partial_sums[at + 2u] + partial_sums[at + 3u]);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let unit = group.y + sizes.first_group;
  let head = unit / sizes.row_blocks;
  let batch = group.z;
  let split = group.x;
  let first = unit % sizes.row_blocks * BLOCK_ROWS;
  let part = thread % ROW_THREADS;
  let thread_row = thread / ROW_THREADS * ROWS;  // the thread's first row in the block

  // The thread's rows. Past the end the last row is computed again, and not stored. Vec4s past D4 are zeros
  var m: array<f32, ROWS>;
  var l: array<f32, ROWS>;        // of the thread's keys: every ROW_THREADS-th
  var i: array<u32, ROWS>;        // its query
  var row: array<u32, ROWS>;      // its index in y
  var visible: array<u32, ROWS>;  // its keys are in [oldest, visible)
  var oldest: array<u32, ROWS>;
  var q: array<vec4f, ROWS * OWN_VEC4S>;
  var o: array<vec4f, ROWS * OWN_VEC4S>;
  /*unroll*/ for (var r = 0u; r < ROWS; r++) {
    let in_head = min(first + thread_row + r, sizes.rows - 1u);
    i[r] = query_of(in_head);
    row[r] = row_of(batch, head, in_head);
    m[r] = FLOOR;
    visible[r] = visible_keys(i[r], sizes.keys, sizes.limit);
    oldest[r] = oldest_of(i[r]);
    let at = query_at(row[r]);
    /*unroll*/ for (var n = 0u; n < OWN_VEC4S; n++) {
      let c = part + n * ROW_THREADS;
      q[r * OWN_VEC4S + n] = select(vec4f(), query[at + min(c, D4 - 1u)] * (sizes.scale * LOG2E), c < D4);
    }
  }
  // The keys of the last row, the same for all threads
  let keys = keys_of_rows(first + BLOCK_ROWS);

  let k_first = key_at(batch, head);
  let v_first = value_at(batch, head);
  let words = (sizes.keys + 31u) / 32u;
  let map_height = sizes.keys / map_width();
  var sum: array<f32, ROWS>;     // the thread's partial sum of a score
  var top: array<f32, ROWS>;     // the largest score, with this tile's
  var weight: array<f32, ROWS>;  // of a key
  var word: array<u32, ROWS>;
  let oldest_tile = oldest_of(query_of(first)) / KEYS;
  for (var first_key = (oldest_tile + split) * KEYS; first_key < keys; first_key += sizes.splits * KEYS) {
    // 1. The tiles. Past the end the last key is repeated, with a weight of 0
    for (var n = thread; n < sizes.loop_end * D4; n += WG) {
      let j = min(first_key + n / D4, keys - 1u);
      key_tile[n] = key4(k_first + j * sizes.k_stride + n % D4);
      value_tile[n] = value4(v_first + j * sizes.v_stride + n % D4);
    }
    workgroupBarrier();

    // 2. The thread's partial sums of the scores
    for (var t = 0u; t < sizes.loop_end; t++) {
      /*unroll*/ for (var r = 0u; r < ROWS; r++) { sum[r] = 0.0; }
      /*unroll*/ for (var n = 0u; n < OWN_VEC4S; n++) {
        let k = key_tile[t * D4 + min(part + n * ROW_THREADS, D4 - 1u)];
        /*unroll*/ for (var r = 0u; r < ROWS; r++) { sum[r] += dot(q[r * OWN_VEC4S + n], k); }
      }
      /*unroll*/ for (var r = 0u; r < ROWS; r++) {
        if (BIAS == RELATIVE && t % ROW_THREADS == part) {
          let j = min(first_key + t, keys - 1u);
          sum[r] += vertical_bias(row[r], j / map_width(), map_height) +
            horizontal_bias(row[r], j % map_width(), map_width());
        }
        partial_sums[((thread_row + r) * KEYS + t) * ROW_THREADS + part] = sum[r];
      }
    }
    workgroupBarrier();

    // 3. The new largest scores, and the weights of the thread's keys
    /*unroll*/ for (var r = 0u; r < ROWS; r++) {
      top[r] = m[r];
      word[r] = mask_word(i[r], first_key / 32u, words);
    }
    for (var t = 0u; t < sizes.loop_end; t++) {
      let j = first_key + t;
      /*unroll*/ for (var r = 0u; r < ROWS; r++) {
        let at = (thread_row + r) * KEYS + t;
        let score = select(FLOOR, sum_of_partials(at), j < keys && is_visible(j, oldest[r], visible[r], word[r]));
        top[r] = max(top[r], score);
        if (t % ROW_THREADS == part) { weights[at] = score; }
      }
    }
    /*unroll*/ for (var r = 0u; r < ROWS; r++) {
      let shrink = power(m[r], top[r]);
      m[r] = top[r];
      l[r] *= shrink;
      /*unroll*/ for (var n = 0u; n < OWN_VEC4S; n++) { o[r * OWN_VEC4S + n] *= shrink; }
      for (var t = part; t < sizes.loop_end; t += ROW_THREADS) {
        // Keys past the end have weight 0 even where all keys are hidden
        let at = (thread_row + r) * KEYS + t;
        let p = select(0.0, power(weights[at], m[r]), first_key + t < keys);
        l[r] += p;
        weights[at] = p;
      }
    }
    workgroupBarrier();

    // 4. The values
    for (var t = 0u; t < sizes.loop_end; t++) {
      /*unroll*/ for (var r = 0u; r < ROWS; r++) { weight[r] = weights[(thread_row + r) * KEYS + t]; }
      /*unroll*/ for (var n = 0u; n < OWN_VEC4S; n++) {
        let v = value_tile[t * D4 + min(part + n * ROW_THREADS, D4 - 1u)];
        /*unroll*/ for (var r = 0u; r < ROWS; r++) { o[r * OWN_VEC4S + n] += weight[r] * v; }
      }
    }
    workgroupBarrier();
  }

  // The output; l is summed over the threads of a row
  /*unroll*/ for (var r = 0u; r < ROWS; r++) { partial_sums[(thread_row + r) * ROW_THREADS + part] = l[r]; }
  workgroupBarrier();
  /*unroll*/ for (var r = 0u; r < ROWS; r++) {
    let total = sum_of_partials(thread_row + r);
    if (first + thread_row + r < sizes.rows) {
      let scale = output_scale(m[r], total);
      let at = output_at(row[r], split, sizes.splits);
      /*unroll*/ for (var n = 0u; n < OWN_VEC4S; n++) {
        let c = part + n * ROW_THREADS;
        if (c < D4) { y[at + c] = o[r * OWN_VEC4S + n] * scale; }
      }
      if (SPLIT && part == 0u) { y[at + D4] = vec4f(m[r], total, 0.0, 0.0); }
    }
  }
}
