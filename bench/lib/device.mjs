// Dawn for the engines that expect a browser: `navigator.gpu` on the adapter that this run measures. Which driver
// the Vulkan loader finds was settled by the parent, in the environment (lib/drivers.mjs).

import { create, globals } from 'webgpu'

/** @param {string} adapterName part of its name */
export function installNavigator(adapterName) {
  Object.assign(globalThis, globals)
  // Without bounds checks, as ours and onnxruntime's native provider open it
  const gpu = create([
    `adapter=${adapterName}`,
    'disable-dawn-features=timestamp_quantization',
    'enable-dawn-features=disable_robustness',
  ])
  Object.defineProperty(globalThis, 'navigator', {
    value: { gpu, userAgent: 'Node', hardwareConcurrency: 1, platform: 'Linux' },
    configurable: true,
  })
  return gpu
}
