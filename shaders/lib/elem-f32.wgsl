// Elem = f32: what kernels use whose rows are no multiple of four; lib/elem-vec4.wgsl is its twin.

alias Elem = f32;

fn part(v: Elem, i: u32) -> f32 { return v; }
fn pack(x: f32, y: f32, z: f32, w: f32) -> Elem { return x; }
fn total(v: Elem) -> f32 { return v; }
fn largest(v: Elem) -> f32 { return v; }
