// A 2D context of a canvas off the page. Only a canvas that has another kind of context already has none to give.

/** @param settings a context that is often read back, or one without alpha */
export function contextOf(
  canvas: OffscreenCanvas,
  settings?: CanvasRenderingContext2DSettings,
): OffscreenCanvasRenderingContext2D {
  const context = canvas.getContext('2d', settings)
  if (!context) throw new Error('The browser gives no 2D canvas: reload the page, or close others.')
  return context
}
