// The ledger of GPU memory: every buffer of the engine is created and released here, so that what
// `gpu.memory()` reports is what exists. Allocation is asynchronous on purpose: WebGPU tells of running
// out of memory only through error scopes, and we never go on with a buffer that isn't there.

import { entryOf } from '../check.ts'
import { LimitError, OutOfMemoryError } from '../errors.ts'
import { TEXEL } from './kernel.ts'

/** A buffer to allocate. */
export interface BufferRequest {
  /** Shown in messages and in graphics debuggers. */
  readonly label: string
  /** Rounded up to a multiple of 4, at least 4, as WebGPU's copies need it. */
  readonly bytes: number
  /** Flags of GPUBufferUsage. */
  readonly usage: GPUBufferUsageFlags
  /** The owner: 'weights', 'plan segment', 'scene' ... the key of the report. */
  readonly owner: string
}

/** A texture to allocate. */
export interface TextureRequest {
  /** Shown in messages and in graphics debuggers. */
  readonly label: string
  /** Texels. */
  readonly width: number
  /** Texels. */
  readonly height: number
  /** The key of the report, as of a buffer. */
  readonly owner: string
  /** The format of a texel; by default that of texels for kernels to read. */
  readonly format?: keyof typeof TEXEL_BYTES
  /** Flags of GPUTextureUsage; by default those of a texture that kernels read. */
  readonly usage?: GPUTextureUsageFlags
}

const TEXEL_BYTES = {
  rgba32uint: 16,
  rgba8unorm: 4,
  'rgba8unorm-srgb': 4,
  bgra8unorm: 4,
  'bgra8unorm-srgb': 4,
  r8unorm: 1,
} as const

/** The memory that the engine has allocated on a device. */
export interface MemoryReport {
  /** Bytes that are allocated now. */
  readonly bytes: number
  /** The most bytes that were allocated at a time since the device was opened. */
  readonly peakBytes: number
  /** Number of buffers and textures. */
  readonly buffers: number
  /** Bytes that are allocated now, by owner: a plan, a part of the model, a scene. */
  readonly byOwner: Readonly<Record<string, number>>
}

interface Entry {
  readonly owner: string
  readonly label: string
  readonly bytes: number
}

/**
 * The buffers and textures of one device, counted by owner. A refused allocation is an error that names the
 * largest owners.
 */
export class Memory {
  readonly #device: GPUDevice
  readonly #entries = new Map<GPUBuffer | GPUTexture, Entry>()
  #bytes = 0
  #peakBytes = 0

  constructor(device: GPUDevice) {
    this.#device = device
  }

  /**
   * Creates all the buffers or none of them.
   *
   * @throws LimitError        when one is larger than the device's maxBufferSize
   * @throws OutOfMemoryError  when the device refuses; names the need and the largest holders
   */
  async allocate(requests: readonly BufferRequest[]): Promise<GPUBuffer[]> {
    const limit = this.#device.limits.maxBufferSize
    for (const { label, bytes } of requests) {
      if (bytes > limit) {
        throw new LimitError(
          `${label}: needs a buffer of ${formatBytes(bytes)}, this adapter allows ${formatBytes(limit)}. ` +
            'Use a smaller model or image, or an adapter with a larger maxBufferSize.',
        )
      }
    }
    const need = requests.reduce((sum, { bytes }) => sum + bytes, 0)
    return this.#checked(requests[0]?.label ?? 'buffers', need, () =>
      requests.map(({ label, bytes, usage, owner }) => {
        const size = roundUp(Math.max(bytes, 4), 4)
        const buffer = this.#device.createBuffer({ label, size, usage })
        this.#enter(buffer, { owner, label, bytes: size })
        return buffer
      }),
    )
  }

  /** Runs `create` before it returns, and awaits what the device says of it; if it refuses, nothing stays. */
  async #checked<T extends GPUBuffer | GPUTexture>(
    label: string,
    need: number,
    create: () => T[],
  ): Promise<T[]> {
    this.#device.pushErrorScope('out-of-memory')
    this.#device.pushErrorScope('validation')
    const resources = create()
    const scopes = [this.#device.popErrorScope(), this.#device.popErrorScope()]
    let error: GPUError | null | undefined
    try {
      const [validation, memory] = await Promise.all(scopes)
      error = memory ?? validation
    } catch (cause) {
      // The device is gone
      for (const resource of resources) this.release(resource)
      throw cause
    }
    if (error) {
      for (const resource of resources) this.release(resource)
      throw new OutOfMemoryError(
        `The device could not allocate ${formatBytes(need)} (${label}): ` +
          `${error.message}. In use: ${this.#describe()}. Close what is not needed or use a smaller model.`,
      )
    }
    this.#peakBytes = Math.max(this.#peakBytes, this.#bytes)
    return resources
  }

  #enter(resource: GPUBuffer | GPUTexture, entry: Entry): void {
    this.#entries.set(resource, entry)
    this.#bytes += entry.bytes
  }

  /**
   * A texture, or nothing.
   *
   * @param created gets the texture before this returns, for commands that must be recorded in the same tick. The
   *   device
   *   may still refuse it
   * @throws OutOfMemoryError when the device refuses
   */
  async allocateTexture(
    {
      label,
      width,
      height,
      owner,
      format = TEXEL,
      usage = GPUTextureUsage.STORAGE_BINDING | GPUTextureUsage.COPY_DST | GPUTextureUsage.COPY_SRC,
    }: TextureRequest,
    onCreated?: (texture: GPUTexture) => void,
  ): Promise<GPUTexture> {
    const bytes = width * height * TEXEL_BYTES[format]
    const texture = await this.#checked(label, bytes, () => {
      const created = this.#device.createTexture({ label, size: [width, height], format, usage })
      this.#enter(created, { owner, label, bytes })
      onCreated?.(created)
      return [created]
    })
    return entryOf(texture, 0)
  }

  /** True if the buffer or texture was allocated here and is not released yet. */
  has(resource: GPUBuffer | GPUTexture): boolean {
    return this.#entries.has(resource)
  }

  /** Destroys the buffer or texture and takes it off the ledger. Releasing twice is harmless. */
  release(resource: GPUBuffer | GPUTexture): void {
    if (this.transferOwnership(resource)) resource.destroy()
  }

  /**
   * Transfers ownership to the caller, who destroys it from now on; it leaves the ledger.
   * @returns whether it was ours
   */
  transferOwnership(resource: GPUBuffer | GPUTexture): boolean {
    const entry = this.#entries.get(resource)
    if (!entry) return false
    this.#entries.delete(resource)
    this.#bytes -= entry.bytes
    return true
  }

  /** Destroys everything on the ledger, whoever uses it. */
  releaseAll(): void {
    for (const buffer of this.#entries.keys()) this.release(buffer)
  }

  /** Counts what is allocated at this moment. */
  report(): MemoryReport {
    const byOwner: Record<string, number> = {}
    for (const { owner, bytes } of this.#entries.values()) byOwner[owner] = (byOwner[owner] ?? 0) + bytes
    return { bytes: this.#bytes, peakBytes: this.#peakBytes, buffers: this.#entries.size, byOwner }
  }

  #describe(): string {
    const owners = Object.entries(this.report().byOwner).sort((a, b) => b[1] - a[1])
    if (owners.length === 0) return 'nothing'
    return owners
      .slice(0, 4)
      .map(([owner, bytes]) => `${owner} ${formatBytes(bytes)}`)
      .join(', ')
  }
}

/** The least multiple of `multiple` that is not below `value`. */
export function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple
}

/** Bytes for people: '12 B', '3.4 KiB', '1.2 GiB'. */
export function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`
  const units = ['KiB', 'MiB', 'GiB', 'TiB']
  let value = bytes / 1024
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${units[unit]}`
}
