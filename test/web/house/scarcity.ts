// Small graphics adapters, pretended: functions that are run in the model's worker. None uses anything from around it.

/** In a worker: devices refuse buffers that, with those of from now on, take more than so many bytes. */
export function runShort(most: number): void {
  const [device, buffer] = [GPUDevice.prototype, GPUBuffer.prototype]
  // oxlint-disable-next-line typescript/unbound-method -- called with their `this` below
  const { createBuffer, pushErrorScope, popErrorScope } = device
  // oxlint-disable-next-line typescript/unbound-method -- called with their `this` below
  const { destroy } = buffer
  const sizes = new Map<GPUBuffer, number>()
  const scopes: GPUErrorFilter[] = []
  let held = 0
  let isRefused = false
  device.createBuffer = function (descriptor) {
    const buffer = createBuffer.call(this, descriptor)
    sizes.set(buffer, descriptor.size)
    held += descriptor.size
    isRefused ||= held > most
    return buffer
  }
  buffer.destroy = function () {
    held -= sizes.get(this) ?? 0
    sizes.delete(this)
    return destroy.call(this)
  }
  device.pushErrorScope = function (filter) {
    scopes.push(filter)
    return pushErrorScope.call(this, filter)
  }
  device.popErrorScope = async function () {
    const refuses = scopes.pop() === 'out-of-memory' && isRefused
    if (refuses) isRefused = false
    const error = await popErrorScope.call(this)
    return refuses ? new GPUOutOfMemoryError('Out of memory') : error
  }
  Object.assign(globalThis, {
    restore: () => {
      Object.assign(device, { createBuffer, pushErrorScope, popErrorScope })
      Object.assign(buffer, { destroy })
    },
  })
}

/** In a worker: adapters and devices allow buffers of so many bytes. */
export function allowLittle(bytes: number): void {
  const limits = GPUSupportedLimits.prototype
  const usual = Object.getOwnPropertyDescriptor(limits, 'maxBufferSize')!
  Object.defineProperty(limits, 'maxBufferSize', { ...usual, get: () => bytes })
  Object.assign(globalThis, { restore: () => Object.defineProperty(limits, 'maxBufferSize', usual) })
}

/** In a worker: as if neither had been called. */
export function restore(): void {
  ;(globalThis as unknown as { restore: () => void }).restore()
}
