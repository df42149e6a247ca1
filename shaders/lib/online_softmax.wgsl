// Online softmax: softmax(scores) v in one pass over the keys, without storing the scores (Milakov & Gimelshein 2018;
// Dao et al. 2022). For each row we keep
//
//   m  the largest score so far
//   l  the sum of 2^(score - m)
//   o  the sum of 2^(score - m) v
//
// When a larger score turns up, l and o are multiplied by power(m, larger) and m becomes that score. After the last
// key, y = o / l. States of parts of the keys add up in the same way: a kernel that splits the keys stores (o, m, l) as
// they are, and attention/combine adds them up.
//
// The rescaling is written out in each kernel. It goes over o in a loop that is unrolled there, with constants for
// indices, so that o stays in registers: in a function neither the row nor the index of its vec4s would be a constant.
//
// shapes    output [rows, D4] vec4f, or, where SPLIT, [rows, splits, D4 + 1] vec4f: o, then (m, l, 0, 0)
// numerics  f32. Scores are log2(e) times those of the formula, as powers of two are cheaper. All numbers are
//           finite: hidden keys score FLOOR, and what they add to l and o before the first visible key is multiplied
//           by 0 when that key rescales them
// prelude   const D4 (vec4s of a head), SPLIT (true if the keys are split)

import package::lib::nan::{is_finite, nan_of};
import prelude::{D4, SPLIT};

const LOG2E = 1.4426950408889634;
const FLOOR = -3.0e38;

/** The weight 2^(score - m) of a key, where score <= m; or the factor of l and o when m replaces the largest score. */
fn power(score: f32, m: f32) -> f32 { return exp2(score - m); }

/**
 * The factor of o at the end: 1 / l, or 0 for a row that saw no key, whose m is still FLOOR. l is at most the number of
 * keys. If a score was NaN, m may be anything, but l is NaN or, with the exp2 of some drivers, infinite: the factor
 * is NaN then.
 */
fn normalizer(m: f32, l: f32) -> f32 {
  return select(nan_of(l), select(0.0, 1.0 / l, m > FLOOR), is_finite(l));
}

/** The factor of o in the output: none where SPLIT, as combine divides. */
fn output_scale(m: f32, l: f32) -> f32 {
  if (SPLIT) { return 1.0; }
  return normalizer(m, l);
}

/** The first index of o of a row in the output. */
fn output_at(row: u32, split: u32, splits: u32) -> u32 {
  if (SPLIT) { return part_at(row, split, splits); }
  return row * D4;
}

/** The first index of (o, m, l) of a split. */
fn part_at(row: u32, split: u32, splits: u32) -> u32 { return (row * splits + split) * (D4 + 1u); }
