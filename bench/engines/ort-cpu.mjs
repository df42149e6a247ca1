// onnxruntime-node on the CPU without a GPU between: what native code makes of this machine's two cores.

import * as ort from 'onnxruntime-node'
import { nativeEngine } from '../lib/ort-native.mjs'

export async function open() {
  return { note: 'native code, no WebGPU: a yardstick' }
}

export const prepare = nativeEngine(ort, () => 'cpu', {})

export const waitsItself = true
