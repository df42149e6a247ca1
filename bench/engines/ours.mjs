// Our engine. Inputs are resident, a run is `plan.run` of `repeat` equal ops, and nothing is read back: what is
// timed is recording nothing, encoding, submitting and waiting until the device is done.

import { ENGINE } from '../lib/paths.mjs'

const { openGpu, ops } = await import(ENGINE)

export const waitsItself = true

let gpu

export async function open(adapter) {
  gpu = await openGpu({ adapter })
  return { adapter: gpu.info.description || gpu.name, features: gpu.features }
}

export async function prepare(spec, inputs) {
  const build = BUILDERS[spec.op]
  if (!build) throw new Error(`no op ${spec.op}`)
  const resident = {}
  const release = () => Object.values(resident).forEach((x) => ops.release(gpu, x))
  let reading
  try {
    for (const [name, x] of Object.entries(inputs)) resident[name] = await place(spec.op, name, x)
    reading = await ops.plan(gpu, 'check', () => ({ read: { y: build(spec.sizes, resident, spec) } }))
  } catch (error) {
    release()
    throw error
  }
  let repeats = 1
  let timing = await ops.plan(gpu, 'time', () => {
    build(spec.sizes, resident, spec)
    return {}
  })
  return [
    {
      label: '',
      async prepareRepeat(repeat) {
        timing.release()
        repeats = repeat
        timing = await ops.plan(gpu, 'time', () => {
          for (let i = 0; i < repeat; i++) build(spec.sizes, resident, spec)
          return {}
        })
      },
      run: () => timing.run(),
      async read() {
        const { read } = await reading.run()
        return (place_) => read.y[place_]
      },
      async profile() {
        if (!gpu.features.timestamps) return undefined
        const times = await timing.profile()
        return times.reduce((sum, ms) => sum + ms, 0) / repeats
      },
      release() {
        reading.release()
        timing.release()
        release()
      },
    },
  ]
}

/** Inputs that a model loads: what a weight is to be laid out for. */
const WEIGHTS = { linear: ['weight'], swiglu: ['gate', 'up'], conv2d: ['weight'] }

/** On the device, as the model would hold it. */
async function place(op, name, { shape, dtype, values, bits }) {
  if (dtype === 'int8' || dtype === 'int4') return ops.uploadQuantized(gpu, values, shape, dtype)
  if (WEIGHTS[op]?.includes(name) && ops.prefersPacked(gpu.adapter)) {
    const weight = { shape, dtype, runs: shape.length === 4 ? shape[1] : 1 }
    if (ops.fitsPacked(gpu, weight)) return ops.uploadPacked(gpu, bits ?? values, weight)
  }
  return ops.upload(gpu, bits ?? values, shape, dtype)
}

const BUILDERS = {
  linear: ({ bias, activation }, t) =>
    ops.linear(t.x, t.weight, { activation, ...(bias ? { bias: t.bias } : {}) }),
  swiglu: (_, { x, gate, up }) => ops.gatedLinear(x, gate, up),
  attention({ B, heads, kvHeads, bias, start, map }, t) {
    const kinds = {
      none: undefined,
      causal: { kind: 'causal', start },
      mask: { kind: 'mask', bits: t.bits },
      relative: { kind: 'relative', height: t.height, width: t.width, size: map },
    }
    const [query, key, value] = [t.query, t.key, t.value].map((x) =>
      B === 1 ? ops.reshape(x, x.shape.slice(1)) : x,
    )
    return ops.attention({ query, key, value, heads, kvHeads, ...(kinds[bias] ? { bias: kinds[bias] } : {}) })
  },
  conv2d: ({ stride, padding }, { x, weight }) => ops.conv2d(x, weight, { stride, padding }),
  deformable: ({ heads, points, levels }, { value, offsets, weights }) =>
    ops.deformableAttention(value, offsets, weights, { heads, points, levels }),
  layerNorm: ({ eps }, { x, weight, bias }) => ops.layerNorm(x, weight, bias, eps),
  rmsNorm: ({ eps }, { x, weight }) => ops.rmsNorm(x, weight, eps),
  groupNorm: ({ groups, eps }, { x, weight, bias }) => ops.groupNorm(x, groups, weight, bias, eps),
  softmax: (_, { x }) => ops.softmax(x),
  resize: ({ H2, W2 }, { x }) => ops.resize(x, [H2, W2]),
  gelu: (_, { x }) => ops.activate(x, 'gelu'),
  add: (_, { x, other }) => ops.add(x, other),
}
