// Transfers of image pixels to the device and of masks from it, without a copy in host memory where the runtime allows
// that.
//
// An image of any size comes in strips of its rows, so that a photograph takes a few megabytes more than a thumbnail,
// and stays within what one binding allows.

import { breathe } from '../breathe.ts'
import { expectDefined } from '../check.ts'
import { ImageError, LimitError } from '../errors.ts'
import type { Gpu } from './gpu.ts'
import { roundUp } from './memory.ts'

/** An image's pixels of 8 bits a channel, wherever they are; alpha counts nothing. */
export type Pixels = { readonly width: number; readonly height: number } & (
  | { readonly rgb: Uint8Array }
  | { readonly rgba: Uint8Array | Uint8ClampedArray }
  | { readonly bitmap: ImageBitmap }
  | { readonly texture: GPUTexture }
)

/** Formats of textures whose pixels we take as they are, with the bit at which red begins. */
export const PIXEL_FORMATS = {
  rgba8unorm: 0,
  'rgba8unorm-srgb': 0,
  bgra8unorm: 16,
  'bgra8unorm-srgb': 16,
} as const

/** A texture format in which pixels are taken. */
export type PixelFormat = keyof typeof PIXEL_FORMATS

/** True if the device copies the pixels of an ImageBitmap without a way through host memory, as browsers do. */
export function takesBitmaps(gpu: Gpu): boolean {
  return typeof gpu.device.queue.copyExternalImageToTexture === 'function'
}

const STRIP_BYTES = 16 * 2 ** 20
/** Pixels of an array that are handed to the device at once: a millisecond's work, then others get their turn. */
const STEP_PIXELS = 2 ** 17
/** Copies from a texture to a buffer want rows of a multiple of 256 bytes. */
const ROW_PIXELS = 64
const MASK_ROW_BYTES = 256

/** Some rows of an image on the device. */
export class Strip {
  /** Number of rows that it can hold. */
  readonly rows: number
  /** Pixels of 4 bytes. */
  readonly buffer: GPUBuffer
  readonly #gpu: Gpu
  readonly #owner: string
  /** The texture that a bitmap is copied to first. */
  #texture: GPUTexture | undefined
  /** Pixels of 3 bytes are widened here. */
  #wide: Uint8Array<ArrayBuffer> | undefined

  private constructor(gpu: Gpu, rows: number, buffer: GPUBuffer, owner: string) {
    this.#gpu = gpu
    this.rows = rows
    this.buffer = buffer
    this.#owner = owner
  }

  /** @param maxBytes of the strip, if a single row doesn't take more */
  static async create(
    gpu: Gpu,
    { width, height }: { readonly width: number; readonly height: number },
    owner: string,
    maxBytes: number = STRIP_BYTES,
  ): Promise<Strip> {
    const rowBytes = roundUp(width, ROW_PIXELS) * 4
    const most = Math.min(height, gpu.device.limits.maxTextureDimension2D)
    const rows = Math.min(most, Math.max(1, Math.floor(maxBytes / rowBytes)))
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST
    const request = { label: 'rows of an image', bytes: rows * rowBytes, usage, owner }
    const [buffer] = await gpu.buffers.allocate([request])
    return new Strip(gpu, rows, expectDefined(buffer, 'buffer'), owner)
  }

  /**
   * Fills the strip with rows of an image of the size that it was made for.
   *
   * @returns how they lie in the buffer: pixels from a row to the next, and the bit at which a pixel's red begins
   * @throws ImageError if the device refuses the bitmap or the texture
   */
  async fill(
    pixels: Pixels,
    first: number,
    rows: number,
    signal?: AbortSignal,
  ): Promise<{ stride: number; red: 0 | 16 }> {
    const { width } = pixels
    if ('bitmap' in pixels) return this.#fillFromBitmap(pixels.bitmap, first, rows)
    if ('texture' in pixels) return this.#fillFromTexture(pixels.texture, width, first, rows)
    const [begin, end] = [first * width, (first + rows) * width]
    for (let at = begin; at < end; at += STEP_PIXELS) {
      await breathe(signal)
      const to = Math.min(end, at + STEP_PIXELS)
      const rgba = 'rgba' in pixels ? pixels.rgba.subarray(at * 4, to * 4) : this.#widen(pixels.rgb, at, to)
      const { queue } = this.#gpu.device
      queue.writeBuffer(this.buffer, (at - begin) * 4, rgba.buffer, rgba.byteOffset, rgba.byteLength)
    }
    return { stride: width, red: 0 }
  }

  #widen(rgb: Uint8Array, begin: number, end: number): Uint8Array {
    const wide = (this.#wide ??= new Uint8Array(STEP_PIXELS * 4))
    const bytes = new DataView(rgb.buffer, rgb.byteOffset, rgb.byteLength)
    let to = 0
    for (let from = begin * 3; from < end * 3; from += 3) {
      wide[to] = bytes.getUint8(from)
      wide[to + 1] = bytes.getUint8(from + 1)
      wide[to + 2] = bytes.getUint8(from + 2)
      to += 4
    }
    return wide.subarray(0, to)
  }

  async #fillFromBitmap(
    bitmap: ImageBitmap,
    first: number,
    rows: number,
  ): Promise<{ stride: number; red: 0 }> {
    const { device, buffers } = this.#gpu
    const stride = roundUp(bitmap.width, ROW_PIXELS)
    // A panorama may be wider than a texture
    const across = Math.min(bitmap.width, device.limits.maxTextureDimension2D)
    this.#texture ??= await buffers.allocateTexture({
      label: 'a bitmap',
      width: across,
      height: this.rows,
      owner: this.#owner,
      format: 'rgba8unorm',
      usage: GPUTextureUsage.COPY_SRC | GPUTextureUsage.COPY_DST | GPUTextureUsage.RENDER_ATTACHMENT,
    })
    const texture = this.#texture
    await checkedCopy(device, 'the ImageBitmap', () => {
      for (let x = 0; x < bitmap.width; x += across) {
        const size = [Math.min(across, bitmap.width - x), rows]
        device.queue.copyExternalImageToTexture(
          { source: bitmap, origin: [x, first] },
          { texture, colorSpace: 'srgb', premultipliedAlpha: false },
          size,
        )
        this.#submitCopy({ texture }, size, stride, x)
      }
    })
    return { stride, red: 0 }
  }

  async #fillFromTexture(
    texture: GPUTexture,
    width: number,
    first: number,
    rows: number,
  ): Promise<{ stride: number; red: 0 | 16 }> {
    const stride = roundUp(width, ROW_PIXELS)
    await checkedCopy(this.#gpu.device, 'the GPUTexture', () =>
      this.#submitCopy({ texture, origin: [0, first] }, [width, rows], stride, 0),
    )
    return { stride, red: PIXEL_FORMATS[texture.format as PixelFormat] }
  }

  #submitCopy(source: GPUTexelCopyTextureInfo, size: number[], stride: number, column: number): void {
    const { device } = this.#gpu
    const encoder = device.createCommandEncoder({ label: 'rows of an image' })
    const layout = { buffer: this.buffer, offset: column * 4, bytesPerRow: stride * 4 }
    encoder.copyTextureToBuffer(source, layout, size)
    device.queue.submit([encoder.finish()])
  }

  /** Frees the buffer, and the texture that a bitmap was copied to. */
  release(): void {
    this.#gpu.buffers.release(this.buffer)
    if (this.#texture) this.#gpu.buffers.release(this.#texture)
  }
}

/**
 * A copy of a texture of the caller's as it is now: the command is submitted before this returns.
 *
 * @returns once the device has the copy. It is the caller's to release
 * @throws ImageError if the device can't read the texture
 */
export async function copyOfTexture(gpu: Gpu, source: GPUTexture, owner: string): Promise<GPUTexture> {
  const { device, buffers } = gpu
  const { width, height } = source
  let copied: Promise<void> | undefined
  const request = {
    label: 'a texture to look at',
    width,
    height,
    owner,
    format: source.format as PixelFormat,
    usage: GPUTextureUsage.COPY_SRC | GPUTextureUsage.COPY_DST,
  }
  const allocated = buffers.allocateTexture(request, (texture) => {
    copied = checkedCopy(device, 'the GPUTexture', () => {
      const encoder = device.createCommandEncoder({ label: 'a texture to look at' })
      encoder.copyTextureToTexture({ texture: source }, { texture }, [width, height])
      device.queue.submit([encoder.finish()])
    })
    copied.catch(() => undefined) // told below, unless there was no memory for the copy
  })
  const texture = await allocated
  try {
    await copied
    return texture
  } catch (error) {
    buffers.release(texture)
    throw error
  }
}

/**
 * Runs `copy` before it returns. What is wrong with an image of the caller's, a closed bitmap for instance, is told
 * here.
 */
async function checkedCopy(device: GPUDevice, what: string, copy: () => void): Promise<void> {
  device.pushErrorScope('validation')
  let thrown: Error | undefined
  try {
    copy()
  } catch (error) {
    thrown = error as Error
  }
  const refused = await device.popErrorScope()
  const error = thrown ?? refused
  if (!error) return
  expectSameOrigin(what, error)
  throw new ImageError(
    `The device can't read ${what}: ${error.message} It must be neither closed nor destroyed when look is called; ` +
      'a texture must be of the device of this model.',
    { cause: error },
  )
}

/** Names the reason if reading was refused because the pixels are another site's. */
export function expectSameOrigin(what: string, error: unknown): void {
  if (!(error instanceof Error && error.name === 'SecurityError')) return
  throw new ImageError(
    `The browser doesn't let this page read ${what}: it has pixels of another site (it is tainted). Load them with ` +
      'crossorigin="anonymous" from a server that sends Access-Control-Allow-Origin.',
    { cause: error },
  )
}

/** Bytes from a row of a mask to the next, in buffers for the caller: what a copy to a texture wants. */
export function maskRowBytes(width: number): number {
  return roundUp(width, MASK_ROW_BYTES)
}

/**
 * A texture r8unorm of the bytes in a buffer, whose rows are maskRowBytes apart. It is the caller's.
 *
 * @throws LimitError if it is larger than textures can be
 */
export async function maskTexture(
  gpu: Gpu,
  buffer: GPUBuffer,
  { width, height }: { readonly width: number; readonly height: number },
): Promise<GPUTexture> {
  const { device, buffers } = gpu
  const limit = device.limits.maxTextureDimension2D
  if (width > limit || height > limit) {
    throw new LimitError(
      `A mask of ${width} x ${height} pixels is larger than a texture of this device, ${limit} a side. ` +
        "Ask for { output: 'buffer' }, or scale the image down.",
    )
  }
  const { COPY_DST, COPY_SRC, TEXTURE_BINDING, RENDER_ATTACHMENT } = GPUTextureUsage
  const texture = await buffers.allocateTexture({
    label: 'mask',
    width,
    height,
    owner: 'mask',
    format: 'r8unorm',
    usage: COPY_DST | COPY_SRC | TEXTURE_BINDING | RENDER_ATTACHMENT,
  })
  const encoder = device.createCommandEncoder({ label: 'mask' })
  encoder.copyBufferToTexture({ buffer, bytesPerRow: maskRowBytes(width) }, { texture }, [width, height])
  device.queue.submit([encoder.finish()])
  buffers.transferOwnership(texture)
  return texture
}
