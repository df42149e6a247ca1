// TensorFlow.js with its WebGPU backend, in Node on Dawn. It runs op by op; what it has no op for is composed of those
// that it has, as its users would. Tensors stay on the device.

import { installNavigator } from '../lib/device.mjs'
import { blockedAsBias } from '../lib/onnx-graphs.mjs'
import { transposed } from '../lib/random.mjs'
import { causalBias, headsFirst, placeHeadsFirst, relativeBias } from '../lib/rearrange.mjs'

let tf
let backend

export async function open(adapter) {
  const gpu = installNavigator(adapter)
  // The backend asks for a window to believe that it is in a browser
  Object.assign(globalThis, { window: globalThis, self: globalThis })
  tf = await import('@tensorflow/tfjs-core')
  await import('@tensorflow/tfjs-backend-webgpu')
  await tf.setBackend('webgpu')
  await tf.ready()
  backend = tf.backend()
  return { note: gpu && tf.getBackend() === 'webgpu' ? 'WebGPU backend, op by op' : 'no WebGPU' }
}

export async function prepare(spec, inputs) {
  const make = WAYS[spec.op]
  if (!make) throw new Error(`has no op for ${spec.op}`)
  const ways = make(spec.sizes, inputs, spec)
  const flush = () => {
    // Recorded work is submitted in batches, so there may be nothing left
    if (backend.commandEncoder) {
      backend.endComputePassEncoder()
      backend.submitQueue()
    }
    return backend.device.queue.onSubmittedWorkDone()
  }
  return ways.map(({ label, args, f, pick = (place) => place }) => {
    let tensors
    const call = () => {
      tensors ??= args()
      return tf.tidy(() => f(...tensors))
    }
    return {
      label,
      async run(repeat, wait) {
        const results = []
        for (let i = 0; i < repeat; i++) results.push(call())
        await wait(flush())
        tf.dispose(results)
      },
      async read() {
        const y = call()
        const data = await y.data()
        y.dispose()
        return (place) => data[pick(place)]
      },
      release() {
        tf.dispose(tensors ?? [])
        tensors = undefined
      },
    }
  })
}

const put = (values, shape) => tf.tensor(values, shape, 'float32')
const of = ({ values, shape }) => put(values, shape)
const gelu = (x) => tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1))

const WAYS = {
  linear({ K, N, dtype, activation, bias }, t) {
    if (dtype !== 'f32') throw new Error(`has no ${dtype} weights`)
    const end = activation === 'gelu' ? gelu : (y) => y
    const vectors = () => (bias ? [of(t.bias)] : [])
    const product = (transposeB) => (a, b, vector) =>
      end(vector ? tf.fused.matMul({ a, b, transposeB, bias: vector }) : tf.matMul(a, b, false, transposeB))
    return [
      {
        label: 'weight [K, N]',
        args: () => [of(t.x), put(transposed(t.weight.values, N, K), [K, N]), ...vectors()],
        f: product(false),
      },
      {
        label: 'weight [N, K]',
        args: () => [of(t.x), of(t.weight), ...vectors()],
        f: product(true),
      },
    ]
  },

  swiglu({ K, I }, { x, gate, up }) {
    const turned = (w) => put(transposed(w.values, I, K), [K, I])
    return [
      {
        label: '',
        args: () => [of(x), turned(gate), turned(up)],
        f: (a, wg, wu) => {
          const g = tf.matMul(a, wg)
          return tf.mul(tf.mul(g, tf.sigmoid(g)), tf.matMul(a, wu))
        },
      },
    ]
  },

  // Composed: batched products around a softmax. Heads come first, and heads that share keys are rows of one product
  attention(sizes, t) {
    const { B, heads, kvHeads, d, Tq, Tk, bias, start } = sizes
    expectScores(B * heads * Tq * Tk * 4)
    const group = heads / kvHeads
    const shape = (T) => [B * kvHeads, T, d]
    const scoreBias = () => {
      if (bias === 'mask') return [put(blockedAsBias(t.bits.values, Tq, Tk), [1, Tq, Tk])]
      if (bias === 'relative') return [put(relativeBias(sizes, t), [B * heads, Tq, Tk])]
      return bias === 'causal' ? [put(causalBias(Tq, Tk, start, group), [1, group * Tq, Tk])] : []
    }
    return [
      {
        label: bias === 'none' ? 'composed' : 'composed, ready bias',
        args: () => [
          put(headsFirst(t.query.values, B, Tq, heads, d), shape(group * Tq)),
          put(headsFirst(t.key.values, B, Tk, kvHeads, d), shape(Tk)),
          put(headsFirst(t.value.values, B, Tk, kvHeads, d), shape(Tk)),
          ...scoreBias(),
        ],
        f(q, k, v, added) {
          const scores = tf.mul(tf.matMul(q, k, false, true), d ** -0.5)
          return tf.matMul(tf.softmax(added ? tf.add(scores, added) : scores), v)
        },
        pick: (place) => placeHeadsFirst(place, sizes),
      },
    ]
  },

  conv2d({ H, W, I, O, k, stride, padding }, { x, weight }) {
    return [
      {
        label: '',
        args: () => [put(x.values, [1, H, W, I]), put(transposed(weight.values, O, k * k * I), [k, k, I, O])],
        f: (a, w) => tf.conv2d(a, w, stride, padding),
      },
    ]
  },

  layerNorm: ({ eps }, { x, weight, bias }) => [
    {
      label: 'composed',
      args: () => [of(x), of(weight), of(bias)],
      f: (a, w, b) => normalise(a, [-1], eps, w, b),
    },
  ],

  rmsNorm: ({ eps }, { x, weight }) => [
    {
      label: 'composed',
      args: () => [of(x), of(weight)],
      f: (a, w) => tf.mul(tf.mul(a, tf.rsqrt(tf.add(tf.mean(tf.square(a), -1, true), eps))), w),
    },
  ],

  groupNorm({ groups, eps }, { x, weight, bias }, { output: [H, W, C] }) {
    const vector = (v) => put(v.values, [1, groups, C / groups])
    return [
      {
        label: 'composed',
        args: () => [put(x.values, [H * W, groups, C / groups]), vector(weight), vector(bias)],
        f: (a, w, b) => normalise(a, [0, 2], eps, w, b),
      },
    ]
  },

  softmax: (_, { x }) => [{ label: '', args: () => [of(x)], f: (a) => tf.softmax(a) }],

  resize: ({ H, W, C, H2, W2 }, { x }) => [
    {
      label: '',
      args: () => [put(x.values, [1, H, W, C])],
      f: (a) => tf.image.resizeBilinear(a, [H2, W2], false, true),
    },
  ],

  gelu: (_, { x }) => [{ label: 'composed', args: () => [of(x)], f: gelu }],
  add: (_, { x, other }) => [{ label: '', args: () => [of(x), of(other)], f: (a, b) => tf.add(a, b) }],
}

function normalise(x, axes, eps, weight, bias) {
  const { mean, variance } = tf.moments(x, axes, true)
  return tf.add(tf.mul(tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, eps))), weight), bias)
}

function expectScores(bytes) {
  const limit = backend.device.limits.maxStorageBufferBindingSize
  if (bytes <= limit) return
  const [needs, has] = [bytes, limit].map((n) => `${(n / 2 ** 20).toFixed(0)} MiB`)
  throw new Error(`stores the scores: ${needs}, of which the adapter binds ${has}`)
}
