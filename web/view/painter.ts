// Draws the canvas with WebGPU: the image with its mask, in one pane or two. Knows nothing of the model, which has a
// device of its own: panning stays smooth while that computes.

import { mat3 } from 'wgpu-matrix'
import type { MaskPreview } from '../common/protocol.ts'
import { FOUND } from '../pixels/colours.ts'
import { viewOf } from '../pixels/pixels.ts'
import { panesOf, type Size } from './camera.ts'
import type { Frame, Maps } from './protocol.ts'
import shrinkSource from './shrink.wgsl' with { type: 'text' }
import viewSource from './view.wgsl' with { type: 'text' }

/** struct Pane of view.wgsl, in floats. */
const PANE_FLOATS = 32
/** Dynamic offsets are multiples of this. */
const PANE_BYTES = 256
/** From here on the image's pixels are squares. */
const CRISP_SCALE = 5
const CHECK = 8
const LINE = 1.4

/** The canvas's device, and all that it draws. */
export class Painter {
  readonly device: GPUDevice
  readonly #context: GPUCanvasContext
  readonly #canvas: OffscreenCanvas
  readonly #pipeline: GPURenderPipeline
  readonly #shrink: GPURenderPipeline
  readonly #sampler: GPUSampler
  readonly #panes: GPUBuffer
  readonly #layout: GPUBindGroupLayout
  readonly #nothing: GPUTexture
  readonly #noColour: GPUTexture
  #image: { readonly texture: GPUTexture; readonly size: Size } | undefined
  #maps: Readonly<Record<keyof Maps, { texture: GPUTexture; scale: readonly [number, number] } | undefined>> =
    { mask: undefined, ghost: undefined, band: undefined, colours: undefined }
  #bindings: GPUBindGroup | undefined

  /** @returns undefined where there is no adapter */
  static async open(canvas: OffscreenCanvas): Promise<Painter | undefined> {
    const adapter = await navigator.gpu?.requestAdapter().catch(() => null)
    if (!adapter) return undefined
    const { maxTextureDimension2D } = adapter.limits
    const context = canvas.getContext('webgpu')
    if (!context) return undefined
    const device = await adapter
      .requestDevice({ requiredLimits: { maxTextureDimension2D } })
      .catch(() => undefined)
    return device && new Painter(device, canvas, context)
  }

  private constructor(device: GPUDevice, canvas: OffscreenCanvas, context: GPUCanvasContext) {
    this.device = device
    this.#canvas = canvas
    this.#context = context
    const format = navigator.gpu.getPreferredCanvasFormat()
    this.#context.configure({ device, format, alphaMode: 'opaque' })
    const visibility = GPUShaderStage.FRAGMENT
    this.#layout = device.createBindGroupLayout({
      entries: [
        { binding: 0, visibility, buffer: { hasDynamicOffset: true } },
        { binding: 1, visibility, sampler: {} },
        ...[2, 3, 4, 5, 6].map((binding) => ({ binding, visibility, texture: {} })),
      ],
    })
    const triangle = (
      code: string,
      label: string,
      target: GPUTextureFormat,
      layout: GPUPipelineLayout | 'auto',
    ) => {
      const module = device.createShaderModule({ code, label })
      return device.createRenderPipeline({
        label,
        layout,
        vertex: { module },
        fragment: { module, targets: [{ format: target }] },
      })
    }
    const layout = device.createPipelineLayout({ bindGroupLayouts: [this.#layout] })
    this.#pipeline = triangle(viewSource, 'view', format, layout)
    this.#shrink = triangle(shrinkSource, 'shrink', 'rgba8unorm', 'auto')
    this.#sampler = device.createSampler({ magFilter: 'linear', minFilter: 'linear', mipmapFilter: 'linear' })
    this.#panes = device.createBuffer({
      size: 2 * PANE_BYTES,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    })
    this.#nothing = device.createTexture({
      size: [1, 1],
      format: 'r8unorm',
      usage: GPUTextureUsage.TEXTURE_BINDING,
    })
    this.#noColour = device.createTexture({
      size: [1, 1],
      format: 'rgba8unorm',
      usage: GPUTextureUsage.TEXTURE_BINDING,
    })
  }

  /** @param size of the image, of which the bitmap may be a smaller copy */
  setImage(bitmap: ImageBitmap, size: Size): void {
    const { device } = this
    const { width, height } = bitmap
    const levels = 1 + Math.floor(Math.log2(Math.max(width, height)))
    const texture = device.createTexture({
      size: [width, height],
      format: 'rgba8unorm',
      mipLevelCount: levels,
      usage: GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.COPY_DST | GPUTextureUsage.RENDER_ATTACHMENT,
    })
    device.queue.copyExternalImageToTexture({ source: bitmap }, { texture }, [width, height])
    const encoder = device.createCommandEncoder()
    for (let level = 1; level < levels; level++) {
      const view = (at: number): GPUTextureView => texture.createView({ baseMipLevel: at, mipLevelCount: 1 })
      const pass = encoder.beginRenderPass({
        colorAttachments: [{ view: view(level), loadOp: 'clear', storeOp: 'store' }],
      })
      pass.setPipeline(this.#shrink)
      pass.setBindGroup(
        0,
        device.createBindGroup({
          layout: this.#shrink.getBindGroupLayout(0),
          entries: [
            { binding: 0, resource: this.#sampler },
            { binding: 1, resource: view(level - 1) },
          ],
        }),
      )
      pass.draw(3)
      pass.end()
    }
    device.queue.submit([encoder.finish()])
    this.#image?.texture.destroy()
    this.#image = { texture, size }
    this.setMaps({})
  }

  setMaps({ mask, ghost, band, colours }: Maps): void {
    for (const map of Object.values(this.#maps)) map?.texture.destroy()
    this.#maps = {
      mask: this.#upload(mask),
      ghost: this.#upload(ghost),
      band: this.#upload(band),
      colours: this.#upload(colours, 4),
    }
    this.#bindings = undefined
  }

  /** @param channels 1 of a grey map, 4 of colours */
  #upload(
    map: MaskPreview | undefined,
    channels: 1 | 4 = 1,
  ): { texture: GPUTexture; scale: readonly [number, number] } | undefined {
    if (!map) return undefined
    // Colours are small enough as they come
    const most = this.device.limits.maxTextureDimension2D
    const { width, height, data } = channels === 1 ? fitting(map, most) : map
    const format = channels === 1 ? 'r8unorm' : 'rgba8unorm'
    const usage = GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.COPY_DST
    const texture = this.device.createTexture({ size: [width, height], format, usage })
    this.device.queue.writeTexture({ texture }, data, { bytesPerRow: channels * width }, [width, height])
    return { texture, scale: map.scale }
  }

  draw(frame: Frame): void {
    const image = this.#image
    const { size, ratio, split, paper } = frame
    const [width, height] = size.map((side) => Math.max(1, Math.round(side * ratio))) as [number, number]
    if (this.#canvas.width !== width) this.#canvas.width = width
    if (this.#canvas.height !== height) this.#canvas.height = height

    const encoder = this.device.createCommandEncoder()
    const [r, g, b] = paper
    const pass = encoder.beginRenderPass({
      colorAttachments: [
        {
          view: this.#context.getCurrentTexture().createView(),
          clearValue: { r, g, b, a: 1 },
          loadOp: 'clear',
          storeOp: 'store',
        },
      ],
    })
    if (image) {
      const panes = panesOf(size, split)
      panes.forEach((pane, i) => {
        const [x, y, right, bottom] = [pane.x, pane.y, pane.x + pane.width, pane.y + pane.height].map(
          (side) => Math.round(side * ratio),
        ) as [number, number, number, number]
        if (right <= x || bottom <= y) return
        const isPlain = split && i === 0
        this.device.queue.writeBuffer(
          this.#panes,
          i * PANE_BYTES,
          this.#pane(frame, image.size, [x, y], isPlain),
        )
        pass.setViewport(x, y, right - x, bottom - y, 0, 1)
        pass.setScissorRect(x, y, Math.min(right, width) - x, Math.min(bottom, height) - y)
        pass.setPipeline(this.#pipeline)
        pass.setBindGroup(0, this.#bind(image.texture), [i * PANE_BYTES])
        pass.draw(3)
      })
    }
    pass.end()
    this.device.queue.submit([encoder.finish()])
  }

  /** struct Pane, for the pane whose first device pixel is at `origin`. */
  #pane(frame: Frame, [W, H]: Size, [x, y]: Size, isPlain: boolean): Float32Array<ArrayBuffer> {
    const { ratio, matrix, opacity, outline, cut, paper } = frame
    const { mask, ghost, band, colours } = this.#maps
    // Device pixels -> CSS pixels of the pane -> the image's pixels -> its [0, 1]
    const toUv = mat3.scaling([1 / W, 1 / H])
    mat3.multiply(toUv, mat3.inverse(matrix), toUv)
    mat3.scale(toUv, [1 / ratio, 1 / ratio], toUv)
    mat3.translate(toUv, [-x, -y], toUv)
    const pane = new Float32Array(PANE_FLOATS)
    pane.set(toUv, 0) // columns of four floats, as WGSL has them
    pane.set([...FOUND.map((level) => level / 255), isPlain || cut ? 0 : opacity], 12)
    pane.set(paper, 16)
    pane.set(mask?.scale ?? [1, 1], 20)
    pane.set(ghost?.scale ?? [1, 1], 22)
    pane.set(band?.scale ?? [1, 1], 24)
    pane.set(colours?.scale ?? [1, 1], 30)
    const hasLine = outline && !isPlain && (mask || ghost || colours)
    pane[26] = hasLine ? LINE * ratio : 0
    pane[27] = cut && !isPlain && (mask || colours) ? 1 : 0
    pane[28] = (matrix[0] ?? 1) >= CRISP_SCALE ? 1 : 0
    pane[29] = CHECK * ratio
    return pane
  }

  #bind(image: GPUTexture): GPUBindGroup {
    const { mask, ghost, band, colours } = this.#maps
    this.#bindings ??= this.device.createBindGroup({
      layout: this.#layout,
      entries: [
        { binding: 0, resource: { buffer: this.#panes, size: PANE_FLOATS * 4 } },
        { binding: 1, resource: this.#sampler },
        { binding: 2, resource: image.createView() },
        ...[mask, ghost, band].map((map, i) => ({
          binding: 3 + i,
          resource: (map?.texture ?? this.#nothing).createView(),
        })),
        { binding: 6, resource: (colours?.texture ?? this.#noColour).createView() },
      ],
    })
    return this.#bindings
  }
}

/** The map itself, or every nth of its pixels where it has more than a texture may. */
function fitting(map: MaskPreview, most: number): Pick<MaskPreview, 'width' | 'height' | 'data'> {
  const step = Math.ceil(Math.max(map.width, map.height) / most)
  if (step === 1) return map
  const width = Math.floor(map.width / step)
  const height = Math.floor(map.height / step)
  const from = viewOf(map.data)
  const data = new Uint8Array(width * height)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) data[y * width + x] = from.getUint8(y * step * map.width + x * step)
  }
  return { width, height, data }
}
