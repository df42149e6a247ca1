// The one colour of the studio. It means "what was found", in the page as on the image.

import type { Rgb } from '../../src/index.ts'

/** Red, green and blue, from 0 to 255. */
export const FOUND: Rgb = [222, 0, 104]
