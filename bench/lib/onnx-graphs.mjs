// Our cases as ONNX graphs, in one or more ways each; the bench keeps the fastest. Weights are initializers, as in a
// model file, so that onnxruntime may prepack them; activations are inputs.
//
// A way is { label, nodes, inputs, outputs, weights, pick, layout } with inputs and weights as { shape, type, data }.

import { toF16, transposed } from './random.mjs'
import { causalBias, headsFirst, placeHeadsFirst, relativeBias, toHeads, toPlanes } from './rearrange.mjs'

/** @throws when onnxruntime has no such op */
export function graphsOf(spec, inputs) {
  const ways = WAYS[spec.op]
  if (!ways) throw new Error(`has no op for ${spec.op}`)
  return ways(spec.sizes, inputs, spec).map((way) => ({ weights: {}, pick: (place) => place, ...way }))
}

const f32 = (shape, data) => ({ shape, type: 'f32', data })
const f16 = (shape, values) => ({ shape, type: 'f16', data: toF16(values).bits })
const i32 = (shape, ...values) => ({ shape, type: 'i32', data: Int32Array.from(values) })
const of = ({ shape, values }) => f32(shape, values)
const node = (op, reads, writes, attributes = {}) => ({ op, reads, writes, attributes })
const microsoft = (...args) => ({ ...node(...args), domain: 'com.microsoft' })

const WAYS = {
  linear({ M, K, N, dtype, bias, activation }, { x, weight, bias: b }) {
    if (dtype === 'bf16') throw new Error('has no bf16 weights')
    if (dtype === 'int8' || dtype === 'int4') return narrow({ M, K, N }, x, weight)
    const put = dtype === 'f16' ? f16 : f32
    const after = []
    let y = 'product'
    if (bias) after.push(node('Add', [y, 'bias'], [(y = 'biased')]))
    if (activation === 'gelu') after.push(microsoft('Gelu', [y], [(y = 'activated')]))
    const common = { inputs: { x: put([M, K], x.values) }, outputs: { [y]: { shape: [M, N], type: dtype } } }
    const vectors = bias ? { bias: of(b) } : {}
    return [
      {
        ...common,
        label: 'MatMul',
        nodes: [node('MatMul', ['x', 'w'], ['product']), ...after],
        weights: { w: put([K, N], transposed(weight.values, N, K)), ...vectors },
      },
      {
        ...common,
        label: 'Gemm',
        nodes: [node('Gemm', ['x', 'w'], ['product'], { transB: 1 }), ...after],
        weights: { w: put([N, K], weight.values), ...vectors },
      },
    ]
  },

  swiglu({ M, K, I }, { x, gate, up }) {
    return [
      {
        label: '',
        nodes: [
          node('MatMul', ['x', 'wg'], ['g']),
          node('MatMul', ['x', 'wu'], ['u']),
          node('Sigmoid', ['g'], ['s']),
          node('Mul', ['g', 's'], ['silu']),
          node('Mul', ['silu', 'u'], ['y']),
        ],
        inputs: { x: of(x) },
        outputs: { y: f32([M, I]) },
        weights: {
          wg: f32([K, I], transposed(gate.values, I, K)),
          wu: f32([K, I], transposed(up.values, I, K)),
        },
      },
    ]
  },

  attention(sizes, inputs) {
    const { B, heads, kvHeads, d, Tq, Tk, bias } = sizes
    const plain = composed(sizes, inputs)
    if (bias === 'causal') return [...grouped(sizes, inputs), ...plain]
    const { query, key, value, bits } = inputs
    const attributes = { num_heads: heads, scale: { float: d ** -0.5 } }
    if (kvHeads !== heads) throw new Error('MultiHeadAttention has no grouped heads')
    const graph = {
      nodes: [microsoft('MultiHeadAttention', ['query', 'key', 'value'], ['y'], attributes)],
      inputs: { query: of(query), key: of(key), value: of(value) },
      outputs: { y: f32([B, Tq, heads * d]) },
    }
    if (bias === 'none') return [{ label: 'MultiHeadAttention', ...graph }, ...plain]
    const reads = ['query', 'key', 'value', '', '', 'scoreBias']
    const nodes = [microsoft('MultiHeadAttention', reads, ['y'], attributes)]
    const scoreBias =
      bias === 'mask'
        ? f32([1, 1, Tq, Tk], blockedAsBias(bits.values, Tq, Tk))
        : f32([B, heads, Tq, Tk], relativeBias(sizes, inputs))
    const label = bias === 'mask' ? 'mask as a ready bias' : 'positions as a ready bias'
    return [{ label, ...graph, nodes, inputs: { ...graph.inputs, scoreBias } }, ...plain]
  },

  conv2d({ H, W, I, O, k, stride, padding, H2, W2 }, { x, weight }) {
    const graph = {
      nodes: [
        node('Conv', ['x', 'w'], ['y'], {
          kernel_shape: [k, k],
          strides: [stride, stride],
          pads: [padding, padding, padding, padding],
        }),
      ],
      inputs: { x: f32([1, I, H, W], toPlanes(x.values, H * W, I)) },
      outputs: { y: f32([1, O, H2, W2]) },
      // [O, k, k, I] to [O, I, k, k]
      weights: { w: f32([O, I, k, k], toPlanes(weight.values, k * k, I, O)) },
      pick: (place) => (place % O) * H2 * W2 + Math.floor(place / O),
    }
    return [
      { label: 'NCHW', ...graph, layout: 'NCHW' },
      { label: 'NHWC', ...graph, layout: 'NHWC' },
    ]
  },

  layerNorm({ eps }, { x, weight, bias }, { output }) {
    const nodes = [node('LayerNormalization', ['x', 'w', 'b'], ['y'], { axis: -1, epsilon: { float: eps } })]
    const weights = { w: of(weight), b: of(bias) }
    return [{ label: '', nodes, inputs: { x: of(x) }, outputs: { y: f32(output) }, weights }]
  },

  rmsNorm({ eps }, { x, weight }, { output }) {
    const attributes = { axis: -1, epsilon: { float: eps } }
    const nodes = [node('SimplifiedLayerNormalization', ['x', 'w'], ['y'], attributes)]
    return [
      { label: '', nodes, inputs: { x: of(x) }, outputs: { y: f32(output) }, weights: { w: of(weight) } },
    ]
  },

  groupNorm({ groups, eps }, { x, weight, bias }, { output: [H, W, C] }) {
    const planes = f32([1, C, H, W], toPlanes(x.values, H * W, C))
    return [
      {
        label: 'GroupNorm, channels last',
        nodes: [
          microsoft('GroupNorm', ['x', 'w', 'b'], ['y'], {
            groups,
            epsilon: { float: eps },
            activation: 0,
            channels_last: 1,
          }),
        ],
        inputs: { x: f32([1, H, W, C], x.values) },
        outputs: { y: f32([1, H, W, C]) },
        weights: { w: of(weight), b: of(bias) },
      },
      {
        label: 'as instance norm, scaled',
        nodes: [
          node('Reshape', ['x', 'rows'], ['r']),
          node('InstanceNormalization', ['r', 'ones', 'zeros'], ['n'], { epsilon: { float: eps } }),
          node('Reshape', ['n', 'planes'], ['p']),
          node('Mul', ['p', 'w'], ['m']),
          node('Add', ['m', 'b'], ['y']),
        ],
        inputs: { x: planes },
        outputs: { y: f32([1, C, H, W]) },
        weights: {
          rows: { shape: [3], type: 'i64', data: BigInt64Array.of(1n, BigInt(groups), -1n) },
          planes: { shape: [4], type: 'i64', data: BigInt64Array.from([1, C, H, W].map(BigInt)) },
          ones: f32([groups], new Float32Array(groups).fill(1)),
          zeros: f32([groups], new Float32Array(groups)),
          w: f32([C, 1, 1], weight.values),
          b: f32([C, 1, 1], bias.values),
        },
        pick: (place) => (place % C) * H * W + Math.floor(place / C),
      },
    ]
  },

  softmax(_, { x }, { output }) {
    const nodes = [node('Softmax', ['x'], ['y'], { axis: -1 })]
    return [{ label: '', nodes, inputs: { x: of(x) }, outputs: { y: f32(output) } }]
  },

  resize({ H, W, C, H2, W2 }, { x }) {
    const attributes = { mode: 'linear', coordinate_transformation_mode: 'half_pixel' }
    const scale = [H2 / H, W2 / W]
    return [
      {
        label: 'NHWC',
        nodes: [node('Resize', ['x', '', 'scales'], ['y'], attributes)],
        inputs: { x: f32([1, H, W, C], x.values) },
        outputs: { y: f32([1, H2, W2, C]) },
        weights: { scales: f32([4], Float32Array.of(1, ...scale, 1)) },
      },
      {
        label: 'NCHW',
        nodes: [node('Resize', ['x', '', 'scales'], ['y'], attributes)],
        inputs: { x: f32([1, C, H, W], toPlanes(x.values, H * W, C)) },
        outputs: { y: f32([1, C, H2, W2]) },
        weights: { scales: f32([4], Float32Array.of(1, 1, ...scale)) },
        pick: (place) => (place % C) * H2 * W2 + Math.floor(place / C),
      },
    ]
  },

  gelu: (_, { x }, { output }) => [
    {
      label: '',
      nodes: [microsoft('Gelu', ['x'], ['y'])],
      inputs: { x: of(x) },
      outputs: { y: f32(output) },
    },
  ],

  add: (_, { x, other }, { output }) => [
    {
      label: '',
      nodes: [node('Add', ['x', 'other'], ['y'])],
      inputs: { x: of(x), other: of(other) },
      outputs: { y: f32(output) },
    },
  ],
}

/** MatMulNBits: whole numbers with a scale a block; int8 with a scale a row is the same scale in all its blocks. */
function narrow({ M, K, N }, x, { quants, scales, dtype, limit, block: feeds }) {
  const [bits, block] = dtype === 'int8' ? [8, 128] : [4, feeds]
  const blocks = Math.ceil(K / block)
  const blob = (block * bits) / 8
  const packed = new Uint8Array(N * blocks * blob)
  const zero = 2 ** (bits - 1)
  for (let n = 0; n < N; n++) {
    for (let k = 0; k < K; k++) {
      const at = (n * blocks + Math.floor(k / block)) * blob
      const q = quants[n * K + k] + zero
      if (bits === 8) packed[at + (k % block)] = q
      else packed[at + ((k % block) >> 1)] |= q << (4 * (k % 2))
    }
  }
  if (limit >= zero) throw new Error(`quants up to ${limit} don't fit ${bits} bits`)
  const spread =
    dtype === 'int8'
      ? Float32Array.from({ length: N * blocks }, (_, i) => scales[Math.floor(i / blocks)])
      : scales
  const attributes = { K, N, bits, block_size: block }
  const graph = {
    inputs: { x: of(x) },
    outputs: { y: f32([M, N]) },
    weights: {
      w: { shape: [N, blocks, blob], type: 'u8', data: packed },
      scales: f32([N * blocks], spread),
    },
  }
  return [0, 4].map((accuracy) => ({
    ...graph,
    label: accuracy === 4 ? 'MatMulNBits, x as int8' : 'MatMulNBits',
    nodes: [
      microsoft('MatMulNBits', ['x', 'w', 'scales'], ['y'], { ...attributes, accuracy_level: accuracy }),
    ],
  }))
}

/** GroupQueryAttention: causal, with what was seen before in a cache, which is an input and an output. */
function grouped({ B, heads, kvHeads, d, Tq, Tk, start }, { query, key, value }) {
  const width = kvHeads * d
  const fresh = ({ values }) => f32([B, Tq, width], values.subarray(start * width))
  const attributes = { num_heads: heads, kv_num_heads: kvHeads, scale: { float: d ** -0.5 } }
  const weights = { seen: i32([B], Tk - 1), total: i32([], Tk) }
  const present = { shape: [B, kvHeads, Tk, d], type: 'f32' }
  const outputs = { y: f32([B, Tq, heads * d]), present_key: present, present_value: present }
  const writes = ['y', 'present_key', 'present_value']
  const inputs = { query: of(query), key: fresh(key), value: fresh(value) }
  const make = (past, label) => ({
    label,
    nodes: [
      microsoft(
        'GroupQueryAttention',
        ['query', 'key', 'value', past ? 'past_key' : '', past ? 'past_value' : '', 'seen', 'total'],
        writes,
        attributes,
      ),
    ],
    inputs: {
      ...inputs,
      ...(past
        ? {
            past_key: f32([B, kvHeads, past, d], toHeads(key.values, start, past, kvHeads, d)),
            past_value: f32([B, kvHeads, past, d], toHeads(value.values, start, past, kvHeads, d)),
          }
        : {}),
    },
    outputs,
    weights,
  })
  if (start === 0) return [make(0, 'GroupQueryAttention')]
  return [
    make(start, 'GroupQueryAttention'),
    // The cache grows in place: past and present are one buffer, where an engine lets us bind buffers
    {
      ...make(Tk, 'GroupQueryAttention, cache in place'),
      shared: { present_key: 'past_key', present_value: 'past_value' },
    },
  ]
}

/** Attention of single ops, for where the fused one is wrong. None where the scores are too much for one buffer. */
function composed(sizes, inputs) {
  const { B, heads, kvHeads, d, Tq, Tk, bias, start } = sizes
  if (B * heads * Tq * Tk * 4 > 2 ** 27) return []
  const group = heads / kvHeads
  const first = (x, T, h) => headsFirst(x.values, B, T, h, d)
  const keys = first(inputs.key, Tk, kvHeads)
  const scoreBias = {
    none: () => ({}),
    causal: () => ({ scoreBias: f32([1, group * Tq, Tk], causalBias(Tq, Tk, start, group)) }),
    mask: () => ({ scoreBias: f32([1, Tq, Tk], blockedAsBias(inputs.bits.values, Tq, Tk)) }),
    relative: () => ({ scoreBias: f32([B * heads, Tq, Tk], relativeBias(sizes, inputs)) }),
  }[bias]()
  const biased = bias === 'none' ? 'scaled' : 'biased'
  return [
    {
      label: 'composed',
      nodes: [
        node('MatMul', ['q', 'k'], ['scores']),
        node('Mul', ['scores', 'scale'], ['scaled']),
        ...(bias === 'none' ? [] : [node('Add', ['scaled', 'scoreBias'], ['biased'])]),
        node('Softmax', [biased], ['shares'], { axis: -1 }),
        node('MatMul', ['shares', 'v'], ['y']),
      ],
      inputs: {
        q: f32([B * kvHeads, group * Tq, d], first(inputs.query, Tq, heads)),
        k: f32([B * kvHeads, d, Tk], toPlanes(keys, Tk, d, B * kvHeads)),
        v: f32([B * kvHeads, Tk, d], first(inputs.value, Tk, kvHeads)),
        ...scoreBias,
      },
      outputs: { y: f32([B * kvHeads, group * Tq, d]) },
      weights: { scale: f32([1], Float32Array.of(d ** -0.5)) },
      pick: (place) => placeHeadsFirst(place, sizes),
    },
  ]
}

/** Bits that block, as what is added to the scores. */
export function blockedAsBias(bits, Tq, Tk) {
  const words = Math.ceil(Tk / 32)
  return Float32Array.from({ length: Tq * Tk }, (_, i) => {
    const [q, t] = [Math.floor(i / Tk), i % Tk]
    return (bits[q * words + (t >>> 5)] >>> (t & 31)) & 1 ? -1e30 : 0
  })
}
