// The floors of the house, from the imports of its files: who imports whom, and a picture of it (docs/floors.svg).
//
// `npm run floors` draws the picture again; test/floors.test.ts compares it with what the imports say.

import { readdirSync, readFileSync } from 'node:fs'
import { join, normalize } from 'node:path'

/** A file of ours and the files that it imports, both as paths from the root of the repository. */
export interface Imports {
  readonly file: string
  readonly imported: readonly string[]
}

/** The imports of all TypeScript files below a folder. Kernels are imported by '#shaders/...'. */
export function importsBelow(folder: string): Imports[] {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  )
  return files.sort().map((name) => {
    const file = join(folder, name)
    const paths = readFileSync(file, 'utf8').matchAll(
      /\b(?:from|import)\s*\(?\s*'(\.[^']*|#shaders\/[^'?]*)/g,
    )
    const imported = [...paths].map(([, path]) =>
      path!.startsWith('#') ? path!.slice(1) : normalize(join(file, '..', path!)),
    )
    return { file, imported }
  })
}

/** The room that an imported file belongs to: for the picture a folder of src/, a folder beside it, or a door. */
function roomOf(path: string): string | undefined {
  if (/^src\/(index|engine)\.ts$/.test(path)) return DOORS
  const [top, room, ...rest] = path.split('/')
  if (top !== 'src') return top
  return rest.length > 0 ? room : undefined // files of src itself are the ground
}

const DOORS = 'index, engine'

/** The content of a room, in a few words, and the column in which it is drawn. */
const ROOMS: Readonly<Record<string, { readonly what: string; readonly column: number }>> = {
  cli: { what: 'the command', column: 0 },
  web: { what: 'the studio', column: 2 },
  [DOORS]: { what: 'what can be imported', column: 1 },
  selftest: { what: 'kernels against float64', column: 2 },
  model: { what: 'look, read, segment', column: 1 },
  tuning: { what: 'measures variants', column: 2 },
  ops: { what: 'check, choose, record', column: 1 },
  kernels: { what: 'variants, packed weights', column: 1 },
  tensor: { what: 'shapes, plans, values', column: 1 },
  gpu: { what: 'device, memory, runs', column: 1 },
  datasets: { what: "data of one's own", column: 0 },
  scenes: { what: 'synthetic scenes', column: 0 },
  io: { what: 'files, images, downloads', column: 3 },
  masks: { what: 'masks and their formats', column: 3 },
  async: { what: 'queues', column: 0 },
  shaders: { what: 'kernels in WGSL', column: 2 },
}

/** The rooms that each room imports. */
function edgesOf(all: readonly Imports[]): Map<string, Set<string>> {
  const edges = new Map<string, Set<string>>()
  for (const { file, imported } of all) {
    const from = roomOf(file)
    if (from === undefined) continue
    if (!edges.has(from)) edges.set(from, new Set())
    for (const path of imported) {
      const to = roomOf(path)
      if (to !== undefined && to !== from && (to in ROOMS || path.startsWith('src/')))
        edges.get(from)!.add(to)
    }
  }
  for (const to of [...edges.values()].flatMap((set) => [...set]))
    if (!edges.has(to)) edges.set(to, new Set())
  return edges
}

/** Rooms that a room reaches, itself left out. */
function reach(edges: ReadonlyMap<string, ReadonlySet<string>>, from: string): Set<string> {
  const seen = new Set<string>()
  const visit = (room: string): void => {
    for (const next of edges.get(room) ?? []) {
      if (seen.has(next)) continue
      seen.add(next)
      visit(next)
    }
  }
  visit(from)
  return seen
}

/** Circles: rooms, or folders, that reach themselves. */
export function circlesIn(edges: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  return [...edges.keys()].filter((room) => reach(edges, room).has(room))
}

/** The folders right below a folder that import each other: for each, those beside it that its files import. */
export function siblingsIn(all: readonly Imports[], folder: string): Map<string, Set<string>> {
  const childOf = (path: string): string | undefined => {
    if (!path.startsWith(`${folder}/`)) return undefined
    const [child, ...rest] = path.slice(folder.length + 1).split('/')
    return rest.length > 0 ? child : undefined
  }
  const edges = new Map<string, Set<string>>()
  for (const { file, imported } of all) {
    const from = childOf(file)
    if (from === undefined) continue
    if (!edges.has(from)) edges.set(from, new Set())
    for (const path of imported) {
      const to = childOf(path)
      if (to !== undefined && to !== from) edges.get(from)!.add(to)
    }
  }
  return edges
}

/** A room stands above all that it imports; one that imports nothing stands right below the lowest that imports it. */
function floorsOf(edges: ReadonlyMap<string, ReadonlySet<string>>): Map<string, number> {
  const height = (room: string): number =>
    1 + Math.max(-1, ...[...(edges.get(room) ?? [])].map((below) => height(below)))
  const floors = new Map([...edges.keys()].map((room) => [room, height(room)]))
  for (const [room, below] of edges) {
    if (below.size > 0) continue
    const above = [...edges].filter(([, set]) => set.has(room)).map(([importer]) => floors.get(importer)!)
    if (above.length > 0) floors.set(room, Math.min(...above) - 1)
  }
  return floors
}

const [BOX_WIDTH, BOX_HEIGHT, GAP_X, GAP_Y, MARGIN] = [172, 46, 28, 34, 16]
const [COLUMNS, GROUND_HEIGHT] = [4, 46]

/**
 * The picture: a box per room, an arrow from a room to each that it imports. Arrows that follow from others are
 * left out.
 *
 * @throws Error if a room has no description
 */
export function drawFloors(): string {
  const edges = edgesOf([...importsBelow('src'), ...importsBelow('web')])
  const floors = floorsOf(edges)
  const top = Math.max(...floors.values())
  const placeOf = (room: string): readonly [x: number, y: number] => {
    const known = ROOMS[room]
    if (!known)
      throw new Error(
        `tools/floors.ts says nothing about ${room}: add it to ROOMS, and to docs/architecture.md.`,
      )
    const x = MARGIN + known.column * (BOX_WIDTH + GAP_X)
    return [x, MARGIN + (top - floors.get(room)!) * (BOX_HEIGHT + GAP_Y)]
  }
  const width = 2 * MARGIN + COLUMNS * BOX_WIDTH + (COLUMNS - 1) * GAP_X
  const groundY = MARGIN + (top + 1) * (BOX_HEIGHT + GAP_Y)
  const height = groundY + GROUND_HEIGHT + MARGIN

  const rooms = [...edges.keys()].sort()
  const places = new Set(rooms.map((room) => placeOf(room).join()))
  if (places.size < rooms.length)
    throw new Error('tools/floors.ts draws two rooms in one place: move one in ROOMS.')
  const arrows = rooms.flatMap((room) => {
    const below = [...edges.get(room)!].sort()
    const direct = below.filter((to) => !below.some((other) => other !== to && reach(edges, other).has(to)))
    return direct.map((to) => arrow(placeOf(room), placeOf(to)))
  })
  const boxes = rooms.map((room) => box(...placeOf(room), BOX_WIDTH, BOX_HEIGHT, room, ROOMS[room]!.what))
  const ground = 'the ground, which every room may import: errors, options, printable text'
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    '<title>The floors of the house: a room imports only what its arrows lead down to</title>',
    '<style>text { font: 12px "DejaVu Sans", Verdana, sans-serif; fill: #445; text-anchor: middle }',
    '.name { font-size: 14px; font-weight: bold; fill: #123 }</style>',
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">' +
      '<path d="M0 0L8 4L0 8z" fill="#789"/></marker></defs>',
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    ...arrows,
    ...boxes,
    box(MARGIN, groundY, width - 2 * MARGIN, GROUND_HEIGHT, 'src/*.ts', ground, '#f3f1ea'),
    '</svg>',
  ].join('\n')}\n`
}

function box(
  x: number,
  y: number,
  width: number,
  height: number,
  name: string,
  what: string,
  fill = '#eef4fa',
) {
  const middle = x + width / 2
  return (
    `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="6" fill="${fill}" stroke="#9ab"/>` +
    `<text class="name" x="${middle}" y="${y + 19}">${name}</text><text x="${middle}" y="${y + 36}">${what}</text>`
  )
}

/** From the lower edge of a box to the upper edge of another, further below. */
function arrow([x1, y1]: readonly [number, number], [x2, y2]: readonly [number, number]): string {
  // Arrows to the sides leave beside the middle, so that those straight down stay alone there
  const shift = Math.sign(x2 - x1) * (BOX_WIDTH / 4)
  const [ax, ay, bx, by] = [x1 + BOX_WIDTH / 2 + shift, y1 + BOX_HEIGHT, x2 + BOX_WIDTH / 2 - shift, y2]
  const bend = (by - ay) / 2
  return `<path d="M${ax} ${ay}C${ax} ${ay + bend} ${bx} ${by - bend} ${bx} ${by}" fill="none" stroke="#789" stroke-width="1.5" marker-end="url(#tip)"/>`
}
