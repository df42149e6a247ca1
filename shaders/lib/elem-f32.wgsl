// Elem = f32: what kernels use whose rows are no multiple of four; lib/elem-vec4.wgsl is its twin.

alias Elem = f32;
alias Bits = u32;

fn part(v: Elem, i: u32) -> f32 { return v; }
fn pack(x: f32, y: f32, z: f32, w: f32) -> Elem { return x; }
fn total(v: Elem) -> f32 { return v; }
fn largest(v: Elem) -> f32 { return v; }
fn magnitude(v: Elem) -> Bits { return bitcast<u32>(v) & 0x7fffffffu; }
fn largest_bits(v: Bits) -> u32 { return v; }
