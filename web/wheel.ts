// How far a turn of the wheel zooms. Browsers tell it in pixels, lines or pages, mice in notches of 100, 120 or more, and
// touchpads in many small steps; two fingers that spread come as small steps with the control key.

/** What a notch brings. */
const NOTCH_ZOOM = 1.2
/** As browsers have them: a notch is 100 pixels, 3 lines or a page. */
const NOTCH_PIXELS = 100
const NOTCH_LINES = 3
/** With the control key, less than this comes from fingers. */
const PINCH_PIXELS = 50
/** Fingers twice as far apart come as -69 pixels in all, and should make things twice as large. */
const PINCH_SPEED = 1 / 100

export type Turn = Pick<WheelEvent, 'deltaY' | 'deltaMode' | 'ctrlKey'>

/** @returns the factor by which to zoom; 1 for a wheel that is turned sideways */
export function wheelZoom({ deltaY, deltaMode, ctrlKey }: Turn): number {
  if (ctrlKey && deltaMode === 0 && Math.abs(deltaY) < PINCH_PIXELS) return Math.exp(-deltaY * PINCH_SPEED)
  const notch = deltaMode === 0 ? NOTCH_PIXELS : deltaMode === 1 ? NOTCH_LINES : 1
  const notches = Math.max(-1, Math.min(1, deltaY / notch))
  return NOTCH_ZOOM ** -notches
}
