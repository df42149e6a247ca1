// onnxruntime-node with its WebGPU provider: Dawn inside the native library.

import * as ort from 'onnxruntime-node'
import { nativeEngine } from '../lib/ort-native.mjs'

export async function open() {
  return { note: 'uploads and reads back in every run' }
}

export const prepare = nativeEngine(
  ort,
  ({ layout }) => ({ name: 'webgpu', ...(layout ? { preferredLayout: layout } : {}) }),
  // Or it would silently compute on the CPU what the GPU provider lacks
  { disable_cpu_ep_fallback: '1' },
)

/** It waits inside of native code. */
export const waitsItself = true
