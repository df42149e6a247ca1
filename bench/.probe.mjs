import { writeFileSync } from 'node:fs'
import { open } from './engines/ort-web.mjs'
import { onnxModel } from './lib/onnx.mjs'

console.log(await open('llvmpipe'))

import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

const folder = dirname(createRequire(import.meta.url).resolve('onnxruntime-web'))
const ort = await import('file://' + join(folder, 'ort.webgpu.min.mjs'))
ort.env.logLevel = 'verbose'
const v = { shape: [4, 4], type: 'f32' }
const m = onnxModel({
  nodes: [{ op: 'MatMul', reads: ['x', 'w'], writes: ['y'] }],
  inputs: { x: v },
  outputs: { y: v },
  weights: { w: { ...v, data: new Float32Array(16).fill(2) } },
})
for (const o of [
  { executionProviders: ['webgpu'] },
  { executionProviders: [{ name: 'webgpu' }], extra: { session: { disable_cpu_ep_fallback: '1' } } },
])
  try {
    const s = await ort.InferenceSession.create(m, o)
    const r = await s.run({ x: new ort.Tensor('float32', new Float32Array(16).fill(1), [4, 4]) })
    console.log('ok', r.y.data)
    await s.release()
  } catch (e) {
    console.log('ERR', e)
  }
process.exit()
