// The epilogue of a product: what happens between a sum and memory.
//
//   store(value, i)      y[i] = activation(value) + residual[i]
//   biased(value, i)     value + bias[i]
//   bias4(i)             the bias of four columns, zeros where there is none
//
// bindings  3 bias [y's columns] f32, 4 residual f32 in y's shape, 5 y f32
// prelude   const ACTIVATION (lib/activation.wgsl), const HAS_BIAS, const HAS_RESIDUAL, const IN_PLACE: the residual
//           lies in y

import package::lib::activation::activate;
import prelude::{ACTIVATION, HAS_BIAS, HAS_RESIDUAL, IN_PLACE};

@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> residual: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

fn biased(value: f32, i: u32) -> f32 {
  if (!HAS_BIAS) { return value; }
  return value + bias[i];
}

fn bias4(i: vec4u) -> vec4f {
  if (!HAS_BIAS) { return vec4f(); }
  return vec4f(bias[i.x], bias[i.y], bias[i.z], bias[i.w]);
}

fn store(value: f32, i: u32) {
  var v = activate(value, ACTIVATION);
  if (HAS_RESIDUAL) {
    if (IN_PLACE) { v += y[i]; } else { v += residual[i]; }
  }
  y[i] = v;
}
