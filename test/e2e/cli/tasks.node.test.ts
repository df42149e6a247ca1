// Everything beyond one sentence from the command: all objects, regions, lists of categories, words. The answers are
// the library's, and what a model wasn't trained on is refused before it is loaded.

import { copyFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { decodeImage, encodePng } from '../../../src/io/image/image.ts'
import { decodeIndexedPng } from '../../../src/masks/indexed-png.ts'
import {
  type CategoryAnswers,
  type CategoryMode,
  FlowSeg,
  Scene,
  type Segmentation,
} from '../../../src/model/flowseg.ts'
import { anyGpu } from '../../support.ts'
import { filesIn, flowseg, NANO } from '../cli-harness.ts'
import { ask, IMAGE, REGION, run, setUp } from '../every-task.ts'

const gpu = await anyGpu()
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 })

interface Named {
  readonly name: string
  readonly area: number
  readonly box: unknown
}

test('all objects of a sentence, a colour each', async () => {
  const cwd = await setUp()
  const { code, json } = await run(
    cwd,
    'segment',
    'photo.png',
    'a dog',
    '--all',
    '--mask',
    'm.png',
    '--out',
    'o.png',
  )
  const { instances, found } = await ask(cwd, (scene) => scene.segment('a dog', { all: true }))
  expect(instances.length).toBeGreaterThan(0)
  expect(found).toBe(true)
  expect(code).toBe(0)
  expect(json).toMatchObject({
    found: true,
    instances: instances.map(({ score, query, area, box }) => ({ score, query, area, box })),
  })
  const masks = await decodeIndexedPng(await readFile(join(cwd, 'm.png')))
  expect(masks.count).toBe(instances.length)
  expect(masks.mask(0).data).toEqual(instances[0]?.mask.data)
  const { width, height } = await decodeImage(await readFile(join(cwd, 'o.png')))
  expect(width).toBe(40)
  expect(height).toBeGreaterThan(40) // with a legend
})

test('what is not found: an empty mask, no outline, a word, and an exit code', async () => {
  const cwd = await setUp({ threshold: 1, all: 1 })
  const { code, json } = await run(cwd, 'segment', 'photo.png', 'a dog', '--mask', 'm.png', '--out', 'o.png')
  expect(code).toBe(3)
  expect(json).toMatchObject({ found: false, area: 0, box: null })
  const { rgb } = await decodeImage(await readFile(join(cwd, 'm.png')))
  expect(rgb.every((value) => value === 0)).toBe(true)
  expect((await decodeImage(await readFile(join(cwd, 'o.png')))).rgb).toEqual(IMAGE.rgb)
  const text = await flowseg(['segment', 'photo.png', 'a dog', '--weights', 'model'], { cwd, gpu })
  expect([text.code, text.out]).toEqual([3, expect.stringContaining('Not found')])
  expect((await run(cwd, 'segment', 'photo.png', 'a dog', '--threshold', '0')).code).toBe(0)
})

/** A second region: the upper right. */
const OTHER = { ...REGION, data: REGION.data.map((_, i) => Number(i < 300 && i % 40 > 25)) }

describe('regions', () => {
  test.each([
    ['a point', ['--point', '12,8'], { point: [[12, 8]] }],
    [
      'two points',
      ['--point', '12,8', '--point', '14,9'],
      {
        point: [
          [12, 8],
          [14, 9],
        ],
      },
    ],
    ['a box', ['--box', '4,5,30,20'], { box: [4, 5, 30, 20] }],
    ['a mask', ['--region', 'region.png'], { mask: REGION }],
  ] as const)('%s', async (_, args, region) => {
    const cwd = await setUp({ threshold: 0.0001, all: 0.0001 })
    const { code, json } = await run(cwd, 'segment', 'photo.png', ...args)
    const answer = await ask(cwd, (scene) => scene.segmentRegion(region as never, { threshold: 0.0001 }))
    const { found, score, query, mask } = answer as unknown as Segmentation
    expect(json).toMatchObject({
      found,
      objects: found ? [{ score, query, area: mask.area }] : [],
    })
    expect(code).toBe(found ? 0 : 3)
  })

  test('everything like one', async () => {
    const cwd = await setUp({ threshold: 0.0001, all: 0.0001 })
    const { json } = await run(cwd, 'segment', 'photo.png', '--box', '4,5,30,20', '--like')
    const { instances } = await ask(cwd, (scene) =>
      scene.segmentRegion([{ box: [4, 5, 30, 20] }], { like: true }),
    )
    expect(instances.length).toBeGreaterThan(0)
    expect(json['objects']).toMatchObject(instances.map(({ score, query, area }) => ({ score, query, area })))
  })

  test.each([
    [
      'boxes',
      ['--box', '4,5,30,20', '--box', '1,1,9,9'],
      [{ box: [4, 5, 30, 20] as const }, { box: [1, 1, 9, 9] as const }],
    ],
    ['masks', ['--region', 'region.png', '--region', 'other.png'], [{ mask: REGION }, { mask: OTHER }]],
  ])('everything like several %s', async (_, args, regions) => {
    const cwd = await setUp()
    const grey = OTHER.data.map((bit) => 255 * bit)
    await writeFile(join(cwd, 'other.png'), encodePng({ width: 40, height: 30, grey }))
    const { json } = await run(cwd, 'segment', 'photo.png', ...args, '--like')
    const { instances } = await ask(cwd, (scene) => scene.segmentRegion(regions, { like: true }))
    expect(instances.some(({ region }) => region === 1)).toBe(true)
    expect(json['objects']).toMatchObject(
      instances.map(({ score, query, area, region }) => ({ score, query, area, region })),
    )
  })

  test.each([
    [['--point', '12'], "--point is '12', expected 2 numbers such as 120,80."],
    [['--point', '0x10,2'], "--point is '0x10,2', expected 2 numbers such as 120,80."],
    [['--box', '1,2,x,4'], "--box is '1,2,x,4', expected 4 numbers"],
    [['--point', '12,8', '--all'], '--all is for sentences'],
    [['a dog', '--point', '12,8'], 'A region is asked for without a sentence'],
    [['a dog', '--like'], '--like goes with a region'],
    [['a dog', '--threshold', '2'], "--threshold is '2', expected a number from 0 to 1"],
  ])('%j is refused', async (args, message) => {
    const cwd = await setUp()
    const { code, json } = await run(cwd, 'segment', 'photo.png', ...args)
    expect([code, json['error']]).toEqual([
      2,
      { code: 'ERR_USAGE', message: expect.stringContaining(message) },
    ])
  })
})

describe('categories', () => {
  test.each([
    ['panoptic', ['--things', 'dog, cat', '--stuff', 'sky']],
    ['instance', ['--things', 'dog, cat']],
    ['semantic', ['--stuff', 'sky,wall', '--mask', 'm.png']],
  ] as const)('%s', async (mode, args) => {
    const cwd = await setUp()
    const { code, json } = await run(cwd, 'categories', 'photo.png', ...args)
    const list = {
      things: mode === 'semantic' ? [] : ['dog', 'cat'],
      stuff: mode === 'instance' ? [] : ['sky'],
    }
    if (mode === 'semantic') list.stuff.push('wall')
    const answer: CategoryAnswers[CategoryMode] = await ask(cwd, (scene) =>
      scene.segmentCategories(list, { mode }),
    )
    const objects = answer.mode === 'instance' ? answer.instances : answer.segments
    expect(json).toMatchObject({
      mode,
      found: answer.found,
      categories: answer.categories.map(({ name, kind }) => ({ name, kind })),
      objects: objects.map(({ name, area, box }: Named) => ({ name, area, box })),
    })
    expect(code).toBe(answer.found ? 0 : 3)
    if (objects.length > 0) expect(await filesIn(cwd)).toContain('photo-categories.png')
  })

  test('a semantic map of what is not there says so', async () => {
    const cwd = await setUp({ threshold: 1, all: 1 })
    const args = ['categories', 'photo.png', '--stuff', 'sky, wall']
    const { code, json } = await run(cwd, ...args)
    expect(code).toBe(3)
    const answer = await ask(cwd, (scene) => scene.segmentCategories({ stuff: ['sky', 'wall'] }))
    expect(json).toMatchObject({
      mode: 'semantic',
      found: false,
      objects: answer.segments.map(({ name, area, score }) => ({ name, area, score })),
    })
    const text = await flowseg([...args, '--weights', 'model'], { cwd, gpu })
    expect([text.code, text.out]).toEqual([3, expect.stringContaining('nothing of the list is surely there')])
  })

  test("X-SAM's rules for a panoptic map", async () => {
    const cwd = await setUp()
    const args = ['categories', 'photo.png', '--things', 'dog, cat', '--stuff', 'sky']
    const asked = vi.spyOn(Scene.prototype, 'segmentCategories')
    for (const rules of [undefined, 'own', 'xsam']) {
      const { json } = await run(cwd, ...args, ...(rules ? ['--rules', rules] : []))
      expect(json['mode']).toBe('panoptic')
      expect(asked.mock.lastCall?.[1]).toMatchObject({ rules })
    }
    asked.mockRestore()
    const { code, json } = await run(cwd, ...args, '--rules', 'coco')
    expect([code, json['error']]).toEqual([
      2,
      { code: 'ERR_USAGE', message: expect.stringContaining("--rules is 'coco'") },
    ])
    const other = await run(
      cwd,
      ...args.slice(0, 2),
      '--things',
      'a dog',
      '--mode',
      'instance',
      '--rules',
      'xsam',
    )
    expect(other.json['error']).toEqual({
      code: 'ERR_USAGE',
      message: expect.stringContaining('rules are of a panoptic map, and the mode is instance'),
    })
  })

  test.each([
    [[], 'needs names'],
    [['--things', 'dog,,cat'], 'has an empty name'],
  ])('%j is refused', async (args, message) => {
    const cwd = await setUp()
    const { code, json } = await run(cwd, 'categories', 'photo.png', ...args)
    expect([code, json['error']]).toEqual([
      2,
      { code: 'ERR_USAGE', message: expect.stringContaining(message) },
    ])
  })
})

describe('words', () => {
  test.each([
    [
      'ask',
      ['ask', 'photo.png', 'What is it?'],
      (scene: Scene) => scene.ask('What is it?', { maxTokens: 12 }),
    ],
    ['describe', ['describe', 'photo.png'], (scene: Scene) => scene.describe({ maxTokens: 12 })],
    [
      'explain',
      ['ask', 'photo.png', 'a dog', '--explain'],
      (scene: Scene) => scene.explain('a dog', { maxTokens: 12 }),
    ],
  ] as const)('%s', async (_, args, question) => {
    const cwd = await setUp()
    const { json } = await run(cwd, ...args, '--max-tokens', '12')
    const { text, phrases, end, forced, tokens } = await ask(cwd, question)
    expect(json).toMatchObject({
      text,
      end,
      forced,
      tokens: tokens.length,
      phrases: phrases.map(({ text, found, score, query, mask }) => ({
        text,
        found,
        score,
        query,
        area: mask.area,
      })),
    })
    const shown = await flowseg([...args, '--max-tokens', '12', '--weights', 'model'], { cwd, gpu })
    expect(shown.out).toContain(`${tokens.length} tokens`)
    expect(shown.out.length).toBeGreaterThan(text.length)
  })
})

test('a model that repeats itself is said to, and not given more tokens', async () => {
  const cwd = await setUp()
  const { length } = await ask(cwd, async (scene) => (await scene.ask('What is it?')).tokens)
  const args = ['ask', 'photo.png', 'What is it?', '--weights', 'model']
  const { out } = await flowseg(args, { cwd, gpu })
  expect(length).toBeLessThan(512) // random weights soon write the same for ever
  expect(out).toContain('The model repeated itself')
  expect(out).not.toContain('--max-tokens')
  const on = await run(cwd, 'ask', 'photo.png', 'What is it?', '--allow-repeats', '--max-tokens', '200')
  expect(on.json).toMatchObject({ end: 'length', tokens: 200 })
  const { code, json } = await run(cwd, 'ask', 'photo.png', 'What is it?', '--max-tokens', '1000000')
  expect([code, json['error']]).toEqual([
    2,
    { code: 'ERR_USAGE', message: expect.stringContaining('--max-tokens') },
  ])
})

test('no output replaces a file that the question or the model is read from', async () => {
  const cwd = await setUp()
  await copyFile(join(cwd, 'model/config.json'), join(cwd, 'own.json'))
  await copyFile(join(cwd, 'model/config.json'), join(cwd, 'config.png'))
  const load = vi.spyOn(FlowSeg, 'load')
  for (const [args, message] of [
    [['segment', 'photo.png', '--region', 'region.png', '--mask', 'region.png'], 'the mask of the region'],
    [['segment', 'photo.png', '--region', 'region.png', '--out', './region.png'], 'the mask of the region'],
    [['segment', 'photo.png', 'a dog', '--config', 'own.json', '--mask', 'own.json'], 'a file of the model'],
    [
      ['categories', 'photo.png', '--things', 'a', '--config', 'config.png', '--mask', 'config.png'],
      'a file of the model',
    ],
    [['describe', 'photo.png', '--config', 'config.png', '--out', 'config.png'], 'a file of the model'],
    [['eval', '--count', '1', '--config', 'own.json', '--dump', 'own.json'], 'a file of the model'],
  ] as const) {
    const { code, err } = await flowseg([...args, '--weights', 'model'], { cwd, gpu })
    expect([code, err]).toEqual([2, expect.stringContaining(`would overwrite ${message}`)])
  }
  // Weights that are named by their file
  for (const file of ['model.safetensors', 'config.json', 'tokenizer.json']) {
    const args = ['eval', '--count', '1', '--weights', 'model/model.safetensors', '--dump', `model/${file}`]
    const { code, err } = await flowseg(args, { cwd, gpu })
    expect([code, err]).toEqual([2, expect.stringContaining('would overwrite a file of the model')])
  }
  expect(load).not.toHaveBeenCalled()
  load.mockRestore()
})

test('a sentence of a task that the model was not trained on is refused before it is loaded', async () => {
  const cwd = await setUp()
  const config = JSON.parse(await readFile(join(cwd, 'model/config.json'), 'utf8')) as object
  await writeFile(join(cwd, 'own.json'), JSON.stringify({ ...config, tasks: ['referring'] }))
  const load = vi.spyOn(FlowSeg, 'load')
  for (const args of [
    ['segment', 'photo.png', 'a dog'],
    ['eval', '--count', '1'],
  ]) {
    const own = ['--task', 'reasoning', '--weights', 'model', '--config', 'own.json']
    const { code, err } = await flowseg([...args, ...own], { cwd, gpu })
    expect([code, err]).toEqual([2, expect.stringContaining("knows 'reasoning'")])
  }
  expect(load).not.toHaveBeenCalled()
  load.mockRestore()
})

test('what is wrong with a question is told before the model is loaded', async () => {
  const cwd = await setUp()
  const load = vi.spyOn(FlowSeg, 'load')
  const point = ['segment', 'photo.png', '--point', '3,4']
  for (const [code, args, message] of [
    [2, ['segment', 'photo.png', '--point', '40,3'], 'point is [40, 3], outside of the image'],
    [2, ['segment', 'photo.png', '--box', '9,9,3,3'], 'box is [9, 9, 3, 3], upside down'],
    [2, ['segment', 'photo.png', '--box', '1,1,9,9', '--hit'], '--hit needs a --point'],
    [2, [...point, '--hit', '--like'], 'Leave one of them out'],
    [2, [...point, '--format', 'rle'], '--format is of the file that --mask names: add --mask FILE.'],
    [2, [...point, '--mask', 'm.png', '--format', 'rle'], 'Let it end in .json'],
    [2, ['describe', 'photo.png', '--mask', 'm.txt', '--format', 'svg'], 'Let it end in .svg'],
    [2, ['categories', 'photo.png', '--things', 'a', '--format', 'coco'], "--format is 'coco'"],
    [2, ['segment', 'photo.png', '--box', '1,1,9,9', '--box', '3,3,8,8'], '--box is given 2 times'],
    [
      2,
      ['segment', 'photo.png', '--box', '1,1,9,9', '--box', '3,3,8,8', '--like', '--point', '3,4'],
      'Several --box are an example each. Leave --point out.',
    ],
    [2, ['segment', 'photo.png', '--like', '--region', '-', '--region', '-'], '2 times a --region'],
    [2, ['segment', '-', '--region', '-'], 'can be read once'],
    [
      2,
      ['ask', 'photo.png', 'region.png'],
      'region.png is an image or a file, where the question is expected',
    ],
    [2, ['ask', 'What is it?', 'photo.png'], 'photo.png is an image or a file'],
    [1, ['ask', 'photo.png', ' '], 'The question is empty'],
    [1, ['ask', 'photo.png', 'a <SEG>'], 'has a meaning of its own'],
    [1, ['ask', 'photo.png', 'a <SEG>', '--explain'], 'has a meaning of its own'],
    [2, ['ask', 'photo.png', 'What?', '--temperature', '1', '--top-p', '2'], "--top-p is '2'"],
    ...(['top-k', 'seed', 'top-p'] as const).map(
      (option) =>
        [2, ['describe', 'photo.png', `--${option}`, '1'], `--${option} goes with --temperature`] as const,
    ),
  ] as const) {
    const result = await flowseg([...args, '--weights', 'model'], { cwd, gpu, input: new Uint8Array(1) })
    expect([result.code, result.err]).toEqual([code, expect.stringContaining(message)])
  }
  expect(load).not.toHaveBeenCalled()
  load.mockRestore()
})

test('a model is asked for what it was trained on alone', async () => {
  const cwd = await setUp()
  const { flow, ...config } = JSON.parse(await readFile(join(NANO, 'config.json'), 'utf8')) as {
    flow: object
  }
  const sentences = { ...config, tasks: undefined, flow: { ...flow, tasks: undefined } }
  await writeFile(join(cwd, 'sentences.json'), JSON.stringify(sentences))
  const load = vi.spyOn(FlowSeg, 'load')
  for (const args of [
    ['segment', 'photo.png', '--point', '3,4'],
    ['categories', 'photo.png', '--things', 'dog'],
    ['ask', 'photo.png', 'Who is it?'],
    ['describe', 'photo.png'],
  ]) {
    const own = ['--weights', NANO, '--config', 'sentences.json']
    const { code, err } = await flowseg([...args, ...own], { cwd, gpu })
    expect([code, err]).toEqual([2, expect.stringContaining('was not trained on')])
  }
  expect(load).not.toHaveBeenCalled()
  load.mockRestore()
})
