// Scales by powers of two, which are exact: they keep the squares of a row's numbers from overflow and underflow.
//
//   DOWN, UP        2^-80 and 2^80. Scaled by DOWN, the largest numbers have squares of 2^96, and all numbers whose
//                   squares overflow without it have squares in the normal range
//   scale_to_one(magnitude)   a power of two that brings the absolute value with these bits to [1, 4). It is 2^127 for
//                   zero, and 2^-126 for the largest numbers

const DOWN = 8.271806125530277e-25;
const UP = 1.2089258196146292e24;

fn scale_to_one(magnitude: u32) -> f32 {
  return bitcast<f32>(u32(clamp(254 - i32(magnitude >> 23u), 1, 254)) << 23u);
}
