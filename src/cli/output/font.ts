// A pixel font for labels on pictures: printable ASCII, 5 x 7 in a cell of 6 x 9. A glyph is five columns of
// a byte each, the lowest bit on top.

import { entryOf } from '../../check.ts'
import type { Image } from '../../io/image/image.ts'
import type { Rgb } from '../../masks/picture.ts'

const GLYPHS =
  '0000000000 00005f0000 0007000700 147f147f14 242a7f2a12 2313086462 3649562050 0000070300 001c224100 ' +
  '0041221c00 2a1c7f1c2a 08083e0808 0080703000 0808080808 0000606000 2010080402 3e5149453e 00427f4000 ' +
  '7249494946 2141494d33 1814127f10 2745454539 3c4a494931 4121110907 3649494936 464949291e 0000140000 ' +
  '0040340000 0008142241 1414141414 0041221408 0201590906 3e415d594e 7c1211127c 7f49494936 3e41414122 ' +
  '7f4141413e 7f49494941 7f09090901 3e41415173 7f0808087f 00417f4100 2040413f01 7f08142241 7f40404040 ' +
  '7f021c027f 7f0408107f 3e4141413e 7f09090906 3e4151215e 7f09192946 2649494932 03017f0103 3f4040403f ' +
  '1f2040201f 3f4038403f 6314081463 0304780403 6159494d43 007f414141 0204081020 004141417f 0402010204 ' +
  '4040404040 0003070800 2054547840 7f28444438 3844444428 384444287f 3854545418 00087e0902 18a4a49c78 ' +
  '7f08040478 00447d4000 2040403d00 7f10284400 00417f4000 7c04780478 7c08040478 3844444438 fc18242418 ' +
  '18242418fc 7c08040408 4854545424 04043f4424 3c4040207c 1c2040201c 3c4030403c 4428102844 4c9090907c ' +
  '4464544c44 0008364100 0000770000 0041360800 0201020402'

const COLUMNS = GLYPHS.split(' ').map((glyph) => Buffer.from(glyph, 'hex'))

const CELL = 6

/** Pixels from the top of a line to the top of the next. */
export const LINE = 12

/** Pixels from the left of a text's first glyph to the right of its last. */
export function textWidth(text: string): number {
  return Math.max(0, plain(text).length * CELL - 1)
}

/** Writes a line with its top left corner at (x, y), in place; what does not fit in `room` pixels is cut. */
export function write(
  picture: Image,
  x: number,
  y: number,
  text: string,
  colour: Rgb,
  room: number = picture.width - x,
): void {
  const all = plain(text)
  const most = Math.floor((room + 1) / CELL)
  const shown = all.length > most ? `${all.slice(0, Math.max(0, most - 2))}..` : all
  for (let i = 0; i < shown.length; i++) {
    const glyph = entryOf(COLUMNS, shown.charCodeAt(i) - 32)
    glyph.forEach((column, dx) => {
      for (let dy = 0; dy < 8; dy++) {
        const [u, v] = [x + i * CELL + dx, y + dy]
        const isInside = u < picture.width && v < picture.height
        if ((column >> dy) & 1 && isInside) picture.rgb.set(colour, 3 * (v * picture.width + u))
      }
    })
  }
}

/** ASCII: accents are dropped, what has no glyph becomes a question mark. */
function plain(text: string): string {
  return text
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .replace(/[^ -~]/gu, '?')
}
