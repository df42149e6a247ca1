// jax-js: lazy arrays and generated WGSL. Functions go through `jit`, so that what can be fused is, and a run waits
// with blockUntilReady: without it only the bookkeeping would be timed.

import { installNavigator } from '../lib/device.mjs'
import { blockedAsBias } from '../lib/onnx-graphs.mjs'
import { toF16, transposed } from '../lib/random.mjs'
import { causalBias, relativeBias, toPlanes } from '../lib/rearrange.mjs'

let gpu
let jax

export async function open(adapter) {
  gpu = installNavigator(adapter)
  installFloat16Array()
  installIteratorMethods()
  jax = await import('@jax-js/jax')
  const devices = await jax.init('webgpu')
  if (!devices.includes('webgpu')) throw new Error('jax-js found no WebGPU device')
  jax.defaultDevice('webgpu')
  return { note: gpu && 'jit' }
}

export async function prepare(spec, inputs) {
  const make = WAYS[spec.op]
  if (!make) throw new Error(`has no op for ${spec.op}`)
  return make(spec.sizes, inputs, spec).map(({ label, args, f, pick = (place) => place }) => {
    const compiled = jax.jit(f)
    let arrays
    const call = () => compiled(...arrays.map((x) => x.ref))
    // Lazy as they are, they would otherwise be made anew in every run
    const ready = async () => {
      arrays ??= await jax.blockUntilReady(args())
    }
    return {
      label,
      async run(repeat, wait) {
        await ready()
        const results = []
        for (let i = 0; i < repeat; i++) results.push(call())
        await wait(jax.blockUntilReady(results))
        for (const y of results) y.dispose()
      },
      async read() {
        await ready()
        const data = await call().astype(jax.DType.Float32).data()
        return (place) => data[pick(place)]
      },
      release() {
        for (const x of arrays ?? []) x.dispose()
        compiled.dispose?.()
        arrays = undefined
      },
    }
  })
}

/** Node 20 lacks this class, and jax-js holds float16 in it: an array of the bits does. */
function installFloat16Array() {
  globalThis.Float16Array ??= class Float16Array extends Uint16Array {
    constructor(from, ...rest) {
      super(Array.isArray(from) ? toF16(Float32Array.from(from)).bits : from, ...rest)
    }
  }
}

/** Node 20 lacks the methods of iterators as well. */
function installIteratorMethods() {
  const prototype = Object.getPrototypeOf(Object.getPrototypeOf([].values()))
  prototype.map ??= function* map(f) {
    let index = 0
    for (const value of this) yield f(value, index++)
  }
  prototype.filter ??= function* filter(f) {
    let index = 0
    for (const value of this) if (f(value, index++)) yield value
  }
  prototype.toArray ??= function toArray() {
    return [...this]
  }
}

const array = (values, shape) => jax.numpy.array(values).reshape(shape)
const half = (values, shape) => array(new Float16Array(toF16(values).bits.buffer), shape)
const of = ({ values, shape }) => array(values, shape)

const WAYS = {
  linear({ K, N, dtype, bias, activation }, t) {
    const { numpy: np, nn } = jax
    if (dtype !== 'f32' && dtype !== 'f16') throw new Error(`has no ${dtype} weights`)
    const put = dtype === 'f16' ? half : array
    const x = () => put(t.x.values, t.x.shape)
    const end = (y, b) => {
      const z = bias ? y.add(b) : y
      return activation === 'gelu' ? nn.gelu(z, { approximate: false }) : z
    }
    const b = () => (bias ? [array(t.bias.values, [N])] : [])
    return [
      {
        label: 'weight [K, N]',
        args: () => [x(), put(transposed(t.weight.values, N, K), [K, N]), ...b()],
        f: (a, w, vector) => end(np.matmul(a, w), vector),
      },
      {
        label: 'weight [N, K]',
        args: () => [x(), put(t.weight.values, [N, K]), ...b()],
        f: (a, w, vector) => end(np.matmul(a, np.transpose(w)), vector),
      },
    ]
  },

  swiglu({ K, I }, { x, gate, up }) {
    const { numpy: np, nn } = jax
    const turned = (w) => array(transposed(w.values, I, K), [K, I])
    return [
      {
        label: '',
        args: () => [of(x), turned(gate), turned(up)],
        f: (a, wg, wu) => nn.silu(np.matmul(a.ref, wg)).mul(np.matmul(a, wu)),
      },
    ]
  },

  attention(sizes, t) {
    const { B, heads, kvHeads, d, Tq, Tk, bias, start } = sizes
    expectScores(B * heads * Tq * Tk * 4)
    const place = ({ values }, T, h) => array(values, [B, T, h, d])
    const isSquare = bias === 'causal' && start === 0
    const scoreBias = () => {
      if (bias === 'mask') return [array(blockedAsBias(t.bits.values, Tq, Tk), [1, 1, Tq, Tk])]
      if (bias === 'relative') return [array(relativeBias(sizes, t), [B, heads, Tq, Tk])]
      return bias === 'causal' && !isSquare ? [array(causalBias(Tq, Tk, start), [1, 1, Tq, Tk])] : []
    }
    return [
      {
        label: bias === 'none' || isSquare ? 'dotProductAttention' : 'dotProductAttention, ready bias',
        args: () => [
          place(t.query, Tq, heads),
          place(t.key, Tk, kvHeads),
          place(t.value, Tk, kvHeads),
          ...scoreBias(),
        ],
        f: (q, k, v, added) =>
          jax.nn.dotProductAttention(q, k, v, { ...(added ? { bias: added } : {}), isCausal: isSquare }),
      },
    ]
  },

  conv2d({ H, W, I, O, k, stride, padding, H2, W2 }, { x, weight }) {
    return [
      {
        label: 'NCHW',
        args: () => [
          array(toPlanes(x.values, H * W, I), [1, I, H, W]),
          array(toPlanes(weight.values, k * k, I, O), [O, I, k, k]),
        ],
        f: (a, w) =>
          jax.lax.conv(
            a,
            w,
            [stride, stride],
            [
              [padding, padding],
              [padding, padding],
            ],
          ),
        pick: (place) => (place % O) * H2 * W2 + Math.floor(place / O),
      },
    ]
  },

  layerNorm: ({ eps }, { x, weight, bias }) => [
    {
      label: 'composed',
      args: () => [of(x), of(weight), of(bias)],
      f: (a, w, b) => jax.nn.standardize(a, -1, { epsilon: eps }).mul(w).add(b),
    },
  ],

  rmsNorm: ({ eps }, { x, weight }) => [
    {
      label: 'composed',
      args: () => [of(x), of(weight)],
      f: (a, w) => {
        const { numpy: np } = jax
        const square = np.mean(np.square(a.ref), -1, { keepdims: true })
        return a.div(np.sqrt(square.add(eps))).mul(w)
      },
    },
  ],

  groupNorm({ groups, eps }, { x, weight, bias }, { output: [H, W, C] }) {
    const vector = (v) => array(v.values, [1, groups, C / groups])
    return [
      {
        label: 'composed',
        args: () => [array(x.values, [H * W, groups, C / groups]), vector(weight), vector(bias)],
        f: (a, w, b) => jax.nn.standardize(a, [0, 2], { epsilon: eps }).mul(w).add(b),
      },
    ]
  },

  softmax: (_, { x }) => [{ label: '', args: () => [of(x)], f: (a) => jax.nn.softmax(a, -1) }],
  gelu: (_, { x }) => [{ label: '', args: () => [of(x)], f: (a) => jax.nn.gelu(a, { approximate: false }) }],
  add: (_, { x, other }) => [{ label: '', args: () => [of(x), of(other)], f: (a, b) => a.add(b) }],
}

function expectScores(bytes) {
  const limit = jax.getWebGPUDevice().limits.maxStorageBufferBindingSize
  if (bytes <= limit) return
  const [needs, has] = [bytes, limit].map((n) => `${(n / 2 ** 20).toFixed(0)} MiB`)
  throw new Error(`stores the scores: ${needs}, of which the adapter binds ${has}`)
}
