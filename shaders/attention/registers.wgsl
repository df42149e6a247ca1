// attention/registers: y = softmax(scale * q k^T + bias) v for every head, by threads that keep their rows in registers
//
// Runs on any adapter. A row is one query of one head. A thread takes a few rows and goes over the keys once
// (lib/online_softmax), in blocks of at most 32, so that o is rescaled once per block. The SHARED_BY query heads that
// share a head of keys have adjacent rows, so that a key is loaded once for all of them. With few rows the keys are
// split among threads, and attention/combine joins their partial results.
//
// shapes    query, key, value and y as in attention/bindings; SPLIT: y has the parts of lib/online_softmax; bits,
//           rel_h, rel_w as in lib/attention_bias
// threads   a thread takes ROWS rows and every splits-th block of keys; SPLIT_THREADS of the WG threads of a workgroup
//           share rows
// grid      x: splits / SPLIT_THREADS, y: head of keys, then blocks of rows; z: batch
// numerics  f32; a row that sees no key gives 0
// host      keys, rows >= 1; the sizes as in attention/bindings
// prelude   const D4 (vec4s of a head), ROWS, WG, SPLIT_THREADS, SHARED_BY, BIAS; bool SPLIT

import package::attention::bindings::{
  key4, key_at, map_width, oldest_of, query, query_at, query_of, row_of, sizes, value4, value_at, y,
};
import package::lib::attention_bias::{
  BLOCK_KEYS, MASK, RELATIVE, block_count, horizontal_bias, is_visible, key_block, mask_word, vertical_bias,
  visible_keys,
};
import package::lib::online_softmax::{FLOOR, LOG2E, output_at, output_scale, power};
import prelude::{BIAS, D4, ROWS, SHARED_BY, SPLIT, SPLIT_THREADS, WG};

/** ROWS rows of D4 vec4s. */
alias QueryRows = array<vec4f, ROWS * D4>;

// Rows are read and written by plain loops, which aren't unrolled: SwiftShader and Mesa compile loads and stores most
// slowly (2.2 -> 1.0 s for 4 rows of 8 vec4s on SwiftShader, November 2026), and these run once.

/** The first `count` queries, scaled. */
fn load_rows(rows: array<u32, ROWS>, count: u32) -> QueryRows {
  var row = rows;
  var q = QueryRows();
  for (var r = 0u; r < count; r++) {
    let at = query_at(row[r]);
    for (var c = 0u; c < D4; c++) { q[r * D4 + c] = query[at + c] * (sizes.scale * LOG2E); }
  }
  return q;
}

/** The first `count` rows of the output. */
fn store_rows(
  sums: QueryRows, largest: array<f32, ROWS>, totals: array<f32, ROWS>, rows: array<u32, ROWS>, count: u32, split: u32,
) {
  var o = sums;
  var m = largest;
  var l = totals;
  var row = rows;
  for (var r = 0u; r < count; r++) {
    let at = output_at(row[r], split, sizes.splits);
    let scale = output_scale(m[r], l[r]);
    for (var c = 0u; c < D4; c++) { y[at + c] = o[r * D4 + c] * scale; }
    if (SPLIT) { y[at + D4] = vec4f(m[r], l[r], 0.0, 0.0); }
  }
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let unit = group.y + sizes.first_group;
  let head = unit / sizes.row_blocks;
  let batch = group.z;
  let split = group.x * SPLIT_THREADS + thread % SPLIT_THREADS;
  let first = (unit % sizes.row_blocks * (WG / SPLIT_THREADS) + thread / SPLIT_THREADS) * ROWS;
  if (first >= sizes.rows) { return; }

  // The thread's rows. Past the end the last row is computed again, and not stored
  let count = min(ROWS, sizes.rows - first);
  var m: array<f32, ROWS>;
  var l: array<f32, ROWS>;
  var i: array<u32, ROWS>;        // its query
  var row: array<u32, ROWS>;      // its index in y
  var visible: array<u32, ROWS>;  // its keys are in [oldest, visible)
  var oldest: array<u32, ROWS>;
  var keys = 0u;
  /*unroll*/ for (var r = 0u; r < ROWS; r++) {
    let in_head = min(first + r, sizes.rows - 1u);
    i[r] = query_of(in_head);
    row[r] = row_of(batch, head, in_head);
    m[r] = FLOOR;
    l[r] = 0.0;
    visible[r] = visible_keys(i[r], sizes.keys, sizes.limit);
    oldest[r] = oldest_of(i[r]);
    keys = max(keys, visible[r]);
  }
  var q = load_rows(row, count);
  var o = QueryRows();

  let k_first = key_at(batch, head);
  let v_first = value_at(batch, head);
  let words = (sizes.keys + 31u) / 32u;
  let map_height = sizes.keys / map_width();
  let blocks = block_count(keys, map_width());
  // One longer than needed: Mesa unrolls loops over a whole array, and then compiles for minutes
  var scores: array<f32, BLOCK_KEYS * ROWS + 1u>;
  var top: array<f32, ROWS>;
  var p: array<f32, ROWS>;
  var word: array<u32, ROWS>;
  var vertical: array<f32, ROWS>;
  var chunk: array<vec4f, D4>;
  // Under WINDOW the first rows see the oldest keys; no row sees those before
  for (var b = oldest_of(i[0]) / BLOCK_KEYS + split; b < blocks; b += sizes.splits) {
    // 1. The block's keys, with the parts of their bias that are the same for all of them
    let block = key_block(b, keys, map_width());
    var hidden = 0xffffffffu;
    /*unroll*/ for (var r = 0u; r < ROWS; r++) {
      word[r] = mask_word(i[r], b, words);
      hidden &= word[r];
      vertical[r] = vertical_bias(row[r], block.y, map_height);
    }
    if (BIAS == MASK && hidden == 0xffffffffu) { continue; }

    // 2. Their scores and the new largest ones
    /*unroll*/ for (var r = 0u; r < ROWS; r++) { top[r] = m[r]; }
    for (var t = 0u; t < block.count; t++) {
      let j = block.first + t;
      let at = k_first + j * sizes.k_stride;
      /*unroll*/ for (var c = 0u; c < D4; c++) { chunk[c] = key4(at + c); }
      /*unroll*/ for (var r = 0u; r < ROWS; r++) {
        var score = 0.0;
        /*unroll*/ for (var c = 0u; c < D4; c++) { score += dot(q[r * D4 + c], chunk[c]); }
        if (BIAS == RELATIVE) { score += vertical[r] + horizontal_bias(row[r], block.x + t, map_width()); }
        score = select(FLOOR, score, is_visible(j, oldest[r], visible[r], word[r]));
        scores[t * ROWS + r] = score;
        top[r] = max(top[r], score);
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
        let v = value4(at + c);
        /*unroll*/ for (var r = 0u; r < ROWS; r++) { o[r * D4 + c] += p[r] * v; }
      }
    }
  }

  store_rows(o, m, l, row, count, split);
}
