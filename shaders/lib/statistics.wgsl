// Mean and sum of squared deviations of values that come one Elem or four Elem at a time. The statistics of each piece
// are joined to those before by their means (Chan et al. 1983), so that the variance is never a difference of squares.
//
//   joined(a, b)                     the statistics of both
//   with_one(all, v), with_four(all, v0, v1, v2, v3)   with one Elem more, or four

import package::lib::elem::{Elem, WIDTH, total};

struct Statistics { count: f32, mean: f32, deviations: f32 }

fn joined(a: Statistics, b: Statistics) -> Statistics {
  let count = a.count + b.count;
  let share = b.count / count;
  let step = b.mean - a.mean;
  return Statistics(count, a.mean + step * share, a.deviations + b.deviations + step * step * a.count * share);
}

fn with_one(all: Statistics, v: Elem) -> Statistics {
  let count = f32(WIDTH);
  let mean = total(v) / count;
  let d = v - mean;
  return joined(all, Statistics(count, mean, total(d * d)));
}

/** Four Elem are joined once, as joining is half of the work. */
fn with_four(all: Statistics, v0: Elem, v1: Elem, v2: Elem, v3: Elem) -> Statistics {
  let count = 4.0 * f32(WIDTH);
  let mean = total((v0 + v1) + (v2 + v3)) / count;
  let d0 = v0 - mean;
  let d1 = v1 - mean;
  let d2 = v2 - mean;
  let d3 = v3 - mean;
  return joined(all, Statistics(count, mean, total((d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3))));
}
