// The canvas that scenes are drawn on.

/** Scenes are SIZE x SIZE pixels. */
export const SIZE = 256

/** What is drawn behind the objects, as SVG elements, and how much noise goes over all of it. */
export interface Backdrop {
  readonly background: string
  /** The most that noise adds to or takes from each channel of each pixel. */
  readonly grain?: number | undefined
}

/** A rectangle over the whole canvas; `fill` is a colour or url(#...). */
export function covering(fill: string): string {
  return `<rect width="${SIZE}" height="${SIZE}" fill="${fill}"/>`
}
