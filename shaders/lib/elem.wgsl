// Elem: the unit that a thread loads and stores, f32 or, under @if(VEC4), vec4f. A kernel that is written for Elem is
// linked for both: rows of a multiple of four values take vec4s.
//
//   part(v, i)        component i, which is a constant
//   pack(x, y, z, w)  an Elem of these components; where it is f32, x
//   total, largest    sum and maximum over the components
//   magnitude(v)      bits without signs: as integers they are in the order of the absolute values, then infinity, then
//                     NaN
//   largest_bits      the maximum of a magnitude's components; above 0x7f800000 one of them is NaN

@if(VEC4) alias Elem = vec4f;
@else alias Elem = f32;
@if(VEC4) alias Bits = vec4u;
@else alias Bits = u32;
/** Components of an Elem. */
@if(VEC4) const WIDTH = 4u;
@else const WIDTH = 1u;

@if(VEC4) fn part(v: Elem, i: u32) -> f32 { return v[i]; }
@else fn part(v: Elem, i: u32) -> f32 { return v; }

@if(VEC4) fn pack(x: f32, y: f32, z: f32, w: f32) -> Elem { return vec4f(x, y, z, w); }
@else fn pack(x: f32, y: f32, z: f32, w: f32) -> Elem { return x; }

@if(VEC4) fn total(v: Elem) -> f32 { return (v.x + v.y) + (v.z + v.w); }
@else fn total(v: Elem) -> f32 { return v; }

@if(VEC4) fn largest(v: Elem) -> f32 { return max(max(v.x, v.y), max(v.z, v.w)); }
@else fn largest(v: Elem) -> f32 { return v; }

fn magnitude(v: Elem) -> Bits { return bitcast<Bits>(v) & Bits(0x7fffffffu); }

@if(VEC4) fn largest_bits(v: Bits) -> u32 { return max(max(v.x, v.y), max(v.z, v.w)); }
@else fn largest_bits(v: Bits) -> u32 { return v; }
