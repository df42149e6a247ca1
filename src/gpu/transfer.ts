// Transfers between host memory and the device. Uploads go in slices, so that weights of any size need only one
// slice of host memory; readbacks copy out of a mapped buffer and unmap at once.

import { breathe } from '../breathe.ts'
import type { TaskOptions } from '../progress.ts'
import type { Gpu } from './gpu.ts'
import { roundUp } from './memory.ts'

/** Bytes in flight before we wait for the queue: more would pile up in the driver's staging memory. */
const IN_FLIGHT_BYTES = 64 * 2 ** 20

/** Writes slices one after another into a buffer, starting at `offset`. */
export class Uploader {
  readonly #gpu: Gpu
  #inFlight = 0

  constructor(gpu: Gpu) {
    this.#gpu = gpu
  }

  /** The slice may be reused as soon as the promise resolves. Lengths that are no multiple of 4 are padded. */
  async write(
    buffer: GPUBuffer,
    offset: number,
    slice: Uint8Array,
    { signal }: TaskOptions = {},
  ): Promise<void> {
    await breathe(signal)
    const { queue } = this.#gpu.device
    const whole = slice.byteLength - (slice.byteLength % 4)
    if (whole > 0) queue.writeBuffer(buffer, offset, slice.buffer, slice.byteOffset, whole)
    if (whole < slice.byteLength) {
      const tail = new Uint8Array(4)
      tail.set(slice.subarray(whole))
      queue.writeBuffer(buffer, offset + whole, tail)
    }
    this.#inFlight += roundUp(slice.byteLength, 4)
    if (this.#inFlight >= IN_FLIGHT_BYTES) await this.flush()
  }

  /** Writes whole rows of a texture of 16-byte texels, from row `y` on. `words` has 4 per texel. */
  async writeRows(texture: GPUTexture, y: number, words: Uint32Array<ArrayBuffer>): Promise<void> {
    await breathe()
    const bytesPerRow = texture.width * 16
    const height = words.byteLength / bytesPerRow
    const layout = { bytesPerRow, rowsPerImage: height }
    this.#gpu.device.queue.writeTexture({ texture, origin: [0, y] }, words, layout, [texture.width, height])
    this.#inFlight += words.byteLength
    if (this.#inFlight >= IN_FLIGHT_BYTES) await this.flush()
  }

  /** Waits until the device has everything that was written. */
  async flush(): Promise<void> {
    this.#inFlight = 0
    await this.#gpu.idle()
  }
}

/** Copies out the first `bytes` of a mappable buffer. */
export async function readBack(gpu: Gpu, buffer: GPUBuffer, bytes: number): Promise<ArrayBuffer> {
  await gpu.wait(buffer.mapAsync(GPUMapMode.READ, 0, roundUp(bytes, 4)))
  const copy = buffer.getMappedRange(0, roundUp(bytes, 4)).slice(0)
  buffer.unmap()
  return copy
}
