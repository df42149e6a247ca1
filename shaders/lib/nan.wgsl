// NaN and infinity by their bits. Shader compilers may assume that numbers are finite: they then take x != x for false,
// and max, min and clamp return the other operand where one is NaN.
//
//   is_nan(x), is_finite(x)
//   nan_of(x)               a NaN; it takes a number, as WGSL refuses a constant that is NaN

fn is_nan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }
fn is_finite(x: f32) -> bool { return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u; }
fn nan_of(x: f32) -> f32 { return bitcast<f32>(bitcast<u32>(x) | 0x7fc00000u); }
