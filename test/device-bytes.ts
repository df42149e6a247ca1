// The bytes of a tensor as they lie on the device.

import type { Gpu } from '../src/gpu/gpu.ts'
import { readBack } from '../src/gpu/transfer.ts'
import { storagesOf, type Tensor } from '../src/tensor/tensor.ts'

/** All shards one after another, packed if they are packed. */
export async function deviceBytes(on: Gpu, x: Tensor): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array<ArrayBuffer>[] = []
  for (const { buffer, texture, bytes } of storagesOf(x)) {
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST
    const [host] = await on.buffers.allocate([{ label: 'readback', bytes, usage, owner: 'test' }])
    const encoder = on.device.createCommandEncoder()
    if (texture) {
      const { width, height } = texture
      encoder.copyTextureToBuffer({ texture }, { buffer: host!, bytesPerRow: width * 16 }, [width, height])
    } else {
      encoder.copyBufferToBuffer(buffer!, 0, host!, 0, bytes)
    }
    on.device.queue.submit([encoder.finish()])
    parts.push(new Uint8Array(await readBack(on, host!, bytes)))
    on.buffers.release(host!)
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer())
}
