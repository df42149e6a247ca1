// The one colour of the studio. It means "what was found", in the page as on the image.

import type { Rgb } from '../src/index.ts'

export const FOUND: Rgb = [222, 0, 104]
