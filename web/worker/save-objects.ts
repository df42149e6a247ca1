// Files to save of an answer with several objects: their masks as one PNG with a number per object, the image with a
// colour per object, the cut-out of all of them, and the numbers.

import { boxOf, encodeIndexedPng, outline, slug, tint } from '../../src/index.ts'
import { RequestError } from '../common/failures.ts'
import type { Requests } from '../common/protocol.ts'
import { type Picture, rgbOf } from '../pixels/decode.ts'
import { Objects } from '../pixels/objects-of.ts'
import { rgbaOf } from '../pixels/pixels.ts'
import { stem } from './names.ts'
import { pngOf } from './save.ts'

/** What a file is of. */
interface Saved {
  readonly picture: Picture
  readonly objects: Objects
  /** What was asked, in words. */
  readonly title: string
  /** More fields of the numbers. */
  readonly caveats: object
}

/** A file of one kind. */
export async function savedObjects(
  { kind, opacity }: Requests['save']['ask'],
  { picture, objects, title, caveats }: Saved,
): Promise<{ blob: Blob; name: string }> {
  const base = `${stem(picture.name)}-${slug(title)}`
  const { width, height } = picture
  const found = [...objects.list.entries()].filter(([, object]) => object.found)
  switch (kind) {
    case 'mask': {
      if (found.length === 0)
        throw new RequestError('ERR_EARLY', 'Nothing was found: there is no mask to save.')
      const png = encodeIndexedPng(found.map(([, { mask }]) => mask))
      return { blob: new Blob([new Uint8Array(png)], { type: 'image/png' }), name: `${base}-mask.png` }
    }
    case 'overlay': {
      const over = { width, height, rgb: (await rgbOf(picture)).slice() }
      for (const [k, { mask }] of found) tint(over, mask, Objects.colour(k), opacity)
      for (const [k, { mask }] of found) outline(over, mask, Objects.colour(k))
      return { blob: await pngOf(rgbaOf(over.rgb), width, height), name: `${base}-overlay.png` }
    }
    case 'cutout': {
      const rgba = rgbaOf(await rgbOf(picture))
      for (const [i, bit] of objects.union().data.entries()) if (!bit) rgba[4 * i + 3] = 0
      return { blob: await pngOf(rgba, width, height), name: `${base}-cutout.png` }
    }
    default: {
      const account = {
        image: picture.name,
        width,
        height,
        asked: title,
        found: found.length > 0,
        ...caveats,
        objects: objects.list.map(({ name, score, found, mask }) => ({
          name,
          score,
          found,
          area: mask.area,
          box: boxOf(mask),
        })),
      }
      const text = `${JSON.stringify(account, null, 2)}\n`
      return { blob: new Blob([text], { type: 'application/json' }), name: `${base}.json` }
    }
  }
}
