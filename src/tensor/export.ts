// Tensors that leave the engine: a caller goes on with them on the device, in buffers or textures of its own.

import { expectDefined } from '../check.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { maskTexture } from '../gpu/pixels.ts'
import { release, type Tensor } from './tensor.ts'

/** Transfers the buffer of a resident tensor to the caller. */
export function exportBuffer(gpu: Gpu, x: Tensor): GPUBuffer {
  const buffer = bufferOf(x)
  gpu.buffers.transferOwnership(buffer)
  return buffer
}

/**
 * Copies the output of maskBytes into an r8unorm texture, which is the caller's from now on; the tensor is released.
 */
export async function exportTexture(
  gpu: Gpu,
  x: Tensor,
  size: { readonly width: number; readonly height: number },
): Promise<GPUTexture> {
  try {
    return await maskTexture(gpu, bufferOf(x), size)
  } finally {
    release(gpu, x)
  }
}

function bufferOf({ storage }: Tensor): GPUBuffer {
  return expectDefined(storage.buffer, 'the buffer of a tensor to export')
}
