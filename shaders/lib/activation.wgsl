// activate(x, kind): the activation functions, shared by every kernel with an epilogue.
//
// numerics  NaN stays NaN; relu and tanh recognise it by its bits (lib/nan.wgsl says why). tanh's argument is clamped
//           to +-15, where its f32 is 1 already: some drivers return NaN past 44. erfc is Abramowitz & Stegun 7.1.26,
//           within 1.5e-7
// host      kind is one of these (src/ops/elementwise/activation.ts), a prelude constant wherever it matters for speed

import package::lib::nan::is_nan;

const NONE = 0u;
const RELU = 1u;
const GELU = 2u;
const GELU_TANH = 3u;
const SILU = 4u;
const SIGMOID = 5u;
const TANH = 6u;

fn safe_tanh(x: f32) -> f32 {
  return select(tanh(clamp(x, -15.0, 15.0)), x, is_nan(x));
}

/** max(x, 0). The bits of -infinity as an integer are -0x800000: those of negative numbers are below, of -NaN above. */
fn relu(x: f32) -> f32 { return select(x, 0.0, bitcast<i32>(x) <= -0x800000); }

fn sigmoid(x: f32) -> f32 {
  // exp only ever sees a negative argument, so it can't overflow
  let e = exp(-abs(x));
  return select(e, 1.0, x >= 0.0) / (1.0 + e);
}

/** 1 - erf(x) for x >= 0. */
fn erfc(x: f32) -> f32 {
  let t = 1.0 / (1.0 + 0.3275911 * x);
  let p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return p * exp(-min(x * x, 80.0));
}

fn gelu(x: f32) -> f32 {
  // 1 + erf(z) is erfc(|z|) below 0 and 2 - erfc(|z|) above: nothing cancels
  let tail = 0.5 * erfc(abs(x) * 0.7071067811865476);
  return x * select(tail, 1.0 - tail, x >= 0.0);
}

fn activate(x: f32, kind: u32) -> f32 {
  switch (kind) {
    case RELU: { return relu(x); }
    case GELU: { return gelu(x); }
    case GELU_TANH: { return 0.5 * x * (1.0 + safe_tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))); }
    case SILU: { return x * sigmoid(x); }
    case SIGMOID: { return sigmoid(x); }
    case TANH: { return safe_tanh(x); }
    default: { return x; }
  }
}
