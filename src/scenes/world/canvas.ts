// The canvas that scenes are drawn on.

/** Scenes are SIZE x SIZE pixels. */
export const SIZE = 256

/** The background behind the objects, as SVG elements, and the strength of the noise over the whole scene. */
export interface Backdrop {
  /** SVG elements, the lowest first, that cover the whole canvas. */
  readonly background: string
  /** The most that noise adds to or takes from each channel of each pixel. */
  readonly grain?: number | undefined
}

/** A rectangle over the whole canvas; `fill` is a colour or url(#...). */
export function covering(fill: string): string {
  return `<rect width="${SIZE}" height="${SIZE}" fill="${fill}"/>`
}
