// A synthetic scene: a few shapes and sprites on a quiet background, as facts and as an SVG.
//
// `makeScene(split, index)` is a pure function: same scene in every runtime, no image is rasterised.
// The objects' silhouettes decide whether enough of each object can be seen; the exact masks
// come from rasterise.ts. Scenes are built to confuse: many objects share a category, a colour or a
// group with another one, so that a sentence needs all of its words.

import {
  COLOUR_NAMES,
  COLOURS,
  type Colour,
  GROUP_OF,
  type Group,
  isHeldOutPair,
  isHeldOutShape,
  PATTERNS,
  type Pattern,
  SHAPES,
  type ShapeName,
  SPRITE_NAMES,
} from './catalogue.ts'
import { type IconStyle, icon, spriteCovers } from './icons.ts'
import { KeyedRandom } from './random.ts'
import { fixed, shapeCovers, shapeElement } from './shapes.ts'
import { richBackground } from './world/backdrop.ts'
import { SIZE } from './world/canvas.ts'
import {
  fromHex,
  fromHsl,
  jitter,
  mixHex,
  perceivedDistance,
  type RgbBytes,
  shift,
  toHex,
} from './world/colour.ts'
import { anyForeign, type ForeignKind } from './world/foreign.ts'

export { SIZE }

/**
 * The parts of the data, which share no scene. Those of the second generation have richer pictures, some of which show
 * none of the world's objects; style2 is test2 with icons that no other split shows.
 */
export const SPLITS = ['train', 'val', 'test', 'train2', 'val2', 'test2', 'style2'] as const
/** One of SPLITS. */
export type Split = (typeof SPLITS)[number]
/** The size of an object beside others. */
export type SizeName = 'small' | 'medium' | 'large'

/** The first key of the random numbers of each split. */
export const SPLIT_SEEDS: Record<Split, number> = {
  train: 101,
  val: 202,
  test: 303,
  train2: 404,
  val2: 505,
  test2: 606,
  style2: 707,
}

/** True if a split is of the second generation. */
export const isSecond = (split: Split): boolean => split.endsWith('2')
/** True if a split may show combinations that training never shows. */
export const isForTests = (split: Split): boolean => ['test', 'test2', 'style2'].includes(split)
/** The chance of each try at a picture of the second generation to be of another world: one picture in eleven is. */
const FOREIGN_CHANCE = 0.07

/** Objects of one category in a scene. */
const MOST_ALIKE = 3

const RADII: Record<SizeName, readonly [number, number]> = {
  small: [14, 19],
  medium: [20, 26],
  large: [28, 38],
}

/** An object in a scene, in pixels of the picture. */
export interface SceneObject {
  /** A shape is painted in a colour, a sprite is an icon as it is. */
  readonly kind: 'shape' | 'sprite'
  /** The word for what it is: 'circle', 'cat'. */
  readonly category: string
  /** The wider word: 'shape', 'animal'. */
  readonly group: Group
  /** Shapes only; sprites come as they are. */
  readonly colour: Colour | null
  /** The paint's pattern; null for sprites. */
  readonly pattern: Pattern | null
  /** The range that its radius was drawn from. */
  readonly size: SizeName
  /** Pixels, y down. */
  readonly centre: readonly [number, number]
  /** Half of the longer side, before rotation. */
  readonly radius: number
  /** Degrees, clockwise. */
  readonly rotation: number
  /** The paint: the colour with a little jitter, as #rrggbb. */
  readonly paint: string | null
  /** The icons that a sprite is drawn with: the world's own, if undefined. */
  readonly style?: IconStyle | undefined
  /** Around the visible part, [x0, y0, x1, y1), and its pixels; from the silhouette. */
  readonly box: readonly [number, number, number, number]
  /** Pixels that no other object covers, by the silhouette. */
  readonly area: number
}

/** A picture of objects on a background, before it is painted. */
export interface SyntheticScene {
  /** The split that it is of, which decides what combinations it may show. */
  readonly split: Split
  /** Its number in the split, from 0. */
  readonly index: number
  /** In painting order: later ones cover earlier ones. */
  readonly objects: readonly SceneObject[]
  /** SVG elements that fill the picture. */
  readonly background: string
  /** The kind of picture, of one that shows nothing of the world and has no objects. */
  readonly foreign?: ForeignKind | undefined
  /** The most that noise adds to or takes from each channel of each pixel. */
  readonly grain?: number | undefined
}

type Look = Pick<SceneObject, 'kind' | 'category' | 'group' | 'colour' | 'pattern' | 'size' | 'style'>
type Placed = Omit<SceneObject, 'box' | 'area'>

/** Scene number `index` of a split, always the same one. */
export function makeScene(split: Split, index: number): SyntheticScene {
  // A layout that hides too much of an object is thrown away whole; the second try nearly always holds
  for (let attempt = 0; ; attempt++) {
    const random = new KeyedRandom(SPLIT_SEEDS[split], index, attempt)
    const foreign =
      isSecond(split) && random.chance(FOREIGN_CHANCE) ? anyForeign(random, isForTests(split)) : null
    if (foreign) return { split, index, objects: [], ...foreign }
    const looks = chooseLooks(random, split)
    const placed = place(random, looks, isSecond(split) ? 0.4 : 0.25)
    const objects = placed && measureVisible(placed)
    if (!objects) continue
    if (!isSecond(split)) return { split, index, objects, background: chooseBackground(random, objects) }
    return { split, index, objects, ...richBackground(random, objects, quietColour(random, objects)) }
  }
}

/** The whole scene as an SVG document. */
export function sceneSvg(scene: SyntheticScene): string {
  return svgDocument(
    SIZE,
    SIZE,
    scene.background + scene.objects.map((o, i) => objectElement(o, `p${i}`)).join(''),
  )
}

/** A complete SVG document of this size around its content. */
export function svgDocument(width: number, height: number, content: string): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">${content}</svg>`
}

/** One object as SVG; `id` names its pattern and must be unique in the document. */
export function objectElement(object: Placed, id: string): string {
  const [x, y] = object.centre
  const place = `translate(${fixed(x)} ${fixed(y)}) rotate(${fixed(object.rotation)})`
  if (object.kind === 'sprite') {
    const { body, centre, half } = icon(object.category, object.style)
    const scale = `scale(${(object.radius / half).toFixed(4)}) translate(${-centre[0]} ${-centre[1]})`
    return `<g transform="${place} ${scale}">${body}</g>`
  }
  const shape = object.category as ShapeName
  const paint = object.paint as string
  const plain = shapeElement(shape, object.radius, `fill="${paint}"`)
  if (object.pattern === 'plain') return `<g transform="${place}">${plain}</g>`
  const over = shapeElement(shape, object.radius, `fill="url(#${id})"`)
  return `${patternElement(object, id)}<g transform="${place}">${plain}${over}</g>`
}

/** True if the object covers the point, by its silhouette. */
export function covers(object: Placed, x: number, y: number): boolean {
  const angle = (-object.rotation * Math.PI) / 180
  const dx = (x - object.centre[0]) / object.radius
  const dy = (y - object.centre[1]) / object.radius
  const u = dx * Math.cos(angle) - dy * Math.sin(angle)
  const v = dx * Math.sin(angle) + dy * Math.cos(angle)
  return object.kind === 'sprite'
    ? spriteCovers(object.category, u, v, object.style)
    : shapeCovers(object.category as ShapeName, u, v)
}

// ---- What is in it

function chooseLooks(random: KeyedRandom, split: Split): Look[] {
  const count = isSecond(split) ? Math.min(9, random.int(2, 11)) : random.int(4, 9)
  const style = split === 'style2' ? { style: 'noto' as const } : {}
  const looks: Look[] = []
  while (looks.length < count) {
    const sibling = looks.length > 0 && random.chance(0.55) ? random.pick(looks) : null
    const look = { ...(sibling ? relative(random, sibling) : anyLook(random)), ...style }
    if (looks.filter((o) => o.category === look.category).length === MOST_ALIKE) continue
    if (!isForTests(split) && isHeldOut(look, looks)) continue
    looks.push(look)
  }
  return random.shuffle(looks)
}

function isHeldOut(look: Look, others: readonly Look[]): boolean {
  if (look.colour !== null) return isHeldOutShape(look.colour, look.category)
  return others.some((o) => isHeldOutPair(o.category, look.category))
}

function anyLook(random: KeyedRandom): Look {
  return random.chance(0.5)
    ? shapeLook(random, random.pick(SHAPES), random.pick(COLOUR_NAMES))
    : spriteLook(random, random.pick(SPRITE_NAMES))
}

/** Shares something with `sibling`, so that one word is not enough to tell them apart. */
function relative(random: KeyedRandom, sibling: Look): Look {
  if (sibling.kind === 'shape') {
    return random.chance(0.6)
      ? shapeLook(random, sibling.category as ShapeName, random.pick(COLOUR_NAMES))
      : shapeLook(random, random.pick(SHAPES), sibling.colour as Colour)
  }
  if (random.chance(0.5)) return spriteLook(random, sibling.category)
  return spriteLook(random, random.pick(SPRITE_NAMES.filter((name) => GROUP_OF.get(name) === sibling.group)))
}

function shapeLook(random: KeyedRandom, category: ShapeName, colour: Colour): Look {
  const pattern = random.chance(0.55) ? 'plain' : random.pick(PATTERNS.slice(1))
  return { kind: 'shape', category, group: 'shape', colour, pattern, size: anySize(random) }
}

function spriteLook(random: KeyedRandom, category: string): Look {
  const group = GROUP_OF.get(category) as Group
  return { kind: 'sprite', category, group, colour: null, pattern: null, size: anySize(random) }
}

function anySize(random: KeyedRandom): SizeName {
  const u = random.next()
  return u < 0.38 ? 'small' : u < 0.58 ? 'medium' : 'large'
}

// ---- Where it is

/** Finds a place for every object, or null. Most keep apart, a share of `overlapping` overlaps another one. */
function place(random: KeyedRandom, looks: readonly Look[], overlapping: number): Placed[] | null {
  const placed: Placed[] = []
  for (const look of looks) {
    const radius = random.range(...RADII[look.size])
    // An object that overlaps its like would lose its outline
    const others = placed.filter(
      (o) => o.category !== look.category && (!look.colour || o.colour !== look.colour),
    )
    const neighbour = others.length > 0 && random.chance(overlapping) ? random.pick(others) : null
    const centre = findPlace(random, placed, neighbour, radius)
    if (!centre) return null
    const paint = look.colour && jitter(random, COLOURS[look.colour])
    placed.push({ ...look, centre, radius, rotation: anyRotation(random, look.category), paint })
  }
  return placed
}

/** A free centre that, given a neighbour, overlaps it; null when none turns up. */
function findPlace(
  random: KeyedRandom,
  placed: readonly Placed[],
  neighbour: Placed | null,
  radius: number,
): [number, number] | null {
  const edge = radius * 1.05 + 2
  for (let attempt = 0; attempt < 80; attempt++) {
    let [x, y] = [random.range(edge, SIZE - edge), random.range(edge, SIZE - edge)]
    if (neighbour) {
      const angle = random.range(0, 2 * Math.PI)
      const away = random.range(0.5, 0.95) * (neighbour.radius + radius)
      x = neighbour.centre[0] + away * Math.cos(angle)
      y = neighbour.centre[1] + away * Math.sin(angle)
    }
    const isInside = Math.min(x, y) >= edge && Math.max(x, y) <= SIZE - edge
    const isFree = placed.every(
      (o) => o === neighbour || Math.hypot(o.centre[0] - x, o.centre[1] - y) > 1.12 * (o.radius + radius),
    )
    if (isInside && isFree) return [x, y]
  }
  return null
}

function anyRotation(random: KeyedRandom, category: string): number {
  const most =
    category === 'star' || category === 'hexagon'
      ? 30
      : category === 'square' || category === 'diamond'
        ? 8
        : 13
  return category === 'circle' || category === 'ring' ? 0 : random.range(-most, most)
}

/** Adds boxes and areas; null when too little of an object is left to see. */
function measureVisible(placed: readonly Placed[]): SceneObject[] | null {
  const ids = new Uint8Array(SIZE * SIZE)
  const whole = placed.map((object, i) => {
    let area = 0
    const reach = object.radius * 1.4
    const [cx, cy] = object.centre
    for (let y = Math.max(0, Math.floor(cy - reach)); y < Math.min(SIZE, cy + reach); y++) {
      for (let x = Math.max(0, Math.floor(cx - reach)); x < Math.min(SIZE, cx + reach); x++) {
        if (!covers(object, x + 0.5, y + 0.5)) continue
        ids[y * SIZE + x] = i + 1
        area++
      }
    }
    return area
  })
  const visible = visibleParts(ids, placed.length)
  // A little stricter than the promise (45 %, 150 px), as silhouettes are coarser than the masks
  const isClear = visible.every((part, i) => part.area >= 170 && part.area >= 0.5 * (whole[i] as number))
  return isClear ? placed.map((object, i) => ({ ...object, ...(visible[i] as VisiblePart) })) : null
}

/** The part of an object that no other covers: its box [left, top, right, bottom), and its pixels. */
export interface VisiblePart {
  /** [left, top, right, bottom) in pixels; [SIZE, SIZE, 0, 0] if nothing is visible. */
  box: [number, number, number, number]
  /** Visible pixels. */
  area: number
}

/** Box and area of the ids 1 to `count` in an id map [SIZE, SIZE]. */
export function visibleParts(ids: Uint8Array, count: number): VisiblePart[] {
  const parts = Array.from({ length: count }, (): VisiblePart => ({ box: [SIZE, SIZE, 0, 0], area: 0 }))
  for (let y = 0; y < SIZE; y++) {
    for (let x = 0; x < SIZE; x++) {
      const id = ids[y * SIZE + x] as number
      if (id === 0) continue
      const part = parts[id - 1] as VisiblePart
      const box = part.box
      if (x < box[0]) box[0] = x
      if (y < box[1]) box[1] = y
      if (x >= box[2]) box[2] = x + 1
      if (y >= box[3]) box[3] = y + 1
      part.area++
    }
  }
  return parts
}

// ---- How it is painted

/** Stripes and dots are a light tint over the shape's own colour, in the shape's coordinates. */
function patternElement(object: Placed, id: string): string {
  const tint = mixHex(object.paint as string, '#ffffff', object.colour === 'yellow' ? 0.92 : 0.78)
  const step = Math.max(7, object.radius * 0.36)
  const isStriped = object.pattern === 'striped'
  const turn = isStriped ? 45 + object.rotation : 45
  // A stripe's tile is longer than the shape: resvg lets the ground shine through where tiles meet
  const height = isStriped ? 4 * object.radius : step
  const mark = isStriped
    ? `<rect x="${fixed(step * 0.3)}" y="${fixed(-height)}" width="${fixed(step * 0.4)}" height="${fixed(3 * height)}" fill="${tint}"/>`
    : `<circle cx="${fixed(step / 2)}" cy="${fixed(step / 2)}" r="${fixed(step * 0.29)}" fill="${tint}"/>`
  const tile = `y="${isStriped ? fixed(-height / 2) : 0}" width="${fixed(step)}" height="${fixed(height)}"`
  const transform = `patternTransform="rotate(${fixed(turn)})"`
  return `<pattern id="${id}" ${tile} patternUnits="userSpaceOnUse" ${transform}>${mark}</pattern>`
}

/** A colour that is clearly another than every object's. */
function quietColour(random: KeyedRandom, objects: readonly SceneObject[]): RgbBytes {
  const paints = objects.flatMap((o) => (o.paint ? [fromHex(o.paint)] : []))
  const inks = objects.flatMap((o) => (o.paint ? [] : icon(o.category, o.style).inks))
  let [best, bestScore]: [RgbBytes, number] = [[236, 236, 236], -1]
  for (let attempt = 0; attempt < 24 && bestScore < 1; attempt++) {
    const rgb = anyBackgroundColour(random)
    const score = Math.min(
      ...paints.map((paint) => perceivedDistance(rgb, paint) / 0.17),
      ...inks.map((ink) => perceivedDistance(rgb, ink) / 0.095),
    )
    if (score > bestScore) [best, bestScore] = [rgb, score]
  }
  return best
}

/** Plain, graded or noisy. */
function chooseBackground(random: KeyedRandom, objects: readonly SceneObject[]): string {
  const best = quietColour(random, objects)
  const base = toHex(best)
  const fill = `<rect width="${SIZE}" height="${SIZE}" fill="${base}"/>`
  const style = random.next()
  if (style < 0.35) return fill
  if (style < 0.65) {
    const other = toHex(shift(random, best, 16))
    const [x1, y1] = [random.next(), random.next()]
    return (
      `<linearGradient id="bg" x1="${fixed(x1)}" y1="${fixed(y1)}" x2="${fixed(1 - x1)}" y2="${fixed(1 - y1)}">` +
      `<stop offset="0" stop-color="${base}"/><stop offset="1" stop-color="${other}"/></linearGradient>` +
      `<rect width="${SIZE}" height="${SIZE}" fill="url(#bg)"/>`
    )
  }
  return fill + (random.chance(0.5) ? blobs(random, best) : lines(random, best))
}

function blobs(random: KeyedRandom, base: RgbBytes): string {
  const blob = () =>
    `<circle cx="${random.int(0, SIZE)}" cy="${random.int(0, SIZE)}" r="${random.int(3, 30)}" fill="${toHex(shift(random, base, 12))}"/>`
  return Array.from({ length: random.int(20, 50) }, blob).join('')
}

function lines(random: KeyedRandom, base: RgbBytes): string {
  const line = () => {
    const [x, y] = [random.int(0, SIZE), random.int(0, SIZE)]
    const [dx, dy] = [random.int(-90, 90), random.int(-90, 90)]
    return `<path d="M${x} ${y}l${dx} ${dy}" stroke="${toHex(shift(random, base, 14))}" stroke-width="${random.int(1, 6)}"/>`
  }
  return Array.from({ length: random.int(20, 50) }, line).join('')
}

/** Mostly pale, sometimes a darker grey. */
function anyBackgroundColour(random: KeyedRandom): RgbBytes {
  const hue = random.range(0, 360)
  return random.chance(0.8)
    ? fromHsl(hue, random.range(0.05, 0.4), random.range(0.74, 0.93))
    : fromHsl(hue, random.range(0, 0.15), random.range(0.42, 0.62))
}
