// The zoom factor of a wheel event. Browsers report pixels, lines or pages; a mouse notch is 100 or 120 pixels or more,
// a touchpad sends many small steps, and a pinch arrives as small steps with ctrlKey set.

/** Factor per notch. */
const NOTCH_ZOOM = 1.2
/** A notch in the units of deltaMode: 100 pixels, 3 lines or 1 page. */
const NOTCH_PIXELS = 100
const NOTCH_LINES = 3
/** With ctrlKey, smaller steps than this are a pinch. */
const PINCH_PIXELS = 50
/** Browsers report a pinch by factor f as -100 ln(f) pixels. */
const PINCH_SPEED = 1 / 100

/** The part of a wheel event that tells a mouse, a touchpad and a pinch apart. */
export type Turn = Pick<WheelEvent, 'deltaY' | 'deltaMode' | 'ctrlKey'>

/** @returns the factor to zoom by; 1 for horizontal scrolling */
export function wheelZoom({ deltaY, deltaMode, ctrlKey }: Turn): number {
  if (ctrlKey && deltaMode === 0 && Math.abs(deltaY) < PINCH_PIXELS) return Math.exp(-deltaY * PINCH_SPEED)
  const notch = deltaMode === 0 ? NOTCH_PIXELS : deltaMode === 1 ? NOTCH_LINES : 1
  const notches = Math.max(-1, Math.min(1, deltaY / notch))
  return NOTCH_ZOOM ** -notches
}
