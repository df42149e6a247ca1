// The view's worker: owns the canvas and draws a frame when something changed, never otherwise. It keeps what was given
// to it, so that it can draw again after its device was lost.

import type { Size } from './camera.ts'
import { Painter } from './painter.ts'
import type { Frame, FromView, Maps, ToView } from './protocol.ts'

/** Losses in a row after which we give up: something takes the device away as often as we ask for one. */
const MOST_LOSSES = 3

let canvas: OffscreenCanvas | undefined
let painter: Painter | undefined
let plain: OffscreenCanvasRenderingContext2D | null = null
let image: { bitmap: ImageBitmap; size: Size } | undefined
let maps: Maps = {}
let frame: Frame | undefined
let losses = 0
let number = 0
let isAsked = false

globalThis.addEventListener('message', ({ data }: MessageEvent<ToView>) => {
  switch (data.type) {
    case 'canvas':
      canvas = data.canvas
      void open(canvas)
      break
    case 'image':
      image?.bitmap.close()
      image = data
      maps = {}
      painter?.setImage(data.bitmap, data.size)
      break
    case 'maps':
      maps = data.maps
      painter?.setMaps(maps)
      break
    case 'frame':
      frame = data.frame
      number = data.number
      break
  }
  ask()
})

async function open(on: OffscreenCanvas): Promise<void> {
  painter = await Painter.open(on)
  if (!painter) {
    plain ??= losses === 0 ? on.getContext('2d') : null
    post({ type: 'ready', webGpu: false })
    return ask()
  }
  void painter.device.lost.then(() => {
    painter = undefined
    if (++losses <= MOST_LOSSES) void open(on)
  })
  if (image) painter.setImage(image.bitmap, image.size)
  painter.setMaps(maps)
  post({ type: 'ready', webGpu: true })
  ask()
}

function ask(): void {
  if (isAsked) return
  isAsked = true
  requestAnimationFrame(() => {
    isAsked = false
    if (!frame || !canvas) return
    if (painter) painter.draw(frame)
    else if (plain) drawPlain(plain, canvas, frame)
    else return
    post({ type: 'drawn', number })
  })
}

/** Without WebGPU the image can at least be seen. */
function drawPlain(
  context: OffscreenCanvasRenderingContext2D,
  { width, height }: OffscreenCanvas,
  { size, ratio, matrix, paper }: Frame,
): void {
  const [w, h] = size.map((side) => Math.max(1, Math.round(side * ratio))) as [number, number]
  if (width !== w || height !== h) Object.assign(context.canvas, { width: w, height: h })
  context.resetTransform()
  context.fillStyle = `rgb(${paper.map((level) => Math.round(255 * level)).join(' ')})`
  context.fillRect(0, 0, w, h)
  if (!image) return
  const [a = 1, b = 0, , , c = 0, d = 1, , , e = 0, f = 0] = matrix
  context.setTransform(a * ratio, b * ratio, c * ratio, d * ratio, e * ratio, f * ratio)
  context.drawImage(image.bitmap, 0, 0, ...image.size)
}

function post(message: FromView): void {
  globalThis.postMessage(message, { transfer: [] })
}
