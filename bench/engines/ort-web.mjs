// onnxruntime-web with its WebGPU provider, in Node on Dawn. Inputs and outputs are GPU buffers that it is given, so a
// run moves nothing between host and device.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { installNavigator } from '../lib/device.mjs'
import { onnxModel } from '../lib/onnx.mjs'
import { NAMES, waysOf } from '../lib/ort.mjs'
import { fromF16 } from '../lib/random.mjs'

let gpu
let ort
let device
/** Held open: with its last session the device would go, and buffers made on it. */
const sessions = []

export async function open(adapter) {
  gpu = installNavigator(adapter)
  // The build for browsers, by its path: the package gives Node another one, without WebGPU
  const folder = dirname(createRequire(import.meta.url).resolve('onnxruntime-web'))
  ort = await import(pathToFileURL(join(folder, 'ort.webgpu.min.mjs')).href)
  ort.env.wasm.wasmBinary = readFileSync(join(folder, 'ort-wasm-simd-threaded.asyncify.wasm'))
  ort.env.wasm.numThreads = 1
  ort.env.logLevel = 'error'
  // The device comes with the first session
  const shape = [4]
  const add = { op: 'Add', reads: ['x', 'x'], writes: ['y'] }
  const value = { shape, type: 'f32' }
  const model = onnxModel({ nodes: [add], inputs: { x: value }, outputs: { y: value }, weights: {} })
  const session = await ort.InferenceSession.create(model, { executionProviders: ['webgpu'] })
  device = await ort.env.webgpu.device
  sessions.push(session)
  // Its memory is shared between threads, which Dawn in Node does not upload from: it takes a copy
  const { writeBuffer } = device.queue
  device.queue.writeBuffer = (buffer, offset, data, start = 0, size) => {
    const bytes = data.buffer
      ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
      : new Uint8Array(data)
    const unit = data.BYTES_PER_ELEMENT ?? 1
    const end = size === undefined ? bytes.length : (start + size) * unit
    return writeBuffer.call(device.queue, buffer, offset, bytes.slice(start * unit, end))
  }
  return { note: gpu && 'WebGPU provider, buffers bound' }
}

export function prepare(spec, inputs) {
  return waysOf(
    spec,
    inputs,
    (model, { layout }) =>
      ort.InferenceSession.create(model, {
        executionProviders: [{ name: 'webgpu', ...(layout ? { preferredLayout: layout } : {}) }],
        extra: { session: { disable_cpu_ep_fallback: '1' } },
      }),
    (session, graph) => {
      const buffers = []
      const bufferOf = ({ shape, type, data }) => {
        const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST
        const bytes = shape.reduce((product, n) => product * n, type === 'f16' ? 2 : 4)
        const buffer = device.createBuffer({ size: Math.ceil(bytes / 16) * 16, usage })
        if (data) device.queue.writeBuffer(buffer, 0, data.slice())
        buffers.push(buffer)
        return buffer
      }
      const tensorOn = (buffer, { shape, type }) =>
        ort.Tensor.fromGpuBuffer(buffer, { dataType: NAMES[type], dims: shape })
      const entries = (table, f) =>
        Object.fromEntries(Object.entries(table).map(([name, value]) => [name, f(name, value)]))
      const homes = entries(graph.inputs, (_, value) => bufferOf(value))
      const feeds = entries(graph.inputs, (name, value) => tensorOn(homes[name], value))
      const fetches = entries(graph.outputs, (name, value) => {
        const shared = graph.shared?.[name]
        return tensorOn(shared ? homes[shared] : bufferOf({ ...value, data: undefined }), value)
      })
      const [[first, { shape, type }]] = Object.entries(graph.outputs)
      return {
        async run(repeat, wait) {
          for (let i = 0; i < repeat; i++) await wait(session.run(feeds, fetches))
          await wait(device.queue.onSubmittedWorkDone())
        },
        async read() {
          await session.run(feeds, fetches)
          const bytes = Math.ceil(shape.reduce((product, n) => product * n, type === 'f16' ? 2 : 4) / 4) * 4
          const host = device.createBuffer({
            size: bytes,
            usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
          })
          const encoder = device.createCommandEncoder()
          encoder.copyBufferToBuffer(fetches[first].gpuBuffer, 0, host, 0, bytes)
          device.queue.submit([encoder.finish()])
          await host.mapAsync(GPUMapMode.READ)
          const copy = host.getMappedRange().slice(0)
          host.destroy()
          return type === 'f16' ? fromF16(new Uint16Array(copy)) : new Float32Array(copy)
        },
        async release() {
          await session.release()
          for (const buffer of buffers) buffer.destroy()
        },
      }
    },
  )
}
