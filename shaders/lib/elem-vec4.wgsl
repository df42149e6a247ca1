// Elem = vec4f: a body written for Elem runs four values a thread; lib/elem-f32.wgsl is its twin.
//
//   part(v, i)        component i, a constant
//   pack(x, y, z, w)  the components together; the twin keeps x
//   total, largest    over the components
//   magnitude(v)      bits without signs: as integers they are in the order of the absolute values, then infinity, then NaN
//   largest_bits      over the components; above 0x7f800000 one of them is NaN
//
// host      const WIDTH = 4u (1u for the twin) comes from the prelude, so that kernels' keys differ

alias Elem = vec4f;
alias Bits = vec4u;

fn part(v: Elem, i: u32) -> f32 { return v[i]; }
fn pack(x: f32, y: f32, z: f32, w: f32) -> Elem { return vec4f(x, y, z, w); }
fn total(v: Elem) -> f32 { return (v.x + v.y) + (v.z + v.w); }
fn largest(v: Elem) -> f32 { return max(max(v.x, v.y), max(v.z, v.w)); }
fn magnitude(v: Elem) -> Bits { return bitcast<vec4u>(v) & vec4u(0x7fffffffu); }
fn largest_bits(v: Bits) -> u32 { return max(max(v.x, v.y), max(v.z, v.w)); }
