// The messages from the page to the view's worker: what to draw, and how.

import type { ColourMap, MaskPreview } from '../common/protocol.ts'
import type { Size } from './camera.ts'

/** All that a frame depends on, besides the image and its maps. */
export interface Frame {
  /** The canvas's size in CSS pixels, and the device pixels per CSS pixel. */
  readonly size: Size
  readonly ratio: number
  /** From the image's pixels to the CSS pixels of a pane. */
  readonly matrix: Float32Array
  /** Two panes: the image, and what was found in it. */
  readonly split: boolean
  /** The tint's opacity, from 0 to 1. */
  readonly opacity: number
  readonly outline: boolean
  readonly cut: boolean
  /** Around the image, as sRGB from 0 to 1. */
  readonly paper: readonly [number, number, number]
}

/** The maps that are drawn over the image; an absent one is not drawn. */
export interface Maps {
  readonly mask?: MaskPreview | undefined
  readonly ghost?: MaskPreview | undefined
  readonly band?: MaskPreview | undefined
  /** Several objects, a colour each. */
  readonly colours?: ColourMap | undefined
}

/** Messages to the view's worker. */
export type ToView =
  | { readonly type: 'canvas'; readonly canvas: OffscreenCanvas }
  | { readonly type: 'image'; readonly bitmap: ImageBitmap; readonly size: Size }
  | { readonly type: 'maps'; readonly maps: Maps }
  | { readonly type: 'frame'; readonly frame: Frame; readonly number: number }

/** Messages from the view's worker. */
export type FromView =
  /** WebGPU draws, or only the plain canvas, which shows no masks. */
  | { readonly type: 'ready'; readonly webGpu: boolean }
  /** A frame was drawn: which one, as frames that are asked for fast are left out. */
  | { readonly type: 'drawn'; readonly number: number }
