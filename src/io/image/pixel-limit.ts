// The most pixels that anything allocates because a file says so.

const MEGA = 1e6

/** The most pixels of an image or a mask, unless options say otherwise. */
export const MAX_PIXELS: number = 64 * MEGA // a JPEG of this size takes up to 1 GB to decode

/** A count of pixels for messages: '64 megapixels'. */
export function megapixels(pixels: number): string {
  return `${Number((pixels / MEGA).toFixed(pixels < MEGA ? 6 : 1))} megapixels`
}
