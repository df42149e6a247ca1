// Every shader we ship is known to the catalogue of ops, and Tint finds nothing in it to complain about, whatever
// features a device has. That they compile on the adapters of this machine is kernel.test.ts's.

import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { create, globals } from 'webgpu'
import { Gpu } from '../../src/gpu/gpu.ts'
import { kernelsFor, shippedKernels } from '../ops/shipped.ts'

/** Dawn's null backend: Tint checks and translates every shader, nothing runs. */
async function nullDevice(requiredFeatures: GPUFeatureName[]): Promise<GPUDevice> {
  Object.assign(globalThis, globals)
  instance = create(['backend=null'])
  const adapter = await instance.requestAdapter()
  return adapter!.requestDevice({ requiredFeatures })
}

/** Devices die with the object that made them. */
let instance: GPU | undefined

test('every shader is in the catalogue', () => {
  const used = new Set(shippedKernels().map((k) => k.name))
  const all = readdirSync('shaders', { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.wgsl'),
  )
  const files = all.map((file) => file.replace('.wgsl', ''))
  // Files without an entry point are parts of others
  const whole = files.filter((file) => readFileSync(`shaders/${file}.wgsl`, 'utf8').includes('@compute'))
  expect(
    whole.filter((f) => !used.has(f)),
    'add an op that uses it to test/ops/catalogue.ts',
  ).toEqual([])
  expect(
    [...used].filter((name) => !files.includes(name)),
    'a kernel is named like its file',
  ).toEqual([])
})

const FEATURES: readonly GPUFeatureName[][] = [[], ['shader-f16', 'subgroups']]
for (const features of FEATURES) {
  test(`every kernel compiles with ${features.join(' and ') || 'no optional feature'}`, async () => {
    const gpu = await Gpu.open({ device: await nullDevice(features) })
    const kernels = kernelsFor({ ...gpu.adapter, countsSubgroups: true })
    expect(kernels.length).toBeGreaterThan(100)
    const pipelines = await gpu.kernels.compile(kernels)
    expect(pipelines.length).toBe(kernels.length)
    // The guaranteed limit; more would not open everywhere
    for (const k of kernels)
      expect(k.bindings.filter((b) => b.access !== 'uniform').length).toBeLessThanOrEqual(8)
    gpu.close()
  })
}
