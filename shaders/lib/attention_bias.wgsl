// The bias of attention: the keys that a query sees, and the position bias that is added to its scores. A kernel is
// compiled for one kind, the prelude's BIAS, and compilers drop the code of the others. A row is one query of one head.
//
//   0 NONE      a query sees every key
//   1 CAUSAL    query i is at position limit + i and sees the keys up to there
//   2 LENGTH    a query sees keys [0, limit)
//   3 MASK      a bit per query and key hides the key from all heads
//   4 RELATIVE  keys are a map, row by row: the score of the key at (y, x) grows by rel_h[row, y] + rel_w[row, x]
//   5 WINDOW    CAUSAL, but a query sees at most the last `window` of those keys
//
// shapes    bits [queries, words], bit key % 32 of word key / 32; rel_h [rows, height] and rel_w [rows, width],
//           multiplied by log2(e)
// bindings  3, 4, 5; those of other kinds than BIAS are never read
// host      BIAS is one of these numbers (src/ops/attention/problem.ts has them too)
// prelude   const BIAS

import prelude::BIAS;

const CAUSAL = 1u;
const LENGTH = 2u;
const MASK = 3u;
const RELATIVE = 4u;
const WINDOW = 5u;

@group(0) @binding(3) var<storage, read> bits: array<u32>;
@group(0) @binding(4) var<storage, read> rel_h: array<f32>;
@group(0) @binding(5) var<storage, read> rel_w: array<f32>;

/** Query i sees none of the keys from this one on. */
fn visible_keys(i: u32, keys: u32, limit: u32) -> u32 {
  if (BIAS == CAUSAL || BIAS == WINDOW) { return min(limit + i + 1u, keys); }
  if (BIAS == LENGTH) { return min(limit, keys); }
  return keys;
}

/** Query i sees none of the keys before this one. */
fn oldest_key(i: u32, limit: u32, window: u32) -> u32 {
  if (BIAS == WINDOW) { return max(limit + i + 1u, window) - window; }
  return 0u;
}

/** Word `index` of the `words` of query i's mask: its 32 keys. */
fn mask_word(i: u32, index: u32, words: u32) -> u32 {
  if (BIAS == MASK) { return bits[i * words + index]; }
  return 0u;
}

/**
 * True if a query sees key j. `oldest` is its oldest_key, `visible` its visible_keys, `word` the key's mask_word.
 * LENGTH hides the same keys from all queries, so a kernel ends before them.
 */
fn is_visible(j: u32, oldest: u32, visible: u32, word: u32) -> bool {
  if (BIAS == CAUSAL) { return j < visible; }
  if (BIAS == WINDOW) { return j >= oldest && j < visible; }
  if (BIAS == MASK) { return ((word >> (j % 32u)) & 1u) == 0u; }
  return true;
}

/** The bias that is added to a row's scores of the keys in this row of the map. */
fn vertical_bias(row: u32, map_row: u32, height: u32) -> f32 {
  if (BIAS == RELATIVE) { return rel_h[row * height + map_row]; }
  return 0.0;
}

/** The bias that is added to a row's scores of the keys in this column of the map. */
fn horizontal_bias(row: u32, column: u32, width: u32) -> f32 {
  if (BIAS == RELATIVE) { return rel_w[row * width + column]; }
  return 0.0;
}

/** Keys of a block at most: those of a word of the mask. */
const BLOCK_KEYS = 32u;

/** Keys [first, first + count). Under RELATIVE they are all in row y of the map, the first one in column x. */
struct KeyBlock { first: u32, count: u32, y: u32, x: u32 }

/** The number of blocks of so many keys. */
fn block_count(keys: u32, width: u32) -> u32 {
  if (BIAS == RELATIVE) { return keys / width * ((width + BLOCK_KEYS - 1u) / BLOCK_KEYS); }
  return (keys + BLOCK_KEYS - 1u) / BLOCK_KEYS;
}

/** The block of an index below block_count. */
fn key_block(index: u32, keys: u32, width: u32) -> KeyBlock {
  if (BIAS == RELATIVE) {
    let blocks = (width + BLOCK_KEYS - 1u) / BLOCK_KEYS;  // of a row of the map
    let map_row = index / blocks;
    let column = index % blocks * BLOCK_KEYS;
    return KeyBlock(map_row * width + column, min(BLOCK_KEYS, width - column), map_row, column);
  }
  let first = index * BLOCK_KEYS;
  return KeyBlock(first, min(BLOCK_KEYS, keys - first), 0u, 0u);
}
