// A case that is measured is an op, its sizes, its inputs. Sizes are FlowSeg's: SigLIP (729 tokens, 16 heads of 72),
// SAM's encoder (64 x 64 tokens, windows of 14 x 14), Qwen3-4B (2560 channels, 9728 in its MLP, 32 heads of 128 that
// share 8), the mask decoder (200 queries, 4096 pixels), and a few that nobody's tiles divide.
//
// `flops` counts useful operations and `bytes` each input and output once, whatever an engine does beyond that.

import { sizeOf } from './lib/inputs.mjs'
import { whole } from './lib/random.mjs'

const BYTES = { f32: 4, u32: 4, f16: 2, bf16: 2, int8: 1, int4: 0.5 }

/** @returns the case with what follows from its inputs and output */
function make(group, name, op, fields) {
  const { inputs, output, unit = 'GFLOP/s', tolerance = 1e-4 } = fields
  const moved = Object.values(inputs).map(({ shape, dtype = 'f32' }) => sizeOf(shape) * BYTES[dtype])
  const bytes = moved.reduce((sum, n) => sum + n, 0) + 4 * sizeOf(output)
  return { group, name, op, unit, tolerance, ...fields, bytes }
}

// y = activation(x W^T + bias), x [M, K], W [N, K]
function linear(group, [M, K, N], { dtype = 'f32', bias = false, activation = 'none' } = {}) {
  const rest = [
    dtype === 'f32' ? '' : `${dtype} weights`,
    bias ? 'bias' : '',
    activation === 'none' ? '' : activation,
  ]
  const name = [`${M === 1 ? 'matvec' : 'matmul'} ${M}x${K}x${N}`, ...rest.filter(Boolean)].join(', ')
  return make(group, name, 'linear', {
    sizes: { M, K, N, dtype, bias, activation },
    inputs: {
      x: { shape: [M, K] },
      weight: { shape: [N, K], dtype },
      ...(bias ? { bias: { shape: [N], scale: 4 } } : {}),
    },
    output: [M, N],
    flops: 2 * M * K * N,
    // Peers that only have 16-bit products round x, and the result, too
    tolerance: dtype === 'f32' ? 1e-4 : 2e-2,
    unit: M === 1 ? 'GB/s' : 'GFLOP/s',
  })
}

// y = silu(x Wg^T) * (x Wu^T), x [M, K], Wg and Wu [I, K]
function swiglu([M, K, I]) {
  return make('matmul', `SwiGLU ${M}x${K}x${I}`, 'swiglu', {
    sizes: { M, K, I },
    inputs: { x: { shape: [M, K] }, gate: { shape: [I, K], scale: 0.1 }, up: { shape: [I, K], scale: 0.1 } },
    output: [M, I],
    flops: 4 * M * K * I,
  })
}

// q [B, Tq, heads d], k and v [B, Tk, kvHeads d]
function attention(name, sizes) {
  const { B = 1, heads, kvHeads = heads, d, Tq, Tk = Tq, bias = 'none', map } = sizes
  const start = Tk - Tq
  const pairs = bias === 'causal' ? Tq * start + (Tq * (Tq + 1)) / 2 : Tq * Tk
  const words = Math.ceil(Tk / 32)
  return make('attention', name, 'attention', {
    sizes: { B, heads, kvHeads, d, Tq, Tk, bias, start, map },
    inputs: {
      query: { shape: [B, Tq, heads * d], scale: 3 },
      key: { shape: [B, Tk, kvHeads * d] },
      value: { shape: [B, Tk, kvHeads * d] },
      ...(bias === 'mask'
        ? {
            bits: {
              shape: [Tq, words],
              dtype: 'u32',
              make: (stream, length) => Uint32Array.from(whole(stream, length, 2 ** 32)),
            },
          }
        : {}),
      ...(bias === 'relative'
        ? {
            height: { shape: [2 * map[0] - 1, d], scale: 0.1 },
            width: { shape: [2 * map[1] - 1, d], scale: 0.1 },
          }
        : {}),
    },
    output: [B, Tq, heads * d],
    flops: 4 * B * heads * pairs * d,
  })
}

// x [H, W, I], weight [O, k, k, I]
function conv(name, { H, W, I, O, k, stride = 1, padding = 0 }) {
  const [H2, W2] = [H, W].map((n) => Math.floor((n + 2 * padding - k) / stride) + 1)
  return make('convolution', name, 'conv2d', {
    sizes: { H, W, I, O, k, stride, padding, H2, W2 },
    inputs: { x: { shape: [H, W, I] }, weight: { shape: [O, k, k, I] } },
    output: [H2, W2, O],
    flops: 2 * H2 * W2 * O * k * k * I,
  })
}

function deformable({ heads, d, points, levels }) {
  const T = levels.reduce((sum, [H, W]) => sum + H * W, 0)
  const places = heads * levels.length * points
  return make('other', `deformable attention, ${levels.length} levels, ${T} tokens`, 'deformable', {
    sizes: { heads, d, points, levels, T },
    inputs: {
      value: { shape: [T, heads * d] },
      offsets: { shape: [T, places * 2], scale: 4 },
      weights: { shape: [T, places] },
    },
    output: [T, heads * d],
    flops: 8 * T * places * d,
  })
}

/** An op that is bound by memory: one input and output of a shape, and vectors beside it. */
function bound(name, op, shape, sizes = {}, more = {}) {
  return make('memory', name, op, {
    sizes,
    inputs: { x: { shape, scale: 3 }, ...more },
    output: shape,
    flops: 0,
    unit: 'GB/s',
  })
}

const vectors = (C) => ({ weight: { shape: [C] }, bias: { shape: [C] } })

export const CASES = [
  linear('matmul', [1024, 1024, 1024]),
  linear('matmul', [729, 1152, 4304]),
  linear('matmul', [4096, 1024, 4096]),
  linear('matmul', [1800, 2560, 9728]),
  linear('matmul', [200, 256, 256]),
  linear('matmul', [731, 1153, 4303]),
  linear('matmul', [8, 2560, 9728]),
  linear('matmul', [1, 2560, 9728]),
  linear('matmul', [729, 1152, 4304], { bias: true, activation: 'gelu' }),
  swiglu([200, 1024, 2816]),

  linear('narrow', [1024, 1024, 1024], { dtype: 'f16' }),
  linear('narrow', [1024, 1024, 1024], { dtype: 'bf16' }),
  linear('narrow', [729, 1152, 4352], { dtype: 'int8' }),
  linear('narrow', [729, 1152, 4352], { dtype: 'int4' }),
  linear('narrow', [1, 2560, 9728], { dtype: 'f16' }),
  linear('narrow', [1, 2560, 9728], { dtype: 'bf16' }),
  linear('narrow', [1, 2560, 9728], { dtype: 'int8' }),
  linear('narrow', [1, 2560, 9728], { dtype: 'int4' }),

  attention('attention 729 tokens, 16 heads of 72', { heads: 16, d: 72, Tq: 729 }),
  attention('attention 25 windows of 196, 16 heads of 64, relative', {
    B: 25,
    heads: 16,
    d: 64,
    Tq: 196,
    bias: 'relative',
    map: [14, 14],
  }),
  attention('attention 4096 tokens, 16 heads of 64', { heads: 16, d: 64, Tq: 4096 }),
  attention('attention 4096 tokens, 16 heads of 64, relative', {
    heads: 16,
    d: 64,
    Tq: 4096,
    bias: 'relative',
    map: [64, 64],
  }),
  attention('attention 512 tokens causal, 32/8 heads of 128', {
    heads: 32,
    kvHeads: 8,
    d: 128,
    Tq: 512,
    bias: 'causal',
  }),
  attention('decode 1 query, 1800 keys, 32/8 heads of 128', {
    heads: 32,
    kvHeads: 8,
    d: 128,
    Tq: 1,
    Tk: 1800,
    bias: 'causal',
  }),
  attention('45 queries, 1800 keys causal, 32/8 heads of 128', {
    heads: 32,
    kvHeads: 8,
    d: 128,
    Tq: 45,
    Tk: 1800,
    bias: 'causal',
  }),
  attention('masked 200 queries, 4096 keys, 8 heads of 32', {
    heads: 8,
    d: 32,
    Tq: 200,
    Tk: 4096,
    bias: 'mask',
  }),

  conv('conv 1x1, 256 to 256, 64x64', { H: 64, W: 64, I: 256, O: 256, k: 1 }),
  conv('conv 3x3, 256 to 256, 64x64', { H: 64, W: 64, I: 256, O: 256, k: 3, padding: 1 }),
  conv('conv 16x16/16, 3 to 1024, 1024x1024', { H: 1024, W: 1024, I: 3, O: 1024, k: 16, stride: 16 }),

  deformable({
    heads: 8,
    d: 32,
    points: 4,
    levels: [
      [16, 16],
      [32, 32],
      [64, 64],
    ],
  }),

  bound('layer norm 729x1152', 'layerNorm', [729, 1152], { eps: 1e-6 }, vectors(1152)),
  bound('RMS norm 512x2560', 'rmsNorm', [512, 2560], { eps: 1e-6 }, { weight: { shape: [2560] } }),
  bound(
    'group norm 64x64x256, 32 groups',
    'groupNorm',
    [64, 64, 256],
    { groups: 32, eps: 1e-5 },
    vectors(256),
  ),
  bound('softmax 11664x729', 'softmax', [11664, 729]),
  {
    ...make('memory', 'resize 64x64x256 to 128x128', 'resize', {
      sizes: { H: 64, W: 64, C: 256, H2: 128, W2: 128 },
      inputs: { x: { shape: [64, 64, 256] } },
      output: [128, 128, 256],
      flops: 0,
      unit: 'GB/s',
    }),
  },
  bound('GELU 729x4304', 'gelu', [729, 4304]),
  bound('add 4096x1024', 'add', [4096, 1024], {}, { other: { shape: [4096, 1024] } }),
]
