// Pictures of the decoder's work: one per layer, all of them on one sheet, and the numbers.
//
// In every picture the mask of the query that leads in that layer is filled, and the mask of the query that
// wins in the end is outlined. Where they differ, the model changed its mind later.

import { entryOf } from '../../check.ts'
import { encodePng, type Image } from '../../io/image/image.ts'
import { copy, fit, outline, overlay, type Rgb, scale, tint } from '../../masks/picture.ts'
import type { Config } from '../../model/checkpoint/config.ts'
import type { FlowLayer, Mask, Segmentation } from '../../model/flowseg.ts'
import { quoted } from '../../printable.ts'
import { viewOf } from '../../view.ts'
import { LINE, textWidth, write } from './font.ts'
import { maskFromLogits } from './resample.ts'

/** A file to be. */
export interface FlowFile {
  /** Without its folder. */
  readonly name: string
  /** A PNG, or the text of a JSON file. */
  readonly contents: Uint8Array | string
}

/** The file that has all pictures on one sheet. */
export const SHEET = 'flow.png'
const ACCOUNT = 'flow.json'

const LEADER: Rgb = [255, 176, 0]
const WINNER: Rgb = [255, 0, 110]
const PAPER: Rgb = [24, 26, 33]
const INK: Rgb = [236, 238, 242]
const FAINT: Rgb = [140, 146, 158]
const TROUGH: Rgb = [52, 56, 68]

const PICTURE = 512
const TILE = 256
const GAP = 16
const TILES_A_ROW = 5
const BAR = 84

/** Names of the files that `flowFiles` makes, known before the model is loaded. */
export function flowNames({ head }: Config): string[] {
  return [SHEET, ACCOUNT, ...Array.from({ length: head.decoderLayers + 1 }, (_, layer) => layerName(layer))]
}

/** The files of `--flow`, named as in a folder. */
export function flowFiles(image: Image, result: Segmentation, config: Config): FlowFile[] {
  const layers = result.flow ?? []
  const canvas = config.sam.image
  const large = fitted(image, PICTURE)
  const pictures = layers.map((layer): FlowFile => {
    const name = layerName(layer.layer)
    return { name, contents: encodePng(layerPicture(large, layer, result, canvas)) }
  })
  return [
    { name: SHEET, contents: encodePng(sheet(image, result, canvas)) },
    { name: ACCOUNT, contents: `${JSON.stringify(account(result), null, 2)}\n` },
    ...pictures,
  ]
}

function layerName(layer: number): string {
  return `layer-${String(layer).padStart(2, '0')}.png`
}

/** Scores, gate and movement of every layer. */
function account({ sentence, text, query, score, flow = [] }: Segmentation): object {
  return {
    sentence,
    prompt: text,
    query,
    score,
    layers: flow.map(({ layer, ranking, gate, moved }) => ({
      layer,
      leader: ranking[0],
      winner: ranking.find((match) => match.query === query),
      gate: gate ?? null,
      moved,
      scores: ranking,
    })),
  }
}

function layerPicture(image: Image, layer: FlowLayer, result: Segmentation, canvas: number): Image {
  const { height, width } = result.logits
  const maskOf = (query: number): Mask => {
    const logits = layer.masks.subarray(query * height * width, (query + 1) * height * width)
    return maskFromLogits(logits, [height, width], canvas, result.canvas, [image.height, image.width])
  }
  const leader = maskOf(entryOf(layer.ranking, 0).query)
  const picture = faded(image, leader)
  tint(picture, leader, LEADER, 0.4)
  outline(picture, maskOf(result.query), WINNER)
  return picture
}

/** Pale and grey but for what the mask holds. */
function faded(image: Image, { data }: Mask): Image {
  const picture = copy(image)
  const pixels = viewOf(image.rgb)
  for (let i = 0; i < data.length; i++) {
    if (data[i]) continue
    const [r, g, b] = [pixels.getUint8(3 * i), pixels.getUint8(3 * i + 1), pixels.getUint8(3 * i + 2)]
    const grey = 0.3 * r + 0.6 * g + 0.1 * b
    const pale = (level: number): number => Math.round(70 + 0.5 * (0.35 * level + 0.65 * grey))
    picture.rgb.set([pale(r), pale(g), pale(b)], 3 * i)
  }
  return picture
}

function answerPicture(image: Image, { logits, canvas: crop }: Segmentation, canvas: number): Image {
  const { height, width, refined } = logits
  const mask = maskFromLogits(refined, [height, width], canvas, crop, [image.height, image.width])
  return overlay(image, mask, WINNER)
}

/** All layers and the answer, left to right, with what changed written under each. */
function sheet(image: Image, result: Segmentation, canvas: number): Image {
  const layers = result.flow ?? []
  const small = fitted(image, TILE)
  const across = Math.min(TILES_A_ROW, layers.length + 1)
  const down = Math.ceil((layers.length + 1) / across)
  const [stepX, stepY] = [TILE + GAP, small.height + 4 * LINE + 2 * GAP]
  const top = 2 * GAP + LINE
  const paper = blank(GAP + across * stepX, top + down * stepY + LINE)

  // 1. What was asked
  write(paper, GAP, GAP, quoted(result.sentence), INK, paper.width - 2 * GAP)

  // 2. The layers
  const most = Math.max(1e-9, ...layers.map(({ moved }) => moved))
  const place = (i: number): [number, number] => [
    GAP + (i % across) * stepX,
    top + Math.floor(i / across) * stepY,
  ]
  layers.forEach((layer, i) => {
    const [x, y] = place(i)
    paste(paper, layerPicture(small, layer, result, canvas), x, y)
    const { query, score } = entryOf(layer.ranking, 0)
    const below = y + small.height + 6
    write(paper, x, below, layer.layer === 0 ? 'before the first layer' : `layer ${layer.layer}`, INK)
    writeRight(paper, x + small.width, below, `query ${query}${query === result.query ? ' *' : ''}`, LEADER)
    meter(paper, x, below + LINE, 'score', score, score)
    if (layer.gate !== undefined) meter(paper, x, below + 2 * LINE, 'gate: vision', layer.gate, layer.gate)
    if (i > 0) meter(paper, x, below + 3 * LINE, 'C moved', layer.moved / most, layer.moved)
  })

  // 3. The answer
  const [x, y] = place(layers.length)
  paste(paper, answerPicture(small, result, canvas), x, y)
  const below = y + small.height + 6
  write(paper, x, below, 'the answer, its edge refined', INK)
  writeRight(paper, x + small.width, below, `query ${result.query} *`, WINNER)
  meter(paper, x, below + LINE, 'score', result.score, result.score)

  // 4. What the colours mean
  const legend = paper.height - LINE - 4
  fill(paper, GAP, legend, 8, 8, LEADER)
  write(paper, GAP + 14, legend, 'mask of the query that leads in this layer', FAINT)
  const second = GAP + 14 + textWidth('mask of the query that leads in this layer') + 2 * GAP
  if (second + 240 < paper.width) {
    fill(paper, second, legend, 8, 8, WINNER)
    write(paper, second + 14, legend, 'outline of the query that wins (*)', FAINT)
  }
  return paper
}

function meter(paper: Image, x: number, y: number, label: string, share: number, value: number): void {
  write(paper, x, y, label, FAINT)
  const start = x + 80
  fill(paper, start, y + 1, BAR, 5, TROUGH)
  fill(paper, start, y + 1, Math.round(BAR * Math.min(1, Math.max(0, share))), 5, INK)
  write(paper, start + BAR + 6, y, value.toFixed(3), INK)
}

function writeRight(paper: Image, right: number, y: number, text: string, colour: Rgb): void {
  write(paper, right - textWidth(text), y, text, colour)
}

function blank(width: number, height: number): Image {
  const paper = { width, height, rgb: new Uint8Array(width * height * 3) }
  fill(paper, 0, 0, width, height, PAPER)
  return paper
}

function fill(picture: Image, x: number, y: number, width: number, height: number, colour: Rgb): void {
  for (let v = y; v < y + height; v++) {
    for (let u = x; u < x + width; u++) picture.rgb.set(colour, 3 * (v * picture.width + u))
  }
}

function paste(paper: Image, { width, height, rgb }: Image, x: number, y: number): void {
  for (let v = 0; v < height; v++) {
    const row = rgb.subarray(3 * v * width, 3 * (v + 1) * width)
    paper.rgb.set(row, 3 * ((y + v) * paper.width + x))
  }
}

/** The image with its longer side at `side` pixels. */
function fitted(image: Image, side: number): Image {
  const { width, height } = fit(image, [side, side], true)
  return scale(image, width, height)
}
