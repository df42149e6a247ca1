// Opening, losing and closing a device: whose it is, and what is said when there is none.

import { expect, test, vi } from 'vitest'
import { DeviceLostError, NoAdapterError } from '../../src/errors.ts'
import { Gpu, openGpu, Rate } from '../../src/gpu/gpu.ts'
import { softmax } from '../../src/ops/reduce/reduce.ts'
import { type Plan, plan } from '../../src/tensor/plan.ts'
import { allocate, upload } from '../../src/tensor/tensor.ts'
import { runtime } from '../runtime.ts'
import { adapterNames, adapters, anyGpu, uniform } from '../support.ts'
import { believe, failure, rawDevice } from './devices.ts'

const only = adapterNames()[0] ? { adapter: adapterNames()[0]! } : {}

function softmaxPlan(gpu: Gpu, depth = 1): Promise<Plan> {
  return plan(gpu, 'softmax', ({ input }) => {
    let x = input('x', [4, 8])
    for (let i = 0; i < depth; i++) x = softmax(x)
    return { read: { x } }
  })
}

const inputs = { x: uniform(32) }

const RUNTIMES = { node: /^Node [\d.]+, Dawn$/, deno: /^Deno [\d.]+, wgpu$/, browser: /^browser$/ }

for (const gpu of await adapters()) {
  test(`an opened adapter says what it is: ${gpu.name}`, () => {
    expect(gpu.name).not.toBe('')
    expect(gpu.runtime).toMatch(RUNTIMES[runtime])
    expect(gpu.bindingLimit).toBeGreaterThanOrEqual(128 * 2 ** 20)
    expect(gpu.features).toEqual({
      f16: gpu.device.features.has('shader-f16'),
      subgroups: gpu.device.features.has('subgroups'),
      timestamps: gpu.device.features.has('timestamp-query'),
    })
  })
}

test.runIf(runtime === 'deno')("Deno's WebGPU is its own, wgpu, and not Dawn", async () => {
  const gpu = await anyGpu()
  expect(gpu.device).toBeInstanceOf(GPUDevice)
  expect(gpu.info.architecture, 'which Dawn tells, and wgpu does not').toBe('')
  expect(Object.getPrototypeOf(navigator.gpu)).toBe(GPU.prototype)
})

test('an adapter that does not exist is refused by its name', async () => {
  const error = await failure(openGpu({ adapter: 'Voodoo 2' }))
  expect(error).toBeInstanceOf(NoAdapterError)
  expect(error.code).toBe('ERR_NO_ADAPTER')
  expect(error.message).toMatch(
    /^No (WebGPU )?adapter matches 'Voodoo 2': this (machine has|runtime offers only) '.+'/,
  )
})

test('features and limits can be forgone', async () => {
  const gpu = await openGpu({
    ...only,
    without: ['subgroups', 'shader-f16', 'timestamp-query'],
    bindingLimit: 4096,
  })
  expect(gpu.features).toEqual({ f16: false, subgroups: false, timestamps: false })
  expect(gpu.device.features.has('subgroups')).toBe(false)
  expect(gpu.bindingLimit).toBe(4096)
  gpu.close()
})

test("the caller's device is used as it is, and survives us", async () => {
  const { device, free } = await rawDevice()
  const gpu = await Gpu.open({ device })
  expect(gpu.device).toBe(device)
  expect(gpu.runtime).toBe('device of the caller')
  const made = await softmaxPlan(gpu)
  await made.run({ inputs })
  gpu.close()
  expect(gpu.memory().bytes).toBe(0)

  // Still alive: another Gpu can have it
  let lost = false
  void device.lost.then(() => (lost = true))
  const again = await Gpu.open({ device })
  const other = await softmaxPlan(again)
  await other.run({ inputs })
  await new Promise((done) => setTimeout(done, 20))
  expect(lost).toBe(false)
  again.close()
  free()
})

test('a lost device: the run under way is rejected, and so is everything after', async () => {
  const gpu = await openGpu(only)
  const made = await softmaxPlan(gpu, 30)
  believe(gpu) // 30 submissions
  let events = 0
  const running = made.run({ inputs, onProgress: () => ++events === 3 && gpu.device.destroy() })
  await expect(running).rejects.toThrow(DeviceLostError)
  await expect(running).rejects.toThrow(
    /The GPU device was lost \(destroyed\): .*Open a new one with openGpu\(\)/,
  )
  expect(events).toBeLessThan(30)

  await expect(made.run({ inputs })).rejects.toThrow(DeviceLostError)
  await expect(softmaxPlan(gpu)).rejects.toThrow(DeviceLostError)
  await expect(upload(gpu, uniform(4), [4], 'f32')).rejects.toThrow(DeviceLostError)
  await expect(gpu.idle()).rejects.toThrow(DeviceLostError)
  expect((await failure(made.run({ inputs }))).code).toBe('ERR_DEVICE_LOST')
  gpu.close()
})

test('nobody waits for a device that is gone, even where the runtime forgets its promises', async () => {
  for (const open of [() => openGpu(only), async () => Gpu.open({ device: (await rawDevice()).device })]) {
    const gpu = await open()
    const waiting = gpu.wait(new Promise<void>(() => undefined))
    gpu.device.destroy()
    await expect(waiting).rejects.toThrow(DeviceLostError)
    gpu.close()
  }
})

test('closed in the middle of a run, and used afterwards', async () => {
  for (const open of [() => openGpu(only), async () => Gpu.open({ device: (await rawDevice()).device })]) {
    const gpu = await open()
    const made = await softmaxPlan(gpu, 10)
    believe(gpu)
    let events = 0
    const running = made.run({ inputs, onProgress: () => ++events === 2 && gpu.close() })
    await expect(running).rejects.toThrow(DeviceLostError)
    await expect(made.run({ inputs })).rejects.toThrow('This Gpu was closed. Open a new one with openGpu().')
    await expect(allocate(gpu, [4], 'f32')).rejects.toThrow(DeviceLostError)
    await expect(softmaxPlan(gpu)).rejects.toThrow(DeviceLostError)
    expect(gpu.memory().bytes).toBe(0)
    gpu.close() // twice is harmless
  }
})

test('what the device reports on its own reaches whoever awaits next, once', async () => {
  const gpu = await openGpu(only)
  const made = await softmaxPlan(gpu)
  gpu.device.createBuffer({ size: 4, usage: 0 })
  await new Promise((done) => setTimeout(done, 50))
  const error = await failure(made.run({ inputs }))
  expect(error.code).toBe('ERR_GPU')
  expect(error.message).toMatch(/^The device reported: .*[uU]sage/)
  await made.run({ inputs })
  gpu.close()
})

test("a fault on the caller's device stays the caller's", async () => {
  const { device, free } = await rawDevice()
  const gpu = await Gpu.open({ device })
  const made = await softmaxPlan(gpu)
  const claimed: boolean[] = []
  device.addEventListener('uncapturederror', (event) => {
    claimed.push(event.defaultPrevented)
    event.preventDefault() // or the runtime prints it
  })
  device.createBuffer({ size: 4, usage: 0 })
  device.queue.submit([]) // Chromium sends what was called together with the next submission
  await vi.waitFor(() => expect(claimed).toEqual([false]))
  await made.run({ inputs })
  gpu.close()
  free()
})

test('the measured speed moves towards what is seen, and ignores runs too short to tell', () => {
  const rate = new Rate(1e9)
  rate.learn(1e12, 0.001)
  rate.learn(1e3, 10)
  expect(rate.flopsPerSecond).toBe(1e9)
  for (let i = 0; i < 50; i++) rate.learn(4e9, 2)
  expect(rate.flopsPerSecond / 2e9).toBeCloseTo(1)
})
