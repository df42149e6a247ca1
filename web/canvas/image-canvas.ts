// The canvas: pan and zoom with mouse, touch and keyboard, and what is drawn over the image. Drawing itself is the
// view's worker's.

import { mat3, vec2 } from 'wgpu-matrix'
import { printable } from '../../src/index.ts'
import { percent } from '../common/format.ts'
import type { PictureFacts, Shown } from '../common/protocol.ts'
import { byId } from '../page/dom.ts'
import { Camera, panesOf, type Size } from '../view/camera.ts'
import type { Frame, FromView, Maps, ToView } from '../view/protocol.ts'
import { wheelZoom } from './wheel.ts'

/** The ways to show a mask; in split view the plain image stands beside it. */
export type Mode = 'overlay' | 'outline' | 'cutout' | 'split'

/** The picture that the canvas shows in place of the answer. */
export interface Look {
  readonly maps: Maps
  /** Absent: the caption stays that of the answer. */
  readonly caption?: string
  /** The answer's mask that this is; absent if it can't be saved. */
  readonly shown?: Shown
}

const ANSWER: Shown = { kind: 'answer' }
const NOTHING: Maps = {}
const KEY_STEP = 48
const KEY_ZOOM = 1.25
const DOUBLE_ZOOM = 2.5

/** The canvas element, its caption, and the worker that draws. */
export class ImageCanvas {
  /** Called when a look is kept on the canvas, and with undefined when it is released. */
  onKept: (kept: Look | undefined) => void = () => undefined
  readonly #element = byId('canvas-frame')
  readonly #canvas = byId('canvas', HTMLCanvasElement)
  readonly #caption = byId('caption')
  readonly #captionText = byId('caption-text')
  readonly #letGo = byId('let-go')
  readonly #zoomValue = byId('zoom-value')
  readonly #worker = new Worker(new URL('../view/worker.ts', import.meta.url), {
    type: 'module',
    name: 'view',
  })
  readonly #camera = new Camera()
  readonly #pointers = new Map<number, Size>()
  #size: Size = [1, 1]
  #mode: Mode = 'overlay'
  #opacity = 0.45
  #answer: Maps | undefined
  #imageSize: Size = [1, 1]
  /** The preview lasts while the pointer or the focus is on a button; the kept look until it is released. */
  #preview: Look | undefined
  #kept: Look | undefined
  /** Caption of the answer itself, usually empty. */
  #note = ''
  /** Asked for so far. */
  #frames = 0
  #caught: readonly [answer: Maps | undefined, preview: Maps | undefined] = [undefined, undefined]

  constructor() {
    const canvas = this.#canvas.transferControlToOffscreen()
    this.#worker.postMessage({ type: 'canvas', canvas } satisfies ToView, [canvas])
    this.#worker.addEventListener('message', ({ data }: MessageEvent<FromView>) => {
      if (data.type === 'drawn' && data.number === this.#frames) this.#element.dataset['frame'] = 'drawn'
    })
    new ResizeObserver(() => this.#resize()).observe(this.#element)
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#draw())
    this.#listen()
  }

  setImage({ bitmap, width, height, name }: PictureFacts): void {
    this.#caught = [undefined, undefined]
    this.#post({ type: 'image', bitmap, size: [width, height] }, [bitmap])
    this.#imageSize = [width, height]
    this.#camera.setImage([width, height])
    this.describe(`${printable(name)}, ${width} by ${height} pixels`)
    this.setAnswer(undefined)
  }

  /** Shows the answer's maps until there is another image or answer. */
  setAnswer(maps: Maps | undefined): void {
    this.#answer = maps
    this.#preview = undefined
    this.keep(undefined)
  }

  /** The maps of the answer; empty where there is none. */
  get answer(): Maps {
    return this.#answer ?? NOTHING
  }

  /** Size of the image in pixels. */
  get imageSize(): Size {
    return this.#imageSize
  }

  /** CSS pixels that a pixel of the image takes. */
  get scale(): number {
    return this.#camera.scale
  }

  /** The part of the window in which the image is seen; side by side, the first of them. */
  get view(): { readonly from: Size; readonly size: Size } {
    const { left, top } = this.#element.getBoundingClientRect()
    const [{ x, y, width, height }] = panesOf(this.#size, this.#isSplit)
    return { from: [left + x, top + y], size: [width, height] }
  }

  /** The place in the image's pixels, or beside the image, that a point of the window shows. */
  toImage([clientX, clientY]: Size): Size {
    const place = vec2.create(...this.#place({ clientX, clientY }))
    const [x = 0, y = 0] = vec2.transformMat3(place, mat3.inverse(this.#camera.matrix))
    return [x, y]
  }

  /** Shows a look until endPreview. */
  preview(look: Look): void {
    this.#preview = look
    this.#update()
  }

  endPreview(): void {
    this.#preview = undefined
    this.#update()
  }

  /** Shows a look until it is released: view, opacity and saving apply to it. */
  keep(look: Look | undefined): void {
    this.#kept = look
    this.#preview = undefined
    this.#update()
    this.onKept(look)
  }

  /** Shows the answer again. @returns whether something else was shown */
  letGo(): boolean {
    if (!this.#kept && !this.#preview) return false
    this.keep(undefined)
    return true
  }

  get kept(): Look | undefined {
    return this.#kept
  }

  /** The mask to save: the kept look's, or the answer's. Previews end when the pointer moves to the button. */
  get shown(): Shown {
    return this.#kept?.shown ?? ANSWER
  }

  /** Sets the caption of the answer itself. */
  note(text: string): void {
    this.#note = text
    this.#update()
  }

  /** Scrolls to it, unless all of it is in view. */
  reveal(): void {
    this.#element.scrollIntoView({ block: 'nearest' })
  }

  setMode(mode: Mode): void {
    this.#mode = mode
    this.#resize()
  }

  setOpacity(opacity: number): void {
    this.#opacity = opacity
    this.#draw()
  }

  /** Describes the canvas to those who don't see it. */
  describe(text: string): void {
    this.#canvas.setAttribute('aria-label', text)
  }

  zoom(factor: number): void {
    this.#camera.zoom(factor)
    this.#draw()
  }

  fit(): void {
    this.#camera.fit()
    this.#draw()
  }

  get #isSplit(): boolean {
    return this.#mode === 'split'
  }

  #resize(): void {
    const { width, height } = this.#element.getBoundingClientRect()
    this.#size = [width, height]
    const [pane] = panesOf(this.#size, this.#isSplit)
    this.#camera.setPane([pane.width, pane.height])
    this.#draw()
  }

  #update(): void {
    const look = this.#preview ?? this.#kept
    const text = look?.caption ?? this.#note
    this.#captionText.textContent = text
    this.#letGo.hidden = !this.#kept
    this.#caption.hidden = text === ''
    const [answer, maps] = this.#caught
    if (answer !== this.#answer || maps !== look?.maps) {
      this.#caught = [this.#answer, look?.maps]
      this.#post({ type: 'maps', maps: look?.maps ?? this.answer })
    }
    this.#draw()
  }

  #draw(): void {
    const { scale, matrix } = this.#camera
    // A layer's look draws its leader as a dashed outline, in every view
    const hasGhost = (this.#preview ?? this.#kept)?.maps.ghost !== undefined
    this.#element.classList.toggle('close', !this.#camera.isFitted)
    this.#zoomValue.textContent = this.#camera.isFitted ? 'Fit' : percent(scale)
    const frame: Frame = {
      size: this.#size,
      ratio: devicePixelRatio,
      matrix: new Float32Array(matrix),
      split: this.#isSplit,
      opacity: this.#mode === 'outline' ? 0 : this.#opacity,
      outline: this.#mode !== 'cutout' || hasGhost,
      cut: this.#mode === 'cutout',
      paper: matchMedia('(prefers-color-scheme: dark)').matches
        ? [0.055, 0.059, 0.071]
        : [0.925, 0.933, 0.945],
    }
    this.#element.dataset['frame'] = 'asked' // for those who wait for it
    this.#post({ type: 'frame', frame, number: ++this.#frames })
  }

  #post(message: ToView, transfer: Transferable[] = []): void {
    this.#worker.postMessage(message, transfer)
  }

  // ---- Mouse, touch, keyboard

  #listen(): void {
    const element = this.#element
    element.addEventListener('pointerdown', (event) => {
      if (event.button !== 0 || isControl(event.target)) return
      this.#pointers.set(event.pointerId, this.#place(event))
      element.setPointerCapture(event.pointerId)
      element.classList.add('dragged')
    })
    element.addEventListener('pointermove', (event) => this.#move(event))
    for (const end of ['pointerup', 'pointercancel'] as const) {
      element.addEventListener(end, (event) => {
        this.#pointers.delete(event.pointerId)
        if (this.#pointers.size === 0) element.classList.remove('dragged')
      })
    }
    // A page scrolls past the stage, unless somebody works in it or pinches
    element.addEventListener(
      'wheel',
      (event) => {
        const isZoom = event.ctrlKey || event.metaKey
        if (!isZoom && document.activeElement !== element) return
        const before = this.#camera.scale
        this.#camera.zoom(wheelZoom(event), this.#place(event))
        // At the limits of the zoom the page scrolls, so that the wheel is never trapped; with ctrl it must not zoom
        // the page
        if (!isZoom && this.#camera.scale === before) return
        event.preventDefault()
        this.#draw()
      },
      { passive: false },
    )
    this.#letGo.addEventListener('click', () => {
      this.keep(undefined)
      element.focus({ preventScroll: true }) // the button that had it is gone
    })
    element.addEventListener('dblclick', (event) => {
      if (isControl(event.target)) return
      if (this.#camera.isFitted) this.#camera.zoom(DOUBLE_ZOOM, this.#place(event))
      else this.#camera.fit()
      this.#draw()
    })
    element.addEventListener('keydown', (event) => {
      if (event.target !== element || event.ctrlKey || event.metaKey || event.altKey) return
      const act = KEYS[event.key]
      if (!act) return
      event.preventDefault()
      act(this.#camera)
      this.#draw()
    })
  }

  /** One pointer drags; two drag, and zoom by their distance. */
  #move(event: PointerEvent): void {
    const before = this.#pointers.get(event.pointerId)
    if (!before) return
    const now = this.#place(event)
    const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1]
    this.#pointers.set(event.pointerId, now)
    if (other) {
      const middle: Size = [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2]
      const distance = (a: Size): number => Math.max(8, Math.hypot(a[0] - other[0], a[1] - other[1]))
      this.#camera.pan((now[0] - before[0]) / 2, (now[1] - before[1]) / 2)
      this.#camera.zoom(distance(now) / distance(before), middle)
    } else {
      this.#camera.pan(now[0] - before[0], now[1] - before[1])
    }
    this.#draw()
  }

  /** In the coordinates of the pane that it is in. */
  #place({ clientX, clientY }: Pick<MouseEvent, 'clientX' | 'clientY'>): Size {
    const { left, top } = this.#element.getBoundingClientRect()
    const [x, y] = [clientX - left, clientY - top]
    const [first, second] = panesOf(this.#size, this.#isSplit)
    const isInFirst = x < first.x + first.width && y < first.y + first.height
    const pane = second && !isInFirst ? second : first
    return [x - pane.x, y - pane.y]
  }
}

const KEYS: Readonly<Record<string, (camera: Camera) => void>> = {
  ArrowLeft: (camera) => camera.pan(KEY_STEP, 0),
  ArrowRight: (camera) => camera.pan(-KEY_STEP, 0),
  ArrowUp: (camera) => camera.pan(0, KEY_STEP),
  ArrowDown: (camera) => camera.pan(0, -KEY_STEP),
  '+': (camera) => camera.zoom(KEY_ZOOM),
  '=': (camera) => camera.zoom(KEY_ZOOM),
  '-': (camera) => camera.zoom(1 / KEY_ZOOM),
  '0': (camera) => camera.fit(),
}

function isControl(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest('button') !== null
}
