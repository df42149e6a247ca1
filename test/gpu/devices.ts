// Devices for tests of the GPU floor: one whose calls are counted, one with a limit lowered, ones that starve or tarry.

import { openProvider } from '#runtime'
import { FlowSegError } from '../../src/errors.ts'
import { Gpu } from '../../src/gpu/gpu.ts'
import { adapterNames } from '../support.ts'

/** A device of this machine that no Gpu owns, with what else it takes to let go of it. */
export async function rawDevice(
  adapterName = adapterNames()[0],
): Promise<{ device: GPUDevice; free: () => void }> {
  const provider = await openProvider(adapterName || undefined)
  const device = await provider.adapter.requestDevice()
  const free = (): void => {
    device.destroy()
    provider.close()
  }
  return { device, free }
}

export interface Watched {
  readonly device: GPUDevice
  /** The number of calls of each method of the device. */
  readonly calls: Map<string, number>
  /** Bytes of the buffers that were created and not destroyed. */
  liveBytes(): number
  /** Submissions so far. */
  submissions(): number
}

/** The same device, keeping count. */
export function watch(device: GPUDevice): Watched {
  const calls = new Map<string, number>()
  const live = new Map<GPUBuffer, number>()
  let submissions = 0
  const queue = substitute(device.queue, {
    submit: (buffers: Iterable<GPUCommandBuffer>) => {
      submissions++
      device.queue.submit(buffers)
    },
  })
  const createBuffer = (descriptor: GPUBufferDescriptor): GPUBuffer => {
    const buffer = device.createBuffer(descriptor)
    live.set(buffer, buffer.size)
    const destroy = buffer.destroy.bind(buffer)
    buffer.destroy = () => {
      live.delete(buffer)
      return destroy()
    }
    return buffer
  }
  const counted = new Proxy(substitute(device, { queue, createBuffer }), {
    get(target, key) {
      const value: unknown = Reflect.get(target, key)
      if (typeof value !== 'function' || typeof key !== 'string') return value
      return (...args: unknown[]): unknown => {
        calls.set(key, (calls.get(key) ?? 0) + 1)
        return Reflect.apply(value, target, args)
      }
    },
  })
  return {
    device: counted,
    calls,
    liveBytes: () => [...live.values()].reduce((sum, bytes) => sum + bytes, 0),
    submissions: () => submissions,
  }
}

/** A Gpu on this device that believes in other limits. */
export function withLimits(
  device: GPUDevice,
  limits: Partial<Record<keyof GPUSupportedLimits, number>>,
): Promise<Gpu> {
  return Gpu.open({ device: substitute(device, { limits: substitute(device.limits, limits) }) })
}

/** An object of the runtime's with some members replaced; methods still see the object itself. */
function substitute<T extends object>(original: T, members: object): T {
  return new Proxy(original, {
    get(target, key) {
      if (key in members) return Reflect.get(members, key)
      const value: unknown = Reflect.get(target, key, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

/** The same device, out of memory whatever it is asked for. */
export function starving(device: GPUDevice): GPUDevice {
  const filters: GPUErrorFilter[] = []
  const pushErrorScope = (filter: GPUErrorFilter): void => {
    filters.push(filter)
    device.pushErrorScope(filter)
  }
  const popErrorScope = async (): Promise<GPUError | null> => {
    const filter = filters.pop()
    const error = await device.popErrorScope()
    return filter === 'out-of-memory' ? new GPUOutOfMemoryError('Allocation failed') : error
  }
  return substitute(device, { pushErrorScope, popErrorScope })
}

/** The same device with memory for so many bytes: what is asked for beyond them is refused. */
export function limitedTo(device: GPUDevice, capacity: number): GPUDevice {
  const filters: GPUErrorFilter[] = []
  let [bytes, refused] = [0, false]
  const counted = <T extends GPUBuffer | GPUTexture>(resource: T, size: number): T => {
    bytes += size
    refused ||= bytes > capacity
    const destroy = resource.destroy.bind(resource)
    resource.destroy = () => {
      bytes -= size
      destroy()
    }
    return resource
  }
  return substitute(device, {
    createBuffer: (what: GPUBufferDescriptor) => counted(device.createBuffer(what), what.size),
    createTexture: (what: GPUTextureDescriptor) => {
      const texture = device.createTexture(what)
      return counted(texture, texture.width * texture.height * (what.format === 'rgba32uint' ? 16 : 4))
    },
    pushErrorScope: (filter: GPUErrorFilter) => {
      filters.push(filter)
      device.pushErrorScope(filter)
    },
    popErrorScope: async () => {
      const isMemory = filters.pop() === 'out-of-memory'
      const refuses = isMemory && refused
      if (isMemory) refused = false
      const error = await device.popErrorScope()
      return refuses ? new GPUOutOfMemoryError('Allocation failed') : error
    },
  })
}

/** The same device, taking its time: the host is busy while it submits, and readbacks come late. */
export function sluggish(device: GPUDevice, submitMs: number, readMs: number): GPUDevice {
  const submit = (buffers: Iterable<GPUCommandBuffer>): void => {
    const end = performance.now() + submitMs
    while (performance.now() < end);
    device.queue.submit(buffers)
  }
  const createBuffer = (descriptor: GPUBufferDescriptor): GPUBuffer => {
    const buffer = device.createBuffer(descriptor)
    const mapAsync = buffer.mapAsync.bind(buffer)
    buffer.mapAsync = async (...args) => {
      await new Promise((done) => setTimeout(done, readMs))
      return mapAsync(...args)
    }
    return buffer
  }
  return substitute(device, { queue: substitute(device.queue, { submit }), createBuffer })
}

/** The error that a promise is rejected with, which must be one of ours. */
export async function failure(promise: Promise<unknown>): Promise<FlowSegError> {
  const error: unknown = await promise.then(
    () => new Error('nothing failed'),
    (reason: unknown) => reason,
  )
  if (error instanceof FlowSegError) return error
  throw error
}

/** Makes the Gpu believe in this speed, by default so low that plans are cut as fine as they can be. */
export function believe(gpu: Gpu, flopsPerSecond = 0.01): void {
  for (let i = 0; i < 200; i++) gpu.rate.learn(flopsPerSecond * 1e10, 1e10)
}
