// ceiling-multiply-add: y[t] = sum over a of s_a, where s_a = s_a * scale + shift, 8 * steps times
//
// This measures the multiply-adds that an adapter does at best: nothing is loaded, so only arithmetic counts.
//
// shapes    y [threads] f32
// threads   each has ACCUMULATORS chains of multiply-adds that don't depend on one another
// numerics  s_a begins with thread + a and stays finite for scale < 1
// host      a whole number of workgroups of WG; a thread counts 16 * steps * ACCUMULATORS flops
// prelude   const WG, const ACCUMULATORS

import prelude::{ACCUMULATORS, WG};

struct Sizes { steps: u32, scale: f32, shift: f32 }

@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@group(0) @binding(1) var<uniform> sizes: Sizes;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let scale = sizes.scale;
  let shift = sizes.shift;
  var s = array<f32, ACCUMULATORS>();
  /*unroll*/ for (var a = 0u; a < ACCUMULATORS; a++) { s[a] = f32(id.x + a); }

  for (var i = 0u; i < sizes.steps; i++) {
    /*unroll*/ for (var r = 0u; r < 8u; r++) {
      /*unroll*/ for (var a = 0u; a < ACCUMULATORS; a++) { s[a] = s[a] * scale + shift; }
    }
  }

  var sum = 0.0;
  /*unroll*/ for (var a = 0u; a < ACCUMULATORS; a++) { sum += s[a]; }
  y[id.x] = sum;
}
