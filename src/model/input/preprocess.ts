// An image becomes what the two encoders take (spec, sections 4.1 and 4.2), on the device.
//
//   SigLIP  squashed to a square                       (x / 255 - 0.5) / 0.5
//   SAM     longest side to the canvas, then padded    (x / 255 - mean) / std, padding 0 after that
//
// Resizing works on 8 bits, as Pillow does it (ops/resample.ts), and everything is channels-last. An image comes in
// strips of rows (gpu/pixels.ts), each resized along its rows at once; down the columns it goes when all are there.
// Masks come out on SAM's canvas; `toImage` leads from there back to the image's own pixels.

import { mat3 } from 'wgpu-matrix'
import { entryOf } from '../../check.ts'
import type { Gpu } from '../../gpu/gpu.ts'
import { type Pixels, Strip } from '../../gpu/pixels.ts'
import type { PlanInfo } from '../../gpu/plan/plan.ts'
import type { Size } from '../../io/image/image-kind.ts'
import { resampleColumns, resampleRows, type Taps, triangleTaps } from '../../ops/image/resample.ts'
import type { TaskOptions } from '../../progress.ts'
import { type Inputs, type Outputs, type Plan, plan, precompile } from '../../tensor/plan.ts'
import { allocate, type HostArray, param, release, residentTensor, type Tensor } from '../../tensor/tensor.ts'
import type { Vision } from '../checkpoint/config.ts'

/** The part of a model's config that is needed here: sides of the two squares, and what the language model sees. */
export interface InputSizes {
  /** The side of SigLIP's square, in pixels. */
  readonly siglip: { readonly image: number }
  /** The side of SAM's square, in pixels. */
  readonly sam: { readonly image: number }
  /** SigLIP's square is made only if `vision` names it. */
  readonly prompt: { readonly vision: readonly Vision[] }
}

/** The way an image is put before the encoders. */
export interface PrepareOptions {
  /** 'grey' pads SigLIP's image to a centred square first, as X-SAM/AAAI does in its evaluation; 'none' by default. */
  readonly padding?: 'none' | 'grey' | undefined
}

/** A transformation of the plane, as mat3 of wgpu-matrix: three columns, each padded to four numbers. */
export type Mat3 = Float32Array

/** The place of an image on SAM's canvas. */
export interface Placement {
  /** [h', w']: the part of SAM's canvas that holds the image, at its top left. */
  readonly scaled: readonly [height: number, width: number]
  /** The matrix from the image's coordinates (x right, y down, the first pixel's centre at 0.5) to the canvas's. */
  readonly toModel: Mat3
  /** The inverse of `toModel`. */
  readonly toImage: Mat3
}

/** The longest side goes to `canvas`. A sliver keeps one row: Pillow has no image of none. */
export function placeImage({ width: W, height: H }: Size, canvas: number): Placement {
  const s = canvas / Math.max(H, W)
  const [h, w] = [Math.max(1, Math.floor(H * s + 0.5)), Math.max(1, Math.floor(W * s + 0.5))]
  return { scaled: [h, w], toModel: mat3.scaling([w / W, h / H]), toImage: mat3.scaling([W / w, H / h]) }
}

const HALF = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] }
const IMAGENET = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }
const GREY = 127

/** The input of one encoder. */
interface Target {
  readonly name: Vision
  readonly side: number
  /** The size of the image on the square. */
  readonly width: number
  readonly height: number
  readonly across: Taps
  readonly down: Taps
  /** [3, 256]: what a level becomes in each channel. */
  readonly table: Float32Array
}

function targetsOf({ width: W, height: H }: Size, config: InputSizes, padding: 'none' | 'grey'): Target[] {
  // 1. SAM: the aspect ratio is kept
  const canvas = config.sam.image
  const [height, width] = placeImage({ width: W, height: H }, canvas).scaled
  const sam: Target = {
    name: 'sam',
    side: canvas,
    width,
    height,
    across: triangleTaps(W, width),
    down: triangleTaps(H, height),
    table: levelTable(IMAGENET),
  }
  if (!config.prompt.vision.includes('siglip')) return [sam]

  // 2. SigLIP: the aspect ratio is lost, unless the image is in the middle of a grey square first
  const side = config.siglip.image
  const length = Math.max(W, H)
  const taps = (from: number) => {
    if (padding === 'none') return triangleTaps(from, side)
    return triangleTaps(from, side, { before: Math.floor((length - from) / 2), length, level: GREY })
  }
  const square = { width: side, height: side, across: taps(W), down: taps(H) }
  return [sam, { name: 'siglip', side, ...square, table: levelTable(HALF) }]
}

function levelTable({ mean, std }: { mean: readonly number[]; std: readonly number[] }): Float32Array {
  return Float32Array.from({ length: 3 * 256 }, (_, i) => {
    const [channel, level] = [Math.floor(i / 256), i % 256]
    return (level / 255 - entryOf(mean, channel)) / entryOf(std, channel)
  })
}

/** Plans and tables for images of one size. */
interface Ready {
  readonly key: string
  readonly targets: readonly Target[]
  readonly strip: Strip
  readonly pixels: Tensor
  /** The image, resized along its rows, by target. */
  readonly resized: Readonly<Record<string, Tensor>>
  readonly rows: Plan
  readonly columns: Plan
  readonly release: () => void
}

/** The owner in the memory report. */
const OWNER = 'image'
const ROWS = 'image rows'
const COLUMNS = 'image columns'

/** Prepares images, one after another; one of the same size as the last one makes nothing new on the device. */
export class Preprocessor {
  readonly #gpu: Gpu
  readonly #config: InputSizes
  readonly #stripBytes: number | undefined
  #ready: Ready | undefined
  /** The pixels of the last image, for the next one to overwrite. */
  #inputs: Readonly<Record<string, Tensor>> = {}

  /** @param stripBytes for tests */
  constructor(gpu: Gpu, config: InputSizes, stripBytes?: number) {
    this.#gpu = gpu
    this.#config = config
    this.#stripBytes = stripBytes
  }

  /** Compiles the kernels: they don't depend on an image's size. */
  async precompile(options: TaskOptions): Promise<void> {
    const targets = targetsOf({ width: 1, height: 1 }, this.#config, 'none')
    await Promise.all([
      precompile(this.#gpu, ROWS, (inputs) => rowsPlan(inputs, targets, 1, { rows: 1, words: 1 }), options),
      precompile(this.#gpu, COLUMNS, (inputs) => columnsPlan(inputs, targets, 1), options),
    ])
  }

  /**
   * @returns `sam` [S, S, 3] in normalised space and, where the language model sees it, `siglip` [S, S, 3] in -1 to 1:
   *   tensors of the preprocessor's, valid until the next image
   * @throws ImageError if the device can't read the pixels
   */
  async run(
    pixels: Pixels,
    { padding = 'none', signal }: PrepareOptions & TaskOptions = {},
  ): Promise<Readonly<Record<string, Tensor>>> {
    const { targets, strip, resized, rows, columns, ...ready } = await this.#for(pixels, padding, signal)
    const across: Record<string, HostArray> = {}
    const down: Record<string, HostArray> = {}
    for (const { name, table, ...taps } of targets) {
      across[`${name} across`] = taps.across.data
      down[`${name} down`] = taps.down.data
      down[`${name} table`] = table
    }

    // 1. Along the rows, strip by strip
    const values = { signal, inputs: across, bound: { ...resized, pixels: ready.pixels } }
    for (let first = 0; first < pixels.height; first += strip.rows) {
      signal?.throwIfAborted()
      const count = Math.min(strip.rows, pixels.height - first)
      const { stride, red } = await strip.fill(pixels, first, count, signal)
      await rows.run({ ...values, params: { first, rows: count, stride, red } })
    }

    // 2. Down the columns
    const { kept } = await columns.run({
      signal,
      inputs: down,
      bound: resized,
      into: this.#inputs,
      owner: OWNER,
    })
    this.#inputs = kept
    return kept
  }

  async #for(size: Size, padding: 'none' | 'grey', signal: AbortSignal | undefined): Promise<Ready> {
    const { width, height } = size
    const key = `${width} ${height} ${padding}`
    if (this.#ready?.key === key) return this.#ready
    // Not both at once: they may be large
    this.#ready?.release()
    this.#ready = undefined
    const gpu = this.#gpu
    const targets = targetsOf(size, this.#config, padding)
    const owned: { release(): void }[] = []
    const keep = <T extends { release(): void }>(x: T): T => {
      owned.push(x)
      return x
    }
    const releaseAll = (): void => {
      for (const one of owned) one.release()
    }
    try {
      const strip = keep(await Strip.create(gpu, size, OWNER, this.#stripBytes))
      const words = strip.buffer.size / 4
      const resized: Record<string, Tensor> = {}
      for (const { name, width: w } of targets) {
        const label = `${name} rows`
        const x = await allocate(gpu, [height, w], 'u32', { label, owner: OWNER })
        keep({ release: () => release(gpu, x) })
        resized[label] = x
      }
      const of = { rows: strip.rows, words }
      const task = { signal }
      this.#ready = {
        key,
        targets,
        strip,
        pixels: residentTensor(strip.buffer, [words], 'u32', 'pixels'),
        resized,
        rows: keep(await plan(gpu, ROWS, (inputs) => rowsPlan(inputs, targets, height, of), task)),
        columns: keep(await plan(gpu, COLUMNS, (inputs) => columnsPlan(inputs, targets, height), task)),
        release: releaseAll,
      }
      return this.#ready
    } catch (error) {
      releaseAll()
      throw error
    }
  }

  /** The descriptions of the two plans for the last size of image; none before the first image. */
  infos(): PlanInfo[] {
    return this.#ready ? [this.#ready.rows.info, this.#ready.columns.info] : []
  }

  /** Frees the plans and the squares; the next `run` makes them anew. */
  release(): void {
    this.#ready?.release()
    this.#ready = undefined
    for (const x of Object.values(this.#inputs)) release(this.#gpu, x)
    this.#inputs = {}
  }
}

/**
 * The plan that resizes rows. In: taps across; bound: a strip's `pixels`, and for each target the rows that it is
 * resized into.
 */
function rowsPlan(
  { input, bound }: Inputs,
  targets: readonly Target[],
  height: number,
  strip: { readonly rows: number; readonly words: number },
): Outputs {
  const place = { first: param('first'), rows: param('rows'), stride: param('stride'), red: param('red') }
  const pixels = bound('pixels', [strip.words], 'u32')
  for (const { name, width, across } of targets) {
    const taps = input(`${name} across`, [width, across.words], 'u32')
    const y = bound(`${name} rows`, [height, width], 'u32')
    resampleRows({ pixels, capacity: strip.rows, ...place }, taps, y)
  }
  return {}
}

/**
 * The plan that resizes columns. In: taps down, and the table of levels; bound: for each target the rows. Kept: the
 * encoder's input.
 */
function columnsPlan({ input, bound }: Inputs, targets: readonly Target[], height: number): Outputs {
  const entries = targets.map(({ name, side, width, height: h, down, table }): [string, Tensor] => {
    const rows = bound(`${name} rows`, [height, width], 'u32')
    const taps = input(`${name} down`, [h, down.words], 'u32')
    return [name, resampleColumns(rows, taps, input(`${name} table`, [3, table.length / 3]), side)]
  })
  return { keep: Object.fromEntries(entries) }
}
