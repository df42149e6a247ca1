// An image becomes what the two encoders take (spec, sections 4.1 and 4.2).
//
//   SigLIP  squashed to a square                       (x / 255 - 0.5) / 0.5
//   SAM     longest side to the canvas, then padded    (x / 255 - mean) / std, padding 0 after that
//
// Resizing works on 8 bits, as Pillow does it, and everything is channels-last. Masks come out on SAM's
// canvas; `toImage` leads from there back to the image's own pixels.

import { type Mat3, mat3 } from 'wgpu-matrix'
import { ImageError } from '../errors.ts'
import { type Image, MAX_PIXELS, megapixels } from '../io/image.ts'
import { resizeBilinear } from '../io/resize.ts'

/** The part of a model's config that is needed here: sides of the two squares. */
export interface InputSizes {
  readonly siglip: { readonly image: number }
  readonly sam: { readonly image: number }
}

export interface PrepareOptions {
  /** 'grey' pads SigLIP's image to a centred square first, as X-SAM/AAAI does in its evaluation; 'none' by default. */
  readonly padding?: 'none' | 'grey' | undefined
}

export interface PreparedImage {
  /** [S, S, 3] in -1 to 1. */
  readonly siglip: Float32Array<ArrayBuffer>
  /** [S, S, 3] in normalised space. */
  readonly sam: Float32Array<ArrayBuffer>
  /** [h', w']: the part of SAM's canvas that holds the image, at its top left. */
  readonly scaled: readonly [height: number, width: number]
  /** From the image's coordinates (x right, y down, the first pixel's centre at 0.5) to the canvas's. */
  readonly toModel: Mat3
  /** And back. */
  readonly toImage: Mat3
}

const HALF = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] }
const IMAGENET = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }
const GREY = 127

/** @throws ImageError if the image has no pixels, not as many as it says, or too many once padded */
export function prepareImage(image: Image, config: InputSizes, options: PrepareOptions = {}): PreparedImage {
  const { width: W, height: H, rgb } = image
  const isSize = Number.isInteger(W) && Number.isInteger(H) && W > 0 && H > 0
  if (!isSize || rgb.length !== W * H * 3) {
    throw new ImageError(
      `An image of ${W} x ${H} pixels has ${W * H * 3} bytes of RGB; ${rgb.length} are given. Drop alpha, if there is any.`,
    )
  }

  // 1. SigLIP: the aspect ratio is lost
  const side = config.siglip.image
  const square = resizeBilinear(options.padding === 'grey' ? padToSquare(image) : image, side, side)
  const siglip = normalise(square, side, HALF)

  // 2. SAM: the aspect ratio is kept
  const canvas = config.sam.image
  const [h, w] = scaledSize(H, W, canvas)
  const sam = normalise(resizeBilinear(image, w, h), canvas, IMAGENET)

  const toModel = mat3.scaling([w / W, h / H])
  const toImage = mat3.scaling([W / w, H / h])
  return { siglip, sam, scaled: [h, w], toModel, toImage }
}

/** [h', w'] with the longest side at `canvas`. A sliver keeps one row: Pillow has no image of none. */
function scaledSize(H: number, W: number, canvas: number): [number, number] {
  const s = canvas / Math.max(H, W)
  return [Math.max(1, Math.floor(H * s + 0.5)), Math.max(1, Math.floor(W * s + 0.5))]
}

/** [H, W, 3] bytes -> [side, side, 3] floats, at the top left of zeros. */
function normalise(
  { width, height, rgb }: Image,
  side: number,
  { mean, std }: { mean: readonly number[]; std: readonly number[] },
): Float32Array<ArrayBuffer> {
  // What each byte becomes, by channel
  const table = (c: number) =>
    Float32Array.from({ length: 256 }, (_, byte) => (byte / 255 - mean[c]!) / std[c]!)
  const [red, green, blue] = [table(0), table(1), table(2)]
  const out = new Float32Array(side * side * 3)
  for (let y = 0; y < height; y++) {
    let to = y * side * 3
    for (let from = y * width * 3; from < (y + 1) * width * 3; from += 3) {
      out[to++] = red[rgb[from]!]!
      out[to++] = green[rgb[from + 1]!]!
      out[to++] = blue[rgb[from + 2]!]!
    }
  }
  return out
}

/** The image in the middle of a grey square. */
function padToSquare(image: Image): Image {
  const { width, height, rgb } = image
  const side = Math.max(width, height)
  // A panorama or a sliver: few pixels, but a huge square
  if (side * side > MAX_PIXELS) {
    throw new ImageError(
      `An image of ${width} x ${height} pixels, padded to a square of ${side} x ${side}, has ` +
        `${megapixels(side * side)}; the limit is ${megapixels(MAX_PIXELS)}. Scale it down, or leave out { padding: 'grey' }.`,
    )
  }
  const top = Math.floor((side - height) / 2)
  const left = Math.floor((side - width) / 2)
  const square = new Uint8Array(side * side * 3).fill(GREY)
  for (let y = 0; y < height; y++) {
    square.set(rgb.subarray(y * width * 3, (y + 1) * width * 3), ((y + top) * side + left) * 3)
  }
  return { width: side, height: side, rgb: square }
}
