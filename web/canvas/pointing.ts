// Pointing at the image: what is under the pointer, a click, and a box. A drag moves the image; with Shift, or while
// the button Box is pressed, it draws a box. Enter points at the middle of the view, or takes what is in view as the
// box. While the button Like it is pressed, everything like that is asked for.

import type { Box } from '../../src/index.ts'
import type { ObjectsAsk } from '../common/protocol.ts'
import { byId, make } from '../page/dom.ts'
import type { Size } from '../view/camera.ts'
import type { ImageCanvas } from './image-canvas.ts'

/** Handlers of pointing at the image; places are in its pixels. */
export interface PointingHandlers {
  /** The pointer is at a place of the image, or undefined: beside it, or gone. */
  readonly hover: (place: Size | undefined) => void
  readonly click: (place: Size) => void
  readonly box: (box: Box) => void
  /** True if the model answers questions about regions; if not, tells the user why. @param what the gesture: 'a box' */
  readonly mayAsk: (what: string) => boolean
}

/** A pointer that moves less than this between press and release, in CSS pixels, clicks. */
const STILL = 5
/** Milliseconds in which a second click makes it a double click, which zooms. */
const DOUBLE = 250

type RegionAsk = Extract<ObjectsAsk, { kind: 'region' }>

/** A question about a region: what is there or, while Like it is pressed, everything like it. */
export function regionAsk(region: RegionAsk['region']): RegionAsk {
  return { kind: 'region', region, like: isPressed(byId('like')) }
}

/** Listens to the canvas and to the buttons Box and Like it. */
export function listenToPointing(canvas: ImageCanvas, { hover, click, box, mayAsk }: PointingHandlers): void {
  const frame = byId('canvas-frame')
  const button = byId('box')
  const band = make('div', { className: 'band', hidden: true })
  frame.append(band)
  let pressed: { readonly at: Size; readonly id: number; isBox: boolean } | undefined
  let waiting = 0

  const like = byId('like')
  const isBoxing = (): boolean => isPressed(button)
  const mayBox = (): boolean => mayAsk('a box')
  const setBoxing = (on: boolean): void => {
    button.setAttribute('aria-pressed', String(on))
    frame.classList.toggle('boxing', on)
  }
  const placeAt = (at: Size): Size | undefined => {
    const [x, y] = canvas.toImage(at)
    const [width, height] = canvas.imageSize
    return x >= 0 && y >= 0 && x < width && y < height ? [x, y] : undefined
  }
  const end = (): void => {
    pressed = undefined
    band.hidden = true
  }

  button.addEventListener('click', () => setBoxing(!isBoxing() && mayBox()))
  like.addEventListener('click', () => {
    const isOn = !isPressed(like) && mayAsk('what is like a place')
    like.setAttribute('aria-pressed', String(isOn))
  })

  // Before the canvas has it, which would move the image
  frame.addEventListener(
    'pointerdown',
    (event) => {
      clearTimeout(waiting)
      if (event.button !== 0 || isControl(event.target)) return
      if (pressed) return end() // a second finger
      const wantsBox = event.shiftKey || isBoxing()
      if (wantsBox && !mayBox()) return event.stopImmediatePropagation()
      pressed = { at: [event.clientX, event.clientY], id: event.pointerId, isBox: wantsBox }
      hover(undefined)
      if (!wantsBox) return
      event.stopImmediatePropagation()
      frame.setPointerCapture(event.pointerId)
    },
    { capture: true },
  )
  frame.addEventListener('pointermove', (event) => {
    const now: Size = [event.clientX, event.clientY]
    if (pressed?.isBox) draw(band, frame, pressed.at, now)
    else if (!pressed && event.pointerType === 'mouse') {
      hover(isControl(event.target) ? undefined : placeAt(now))
    }
  })
  frame.addEventListener('pointerleave', () => hover(undefined))
  frame.addEventListener('pointercancel', end)
  frame.addEventListener('pointerup', (event) => {
    const from = pressed
    if (from?.id !== event.pointerId) return
    end()
    const [dx, dy] = [event.clientX - from.at[0], event.clientY - from.at[1]]
    const isStill = Math.hypot(dx, dy) < STILL
    if (from.isBox && !isStill) {
      const drawn = boxOf(canvas, from.at, [dx, dy])
      setBoxing(false)
      if (drawn) box(drawn)
    } else if (isStill && event.detail < 2) {
      const place = placeAt(from.at)
      if (place) waiting = Number(setTimeout(() => click(place), DOUBLE))
    }
  })
  frame.addEventListener('dblclick', () => clearTimeout(waiting))
  frame.addEventListener('keydown', (event) => {
    if (event.target !== frame || event.key !== 'Enter') return
    event.preventDefault()
    const { from, size } = canvas.view
    if (isBoxing()) {
      const drawn = boxOf(canvas, from, size)
      setBoxing(false)
      if (drawn) box(drawn)
      return
    }
    const place = placeAt([from[0] + size[0] / 2, from[1] + size[1] / 2])
    if (place) click(place)
  })
}

/** The part of the image in a rectangle of the page; undefined where there is none. */
function boxOf(canvas: ImageCanvas, from: Size, [dx, dy]: Size): Box | undefined {
  const [x, y] = canvas.toImage(from)
  const [width, height] = canvas.imageSize
  const side = (a: number, b: number, most: number): Size => [
    Math.min(Math.max(Math.min(a, b), 0), most),
    Math.min(Math.max(Math.max(a, b), 0), most),
  ]
  const [left, right] = side(x, x + dx / canvas.scale, width)
  const [top, bottom] = side(y, y + dy / canvas.scale, height)
  return right - left >= 1 && bottom - top >= 1 ? [left, top, right, bottom] : undefined
}

/** The rubber band between two points of the page. */
function draw(band: HTMLElement, frame: HTMLElement, from: Size, to: Size): void {
  const { left, top } = frame.getBoundingClientRect()
  const { style } = band
  style.left = `${Math.min(from[0], to[0]) - left}px`
  style.top = `${Math.min(from[1], to[1]) - top}px`
  style.width = `${Math.abs(to[0] - from[0])}px`
  style.height = `${Math.abs(to[1] - from[1])}px`
  band.hidden = false
}

function isPressed(button: HTMLElement): boolean {
  return button.getAttribute('aria-pressed') === 'true'
}

function isControl(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest('button') !== null
}
