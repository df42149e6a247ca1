// jax-js: lazy arrays and generated WGSL. Functions go through `jit`, so that what can be fused is, and a run waits with
// blockUntilReady: without it only the bookkeeping would be timed.

import { installNavigator } from '../lib/device.mjs'
import { transposed } from '../lib/random.mjs'

let gpu
let jax

export async function open(adapter) {
  gpu = installNavigator(adapter)
  jax = await import('@jax-js/jax')
  const devices = await jax.init('webgpu')
  if (!devices.includes('webgpu')) throw new Error('jax-js found no WebGPU device')
  jax.defaultDevice('webgpu')
  return { runtime: gpu ? 'Dawn in Node' : '' }
}

export async function prepare(spec, inputs) {
  const make = WAYS[spec.op]
  if (!make) throw new Error(`jax-js has no ${spec.op}`)
  return make(spec.sizes, inputs, spec).map(({ label, args, f, pick = (place) => place }) => {
    const compiled = jax.jit(f)
    const call = () => compiled(...args.map((x) => x.ref))
    return {
      label,
      async run(repeat, wait) {
        const results = []
        for (let i = 0; i < repeat; i++) results.push(call())
        await wait(jax.blockUntilReady(results))
        for (const y of results) y.dispose()
      },
      async read() {
        const data = await call().data()
        return (place) => data[pick(place)]
      },
      release() {
        for (const x of args) x.dispose()
        compiled.dispose?.()
      },
    }
  })
}

const f16 = (x, shape) => array(x, shape).astype(jax.DType.Float16)
const array = (values, shape) => jax.numpy.array(values).reshape(shape)

const WAYS = {
  linear({ K, N, dtype, bias, activation }, t) {
    const { numpy: np, nn } = jax
    if (dtype !== 'f32' && dtype !== 'f16') throw new Error(`jax-js has no ${dtype} weights`)
    const put = dtype === 'f16' ? f16 : array
    const x = () => put(t.x.values, t.x.shape)
    const end = (y, b) => {
      const z = bias ? y.add(b) : y
      return activation === 'gelu' ? nn.gelu(z, { approximate: false }) : z
    }
    const b = () => (bias ? [array(t.bias.values, [N])] : [])
    return [
      {
        label: 'weight [K, N]',
        args: [x(), put(transposed(t.weight.values, N, K), [K, N]), ...b()],
        f: (x_, w, b_) => end(np.matmul(x_, w), b_),
      },
      {
        label: 'weight [N, K]',
        args: [x(), put(t.weight.values, [N, K]), ...b()],
        f: (x_, w, b_) => end(np.matmul(x_, np.transpose(w)), b_),
      },
    ]
  },
}
