// Files to save of the mask on the canvas, the answer's or a layer's: the mask as the command writes it, the image with
// the mask over it, the cut-out, and the numbers.

import { boxOf, encodePng, type Mask, outline, type Segmentation, slug, tint } from '../../src/index.ts'
import type { SaveKind, Shown } from '../common/protocol.ts'
import { FOUND } from '../pixels/colours.ts'
import { contextOf } from '../pixels/context.ts'
import { type Picture, rgbOf } from '../pixels/decode.ts'
import { rgbaOf } from '../pixels/pixels.ts'
import { stem } from './names.ts'
import type { Chosen } from './session.ts'

/** What a file is of. */
interface Saved {
  readonly picture: Picture
  readonly result: Segmentation
  readonly chosen: Chosen
}

/**
 * A file of one kind.
 *
 * @param caveats more fields of the numbers
 * @param mask    the mask on the canvas
 */
export async function saved(
  { kind, opacity, shown }: { readonly kind: SaveKind; readonly opacity: number; readonly shown: Shown },
  answer: Saved,
  caveats: object,
  mask: Mask,
): Promise<{ blob: Blob; name: string }> {
  const { picture, result } = answer
  const base = [stem(picture.name), slug(result.sentence), ...partOf(shown)].join('-')
  const { width, height } = mask
  switch (kind) {
    case 'mask': {
      // By the engine's encoder: the same file as flowseg segment --mask writes
      const png = encodePng({ width, height, grey: mask.data.map((bit) => 255 * bit) })
      return { blob: new Blob([new Uint8Array(png)], { type: 'image/png' }), name: `${base}-mask.png` }
    }
    case 'overlay': {
      const over = { width, height, rgb: (await rgbOf(picture)).slice() }
      tint(over, mask, FOUND, opacity)
      outline(over, mask, FOUND)
      return { blob: await pngOf(rgbaOf(over.rgb), width, height), name: `${base}-overlay.png` }
    }
    case 'cutout': {
      const rgba = rgbaOf(await rgbOf(picture))
      for (let i = 0; i < mask.data.length; i++) if (!mask.data[i]) rgba[4 * i + 3] = 0
      return { blob: await pngOf(rgba, width, height), name: `${base}-cutout.png` }
    }
    default: {
      const text = `${JSON.stringify(account(answer, caveats, shown, mask), null, 2)}\n`
      return { blob: new Blob([text], { type: 'application/json' }), name: `${base}.json` }
    }
  }
}

/** A PNG by the browser's encoder, which is far faster on large images. */
export async function pngOf(
  rgba: Uint8ClampedArray<ArrayBuffer>,
  width: number,
  height: number,
): Promise<Blob> {
  const canvas = new OffscreenCanvas(width, height)
  contextOf(canvas).putImageData(new ImageData(rgba, width, height), 0, 0)
  return canvas.convertToBlob({ type: 'image/png' })
}

/** The mask's part of a file name; empty for the answer. */
function partOf(shown: Shown): string[] {
  if (shown.kind === 'layer') return [`layer-${shown.layer}`]
  return shown.kind === 'unrefined' ? ['unrefined'] : []
}

/** The object that the command prints with --json, and the flow. Area and box are those of the mask that is shown. */
function account(
  { picture: { name, width, height }, result, chosen: { query, score, rank } }: Saved,
  caveats: object,
  shown: Shown,
  mask: Mask,
): object {
  const { sentence, found, text, times, candidates, flow = [] } = result
  return {
    image: name,
    width,
    height,
    sentence,
    prompt: text,
    found,
    query,
    score,
    rank,
    ...(shown.kind === 'answer' ? {} : { shown }),
    area: mask.area,
    box: boxOf(mask),
    ...caveats,
    times,
    candidates: candidates.map((candidate) => ({ query: candidate.query, score: candidate.score })),
    flow: flow.map(({ layer, ranking, gate, moved }) => ({
      layer,
      gate: gate ?? null,
      moved,
      leader: ranking[0],
      chosen: ranking.find((match) => match.query === query),
    })),
  }
}
