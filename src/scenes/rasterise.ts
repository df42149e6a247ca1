// Rasterises a scene: the picture, and the object that every pixel belongs to (Node, through resvg).
//
// The id map is exact: every object's own alpha, at the same subpixel position, cut at one half and
// painted in order. All objects are rasterised in one go, each in a cell of its own of an atlas.

import { Resvg } from '@resvg/resvg-js'
import { KeyedRandom } from './random.ts'
import {
  objectElement,
  SIZE,
  SPLIT_SEEDS,
  type SyntheticScene,
  sceneSvg,
  svgDocument,
  type VisiblePart,
  visibleParts,
} from './scene.ts'

const CELL = 112 // the largest object, turned, is 38 * 1.4 pixels from centre to corner

/** A scene as pixels: its colours, and which object each pixel shows. */
export interface ScenePixels {
  /** [SIZE, SIZE, 3], row by row. */
  readonly rgb: Uint8Array
  /** [SIZE, SIZE]: 0 is background, i + 1 is object i. */
  readonly ids: Uint8Array
  /** The visible part of every object, from the id map. */
  readonly visible: readonly VisiblePart[]
  /** Pixels of every object if nothing covered it. */
  readonly whole: readonly number[]
}

/** Paints a scene, and each object by itself for the id map. */
export function rasteriseScene(scene: SyntheticScene): ScenePixels {
  const rgba = rasterise(sceneSvg(scene))
  const rgb = new Uint8Array(SIZE * SIZE * 3)
  for (let i = 0, j = 0; i < rgba.length; i += 4) {
    rgb[j++] = rgba[i] as number
    rgb[j++] = rgba[i + 1] as number
    rgb[j++] = rgba[i + 2] as number
  }
  addGrain(rgb, scene)
  const { ids, whole } = idMap(scene)
  return { rgb, ids, whole, visible: visibleParts(ids, scene.objects.length) }
}

/** Noise over all of the picture, of whole steps and as likely up as down, the same for the three channels. */
function addGrain(rgb: Uint8Array, { grain = 0, split, index }: SyntheticScene): void {
  if (grain === 0) return
  const random = new KeyedRandom(SPLIT_SEEDS[split], index, 65537)
  const clamped = new Uint8ClampedArray(rgb.buffer)
  for (let i = 0; i < clamped.length; i += 3) {
    const step = random.int(-grain, grain)
    for (let c = i; c < i + 3; c++) clamped[c] = (clamped[c] as number) + step
  }
}

function idMap(scene: SyntheticScene): { ids: Uint8Array; whole: number[] } {
  if (scene.objects.length === 0) return { ids: new Uint8Array(SIZE * SIZE), whole: [] }

  // 1. Move every object by whole pixels to the middle of its cell
  const moves = scene.objects.map(({ centre: [x, y] }, i): [number, number] => [
    i * CELL + CELL / 2 - Math.round(x),
    CELL / 2 - Math.round(y),
  ])
  const moved = scene.objects.map((object, i) => {
    const [dx, dy] = moves[i] as [number, number]
    return objectElement({ ...object, centre: [object.centre[0] + dx, object.centre[1] + dy] }, `p${i}`)
  })
  const width = CELL * scene.objects.length
  const atlas = rasterise(svgDocument(width, CELL, moved.join('')))

  // 2. Paint the cells back where they came from
  const ids = new Uint8Array(SIZE * SIZE)
  const whole = moves.map(([dx, dy], i) => {
    let area = 0
    for (let row = 0; row < CELL; row++) {
      for (let column = i * CELL; column < (i + 1) * CELL; column++) {
        if ((atlas[4 * (row * width + column) + 3] as number) < 128) continue
        const [x, y] = [column - dx, row - dy]
        if (x < 0 || y < 0 || x >= SIZE || y >= SIZE) continue
        ids[y * SIZE + x] = i + 1
        area++
      }
    }
    return area
  })
  return { ids, whole }
}

/** RGBA bytes of an SVG, at its own size. */
function rasterise(svg: string): Uint8Array {
  return new Resvg(svg, { font: { loadSystemFonts: false } }).render().pixels
}
