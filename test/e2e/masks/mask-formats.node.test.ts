// --mask writes the format of the file's extension or of --format, each of which is read back as the same mask; nothing
// is written, nor computed, for a name that doesn't fit.

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import {
  type Answered,
  extensionOf,
  FORMAT_NAMES,
  type MaskFormatName,
  maskFile,
  maskFormatOf,
} from '../../../src/cli/output/mask-formats.ts'
import { namesFor } from '../../../src/cli/output/outputs.ts'
import { decodeImage } from '../../../src/io/image/image.ts'
import { decodeCoco } from '../../../src/masks/coco.ts'
import { fromGeoJson } from '../../../src/masks/geojson.ts'
import { decodeIndexedPng } from '../../../src/masks/indexed-png.ts'
import { fromLabelStudio } from '../../../src/masks/label-studio.ts'
import { type Mask, maskOf } from '../../../src/masks/mask.ts'
import { type Polygon, rasterizePolygons } from '../../../src/masks/polygon.ts'
import { fromSvgPath } from '../../../src/masks/svg-path.ts'
import { fromYolo } from '../../../src/masks/yolo.ts'
import { anyGpu } from '../../support.ts'
import { filesIn, flowseg, ROOT, temporaryFolder } from '../cli-harness.ts'

const [width, height] = [9, 7]
const mask = maskOf(
  width,
  height,
  Uint8Array.from({ length: width * height }, (_, i) => {
    const [x, y] = [i % width, Math.floor(i / width)]
    return Number(x > 1 && y > 0 && x + y < 12 && !(x === 4 && y === 3))
  }),
)
const image = { width, height, rgb: new Uint8Array(3 * width * height).fill(90) }
const answer: Answered = {
  image,
  name: 'a&b.png',
  sentence: 'the "cat"',
  all: false,
  objects: [{ mask, score: 0.75 }],
}

const textOf = (contents: Uint8Array | string): string => {
  expect(typeof contents).toBe('string')
  return contents as string
}
const fill = (polygons: readonly Polygon[]): Mask => rasterizePolygons(polygons, width, height)
const parsed = (contents: Uint8Array | string): unknown => JSON.parse(textOf(contents))

const readers: Readonly<Record<MaskFormatName, (contents: Uint8Array | string) => Mask | Promise<Mask>>> = {
  png: async (contents) => {
    const { rgb } = await decodeImage(contents as Uint8Array)
    return maskOf(
      width,
      height,
      Uint8Array.from(mask.data, (_, i) => rgb[3 * i]! / 255),
    )
  },
  indexed: async (contents) => (await decodeIndexedPng(contents as Uint8Array)).mask(0),
  cutout: async (contents) => {
    const cut = await decodeImage(contents as Uint8Array)
    expect([cut.width, cut.height]).toEqual([7, 6])
    const data = new Uint8Array(width * height)
    for (const [i] of Array.from({ length: 42 }).entries()) {
      data[(Math.floor(i / 7) + 1) * width + 2 + (i % 7)] = cut.rgb[3 * i]! / 90
    }
    return maskOf(width, height, data)
  },
  rle: (contents) => {
    const known = parsed(contents) as { segmentation: unknown; area: number; bbox: number[]; score: number }
    expect(known).toMatchObject({ area: mask.area, bbox: [2, 1, 7, 6], score: 0.75 })
    return decodeCoco(known.segmentation, width, height)
  },
  polygons: (contents) => fill(parsed(contents) as Polygon[]),
  geojson: (contents) => {
    const feature = parsed(contents)
    expect(feature).toMatchObject({ properties: { sentence: 'the "cat"', score: 0.75, area: mask.area } })
    return fill(fromGeoJson(feature))
  },
  svg: (contents) => {
    const [, box, d] = /viewBox="([^"]*)".* d="([^"]*)"/.exec(textOf(contents))!
    expect(box).toBe('0 0 9 7')
    return fill(fromSvgPath(d!))
  },
  yolo: (contents) => fill(fromYolo(textOf(contents), mask).flatMap(({ polygons }) => polygons)),
  'label-studio': (contents) => {
    const [task] = parsed(contents) as [{ data: object; predictions: [{ score: number; result: unknown }] }]
    expect(task).toMatchObject({ data: { image: 'a&b.png' }, predictions: [{ score: 0.75 }] })
    return fromLabelStudio(task.predictions[0].result)[0]!.mask
  },
}

test.each(FORMAT_NAMES)(
  '--format %s is read back as the mask, and can be of an empty one',
  async (format) => {
    const again = await readers[format](maskFile(format, answer))
    expect(again).toEqual(mask)
    const empty = {
      ...answer,
      objects: [{ mask: maskOf(width, height, new Uint8Array(width * height)), score: 0.75 }],
    }
    const nothing = maskFile(format, empty)
    expect(nothing).not.toEqual(maskFile(format, answer))
    if (format === 'png' || format === 'indexed' || format === 'polygons' || format === 'svg') {
      expect((await readers[format](nothing)).area).toBe(0)
    }
  },
)

test('objects of a list have their names and classes, in every format that has a place for them', () => {
  const names = ['a <b> & "c"', 'sky\u0007']
  const list: Answered = {
    ...answer,
    sentence: undefined,
    all: true,
    objects: [
      { mask, score: 0.5, name: names[0], classIndex: 2 },
      { mask, name: names[1], classIndex: 0 },
    ],
  }
  const rle = parsed(maskFile('rle', list)) as Record<string, unknown>[]
  expect(rle).toMatchObject([
    { category_id: 3, name: names[0], score: 0.5 },
    { category_id: 1, name: names[1] },
  ])
  expect(rle.map((one) => 'score' in one)).toEqual([true, false])
  const { features } = parsed(maskFile('geojson', list)) as { features: { properties: object }[] }
  expect(features.map(({ properties }) => properties)).toEqual([
    { category_id: 3, name: names[0], score: 0.5, area: mask.area },
    { category_id: 1, name: names[1], area: mask.area },
  ])
  const labels = fromYolo(textOf(maskFile('yolo', list)), mask)
  expect(labels.map(({ classId }) => classId)).toEqual([2, 0])
  const svg = textOf(maskFile('svg', list))
  expect(svg).toContain('<title>a &lt;b&gt; &amp; "c"</title></path><path')
  expect(svg).toContain('<title>sky\uFFFD</title></path></svg>')

  const [task] = parsed(maskFile('label-studio', list)) as [
    { predictions: [{ score: number; result: { id: string }[] }] },
  ]
  const { score, result } = task.predictions[0]
  expect(score).toBe(0.5)
  expect(fromLabelStudio(result).map((one) => one.labels)).toEqual(names.map((name) => [name]))
  expect(result.map(({ id }) => id)).toEqual(['flowseg', 'flowseg-2'])
})

test('the format is that of the extension, unless it is said', () => {
  const by = (path: string | undefined, format?: MaskFormatName): string => maskFormatOf(format, path)
  expect(['m.png', 'm.PNG', 'masks/', undefined].map((path) => by(path))).toEqual([
    'png',
    'png',
    'png',
    'png',
  ])
  expect(['m.json', 'm.geojson', 'm.svg', 'm.txt'].map((path) => by(path))).toEqual([
    'rle',
    'geojson',
    'svg',
    'yolo',
  ])
  expect(by('m.json', 'label-studio')).toBe('label-studio')
  expect(() => by(undefined, 'rle')).toThrow('--format is of the file that --mask names: add --mask FILE.')
})

test('names end as their format does, and others are refused', async () => {
  const cwd = await temporaryFolder()
  const images = ['a.png', 'b.png'].map(
    (name) => ({ kind: 'file', typed: name, name, location: join(cwd, name) }) as const,
  )
  const names = (count: number, path: string, format: MaskFormatName): unknown =>
    namesFor(
      images.slice(0, count),
      ['x'],
      { overlay: undefined, mask: path, flow: undefined, maskExtension: extensionOf(format) },
      { cwd },
    ).map(([one]) => one!.mask!.path)
  expect(names(1, 'm.svg', 'svg')).toEqual(['m.svg'])
  expect(names(2, 'masks', 'geojson')).toEqual(['masks/a-x-mask.geojson', 'masks/b-x-mask.geojson'])
  expect(() => names(1, 'm.png', 'svg')).toThrow(
    'm.png: --mask writes a file of another format. Let it end in .svg',
  )
  expect(() => names(2, 'm.txt', 'yolo')).toThrow('--mask m.txt is one file, and there are 2 answers')
  expect(() => names(2, 'm.txt', 'png')).toThrow('m.txt: only PNG is written')
})

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 })
const gpu = await anyGpu()

test('segment writes what is asked for, and refuses it before anything runs', async () => {
  const cwd = await temporaryFolder()
  await writeFile(join(cwd, 'photo.png'), await readFile(join(ROOT, 'examples/scene.png')))
  const run = (...more: string[]) =>
    flowseg(['segment', 'photo.png', 'the dotted shape', ...more], { cwd, gpu })
  const refused: readonly (readonly [string[], string])[] = [
    [['--format', 'rle'], 'add --mask FILE'],
    [['--format', 'bmp', '--mask', 'm.bmp'], '--format'],
    [['--format', 'svg', '--mask', 'm.png'], 'Let it end in .svg'],
  ]
  for (const [more, message] of refused) {
    const { code, err } = await run(...more)
    expect([code, err]).toEqual([2, expect.stringContaining(message)])
    expect(await filesIn(cwd)).toEqual(['photo.png'])
  }
  const { code, out } = await run('--mask', 'm.json', '--json')
  expect(code).toBe(0)
  const { area, box, mask: file } = JSON.parse(out) as { area: number; box: number[]; mask: string }
  const { segmentation, bbox } = JSON.parse(await readFile(file, 'utf8')) as {
    segmentation: unknown
    bbox: number[]
  }
  expect(decodeCoco(segmentation, 256, 256).area).toBe(area)
  expect(bbox).toEqual([box[0], box[1], box[2]! - box[0]!, box[3]! - box[1]!])
})
