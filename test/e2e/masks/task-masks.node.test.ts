// --mask of regions, lists of categories and answers in words: each format is read back, by the library, as the masks
// of the library's own answer, with their names and classes.

import { copyFile, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { EMBEDDED } from '../../../src/io/embedded.ts'
import { decodeImage } from '../../../src/io/image/image.ts'
import { cocoBox, decodeCoco } from '../../../src/masks/coco.ts'
import { fromGeoJson } from '../../../src/masks/geojson.ts'
import { decodeIndexedPng } from '../../../src/masks/indexed-png.ts'
import { fromLabelStudio } from '../../../src/masks/label-studio.ts'
import { type Mask, maskOf } from '../../../src/masks/mask.ts'
import { boxOf } from '../../../src/masks/picture.ts'
import { type Polygon, rasterizePolygons } from '../../../src/masks/polygon.ts'
import { fromSvgPath } from '../../../src/masks/svg-path.ts'
import { fromYolo } from '../../../src/masks/yolo.ts'
import { type Answer, FlowSeg, type PanopticMap, type Scene } from '../../../src/model/flowseg.ts'
import { anyGpu } from '../../support.ts'
import { flowseg, ROOT, temporaryFolder } from '../cli-harness.ts'
import { ask, IMAGE, run, setUp } from '../every-task.ts'

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 })

const { width, height } = IMAGE

/** An object of the library's answer. */
interface Expected {
  readonly mask: Mask
  readonly score?: number | undefined
  readonly name?: string
  readonly classIndex?: number
}

interface Asked {
  readonly args: readonly string[]
  ask(scene: Scene): Promise<readonly Expected[]>
}

const LIST = { things: ['dog', 'cat'], stuff: ['sky'] }
const NAMES = ['--things', 'dog, cat', '--stuff', 'sky']
const WORDS = { maxTokens: 12 }

const QUESTIONS: Readonly<Record<string, Asked>> = {
  'everything like a region': {
    args: ['segment', 'photo.png', '--box', '4,5,30,20', '--like'],
    ask: async (scene) =>
      (await scene.segmentRegion([{ box: [4, 5, 30, 20] }], { like: true })).instances.map(
        ({ mask, score }) => ({ mask, score }),
      ),
  },
  'everything like several regions': {
    args: ['segment', 'photo.png', '--box', '4,5,30,20', '--box', '1,1,9,9', '--like'],
    ask: async (scene) => {
      const regions = [{ box: [4, 5, 30, 20] }, { box: [1, 1, 9, 9] }] as const
      const { instances } = await scene.segmentRegion(regions, { like: true })
      return instances.map(({ mask, score, region }) => ({ mask, score, classIndex: region }))
    },
  },
  'the objects of a list': {
    args: ['categories', 'photo.png', ...NAMES, '--mode', 'instance'],
    ask: async (scene) =>
      (await scene.segmentCategories(LIST, { mode: 'instance' })).instances.map(
        ({ mask, score, name, category }) => ({ mask, score, name, classIndex: category }),
      ),
  },
  'a panoptic map': {
    args: ['categories', 'photo.png', '--things', 'tree, house', '--stuff', 'wall, sea'],
    ask: async (scene) =>
      segmentsOf(
        await scene.segmentCategories(
          { things: ['tree', 'house'], stuff: ['wall', 'sea'] },
          { mode: 'panoptic' },
        ),
      ),
  },
  'a semantic map': {
    args: ['categories', 'photo.png', ...NAMES, '--mode', 'semantic'],
    ask: async (scene) =>
      (await scene.segmentCategories(LIST, { mode: 'semantic' })).segments.map(
        ({ mask, score, name, category }) => ({ mask, score, name, classIndex: category }),
      ),
  },
  'an explanation': {
    args: ['ask', 'photo.png', 'a dog', '--explain', '--max-tokens', '12'],
    ask: async (scene) => phrasesOf(await scene.explain('a dog', WORDS)),
  },
}

function segmentsOf({ segments }: PanopticMap): readonly Expected[] {
  return segments.map(({ mask, score, name, category }) => ({ mask, score, name, classIndex: category }))
}

function phrasesOf({ phrases }: Answer): readonly Expected[] {
  return phrases.filter(({ found }) => found).map(({ mask, score, text }) => ({ mask, score, name: text }))
}

const fill = (polygons: readonly Polygon[]): Mask => rasterizePolygons(polygons, width, height)

/** What a file says of its objects, those without a pixel left out where it can't hold them. */
type Reader = (contents: Buffer, all: readonly Expected[]) => unknown
const withPixels = (all: readonly Expected[]): readonly Expected[] => all.filter(({ mask }) => mask.area > 0)

const READERS: readonly (readonly [string, string[], Reader, (all: readonly Expected[]) => unknown])[] = [
  [
    'm.json',
    [],
    (contents) =>
      (JSON.parse(String(contents)) as { segmentation: unknown }[]).map(({ segmentation, ...rest }) => ({
        ...rest,
        mask: decodeCoco(segmentation, width, height),
      })),
    (all) =>
      all.map(({ mask, score, name, classIndex }) => ({
        ...(classIndex === undefined ? {} : { category_id: classIndex + 1 }),
        ...(name === undefined ? {} : { name }),
        area: mask.area,
        bbox: cocoBox(boxOf(mask)),
        ...(score === undefined ? {} : { score }),
        mask,
      })),
  ],
  [
    'm.json',
    ['--format', 'polygons'],
    (contents) => (JSON.parse(String(contents)) as Polygon[][]).map(fill),
    (all) => all.map(({ mask }) => mask),
  ],
  [
    'm.geojson',
    [],
    (contents) => {
      const { features } = JSON.parse(String(contents)) as { features: { properties: { name?: string } }[] }
      return features.map((feature) => [feature.properties.name, fill(fromGeoJson(feature))])
    },
    (all) => all.map(({ mask, name }) => [name, mask]),
  ],
  [
    'm.svg',
    [],
    (contents) =>
      [...String(contents).matchAll(/ d="([^"]*)"(?:\/>|><title>([^<]*))/g)].map(([, d = '', name]) => [
        name,
        fill(fromSvgPath(d)),
      ]),
    (all) => all.map(({ mask, name }) => [name || undefined, mask]),
  ],
  [
    'm.txt',
    [],
    (contents) => fromYolo(String(contents), IMAGE).map(({ classId, polygons }) => [classId, fill(polygons)]),
    (all) => withPixels(all).map(({ mask, classIndex = 0 }) => [classIndex, mask]),
  ],
  [
    'm.json',
    ['--format', 'label-studio'],
    (contents) => {
      const [task] = JSON.parse(String(contents)) as [{ predictions: [{ result: unknown }] }]
      return fromLabelStudio(task.predictions[0].result).map(({ labels, mask }) => [labels, mask])
    },
    (all) => withPixels(all).map(({ mask, name }) => [[name || 'object'], mask]),
  ],
]

describe.each(Object.entries(QUESTIONS))('%s', (_, asked) => {
  const { args } = asked

  test('in every format', async () => {
    const cwd = await setUp()
    const all = await ask(cwd, (scene) => asked.ask(scene))
    expect(withPixels(all).length).toBeGreaterThan(0)
    for (const [file, format, read, expected] of READERS) {
      const { json } = await run(cwd, ...args, '--mask', file, ...format)
      expect(json['mask']).toBe(join(cwd, file))
      expect(read(await readFile(join(cwd, file)), all)).toEqual(expected(all))
    }
  })
})

test('the phrases of a description, and a panoptic map, of the model that comes along', async () => {
  const cwd = await temporaryFolder()
  const scenePng = join(ROOT, 'examples/scene.png')
  await copyFile(scenePng, join(cwd, 'scene.png'))
  const gpu = await anyGpu()
  const model = await FlowSeg.load(EMBEDDED, { gpu })
  const scene = await model.look(await readFile(scenePng))
  const things = ['umbrella', 'cactus', 'pencil', 'rocket']
  const phrases = phrasesOf(await scene.describe())
  const segments = segmentsOf(await scene.segmentCategories({ things }, { mode: 'panoptic' }))
  model.close()
  for (const [args, all] of [
    [['describe', 'scene.png'], phrases],
    [['categories', 'scene.png', '--things', things.join(), '--mode', 'panoptic'], segments],
  ] as const) {
    expect(all.length).toBeGreaterThan(1)
    await flowseg([...args, '--mask', 'm.json'], { cwd, gpu })
    const list = JSON.parse(await readFile(join(cwd, 'm.json'), 'utf8')) as { segmentation: unknown }[]
    expect(list).toMatchObject(
      all.map(({ name, score, classIndex }) => ({
        name,
        score,
        ...(classIndex === undefined ? {} : { category_id: classIndex + 1 }),
      })),
    )
    const masks = list.map(({ segmentation }) => decodeCoco(segmentation, 256, 256))
    expect(masks.map(({ data }) => data)).toEqual(all.map(({ mask }) => mask.data))
  }
})

test('one region: the mask as RLE, and as a grey PNG that is a region again', async () => {
  const cwd = await setUp()
  const point = ['segment', 'photo.png', '--point', '12,8']
  const { mask, score } = await ask(cwd, (scene) => scene.segmentRegion({ point: [12, 8] }))
  expect(mask.area).toBeGreaterThan(0)
  await run(cwd, ...point, '--mask', 'm.json')
  const { segmentation, ...rest } = JSON.parse(await readFile(join(cwd, 'm.json'), 'utf8')) as {
    segmentation: unknown
  }
  expect(decodeCoco(segmentation, width, height)).toEqual(mask)
  expect(rest).toEqual({ area: mask.area, bbox: cocoBox(boxOf(mask)), score })
  await run(cwd, ...point, '--mask', 'm.png')
  const { rgb } = await decodeImage(await readFile(join(cwd, 'm.png')))
  expect(
    maskOf(
      width,
      height,
      mask.data.map((_, i) => rgb[3 * i]! / 255),
    ),
  ).toEqual(mask)
  const { json } = await run(cwd, 'segment', 'photo.png', '--region', 'm.png')
  const again = await ask(cwd, (scene) => scene.segmentRegion({ mask }))
  expect(json).toMatchObject({ objects: [{ query: again.query, area: again.mask.area }] })
})

test('where nothing is found, there is no picture, and a file of masks without any', async () => {
  const cwd = await setUp({ threshold: 1, all: 1 })
  const point = await run(cwd, 'segment', 'photo.png', '--point', '12,8', '--mask', 'p.json')
  expect(point).toMatchObject({ code: 3, json: { overlay: null, mask: join(cwd, 'p.json') } })
  expect(JSON.parse(await readFile(join(cwd, 'p.json'), 'utf8'))).toMatchObject({ area: 0 })
  const list = await run(cwd, 'categories', 'photo.png', '--things', 'dog', '--mask', 'c.json')
  expect(list).toMatchObject({ code: 3, json: { overlay: null, mask: join(cwd, 'c.json') } })
  expect(await readFile(join(cwd, 'c.json'), 'utf8')).toBe('[]\n')
  await run(cwd, 'categories', 'photo.png', '--things', 'dog', '--mask', 'c.png')
  await expect(decodeIndexedPng(await readFile(join(cwd, 'c.png')))).rejects.toThrow()
  const { rgb } = await decodeImage(await readFile(join(cwd, 'c.png')))
  expect(rgb.every((value) => value === 0)).toBe(true)
})
