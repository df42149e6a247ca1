// `flowseg eval --asks`: a model that knows the truth gets full marks, one that is always wrong none; figures are what
// their definitions say; and the command measures the model that comes along.

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { answerScene, names } from '../../../src/cli/evaluation/asks/answer.ts'
import { boundaryIou } from '../../../src/cli/evaluation/asks/boundary.ts'
import { auc, figuresOf } from '../../../src/cli/evaluation/asks/figures.ts'
import type { AskRow, ListRow, PhraseRow } from '../../../src/cli/evaluation/asks/row.ts'
import { FlowSeg } from '../../../src/model/flowseg.ts'
import type { Ask, GroundedAsk, ListAsk, RegionAsk } from '../../../src/scenes/asks/ask.ts'
import { type DatasetScene, datasetScene, readDataset, writeDataset } from '../../../src/scenes/dataset.ts'
import { KeyedRandom } from '../../../src/scenes/random.ts'
import { makeScene, SIZE } from '../../../src/scenes/scene.ts'
import { anyGpu } from '../../support.ts'
import { flowseg, NANO, temporaryFolder } from '../cli-harness.ts'

const gpu = await anyGpu()
const noSignal = new AbortController().signal

// ---------------------------------------------------------------------------------------------------------
// Answers from the truth

/** Looks like a model, and answers with what is there, or, `isRight` false, with what isn't. */
function fakeModel(truth: DatasetScene, isRight: boolean): FlowSeg {
  const asks = truth.asks ?? []
  const of = <T extends Ask['task']>(task: T): Extract<Ask, { task: T }>[] =>
    asks.filter((ask): ask is Extract<Ask, { task: T }> => ask.task === task)
  const maskOf = (objects: readonly number[]): { data: Uint8Array } => ({
    data: truth.ids.map((id) => {
      const isIn = id > 0 && objects.includes(id - 1)
      return Number(isRight ? isIn : id === 0 && !isIn)
    }),
  })
  const meant = new Map<string, readonly number[]>([
    ...truth.sentences.map(({ text, target }) => [text, [target]] as const),
    ...of('phrase').map(({ text, targets }) => [text, targets] as const),
  ])
  const gestures = of('region')[Symbol.iterator]()
  const presence = (isThere: boolean): { score: number; found: boolean } => {
    const found = isThere === isRight
    return { score: found ? 0.9 : 0.1, found }
  }
  const scene = {
    width: SIZE,
    height: SIZE,
    world: { distance: 1, isKnown: [undefined, 'empty'].includes(truth.foreign) === isRight },
    async segment(text: string) {
      const targets = meant.get(text) ?? []
      const mask = maskOf(targets)
      const raw = Float32Array.from(mask.data, (bit) => bit - 0.5)
      return {
        ...presence(targets.length > 0),
        mask,
        union: mask,
        instances: isRight ? targets : [],
        logits: { raw, height: SIZE, width: SIZE },
        canvas: [SIZE, SIZE],
      }
    },
    async segmentRegion() {
      const { target } = gestures.next().value as RegionAsk
      return { ...presence(target !== null), mask: maskOf(target === null ? [] : [target]) }
    },
    async segmentCategories({ things }: { things: readonly string[] }) {
      const { names, targets } = of('categories').find((list) => list.names === things) as ListAsk
      const segments = names.flatMap((_, category) =>
        (targets[category] ?? []).map((object) => ({ category, mask: maskOf([object]) })),
      )
      return { segments }
    },
    async ask(question: string) {
      const { answer } = of('chat').find(({ text }) => text === question) ?? { answer: '' }
      return { text: isRight ? answer : `${answer} ` }
    },
    async describe() {
      const { answer, targets } = of('grounded')[0] as GroundedAsk
      const phrases = [...answer.matchAll(/<p>(.*?)<\/p>/g)].map(([, text = ''], i) => ({
        text: text.trim(),
        span: [0, 1],
        mask: maskOf([targets[i] as number]),
      }))
      return { text: answer, phrases }
    },
    close: () => undefined,
  }
  const config = { tasks: ['referring', 'regions', 'categories', 'chat', 'grounded'], sam: { image: SIZE } }
  return { config, look: async () => scene } as unknown as FlowSeg
}

describe('answers about scenes of test2', () => {
  // Three scenes, a picture of another world, and an empty wall, which is one of this world
  const first = Array.from({ length: 40 }, (_, i) => makeScene('test2', i))
  const another = first.findIndex(({ foreign }) => foreign !== undefined && foreign !== 'empty')
  const wall = Array.from({ length: 400 }, (_, i) => makeScene('val2', i)).findIndex(
    ({ foreign }) => foreign === 'empty',
  )
  const own = first.filter(({ foreign }) => foreign === undefined).slice(0, 3)
  const numbers = [...own.map(({ index }) => index), another]
  const scenes = [...numbers.map((index) => datasetScene('test2', index)), datasetScene('val2', wall)]
  async function figuresWith(isRight: boolean) {
    const rows: AskRow[] = []
    for (const scene of scenes) rows.push(...(await answerScene(fakeModel(scene, isRight), scene, noSignal)))
    return figuresOf(rows)
  }

  test.each([
    ['right', 1],
    ['wrong', 0],
  ] as const)('that are all %s have figures of %d', async (word, figure) => {
    const figures = await figuresWith(word === 'right')
    const all = (...names: string[]) => Object.fromEntries(names.map((name) => [name, figure]))
    expect(figures.sentences).toMatchObject({
      ...all('cIoU', 'gIoU', 'half', 'found', 'auc'),
      boundary: all('refined', 'raw'),
    })
    expect(figures.presence).toMatchObject(all('auc', 'refused', 'found', 'foreign'))
    expect(figures.several).toMatchObject(all('cIoU', 'gIoU', 'rightNumber'))
    expect(figures.wordings).toMatchObject({ wordings: 48, ...all('cIoU', 'found', 'same') })
    expect(figures.lists).toEqual({ lists: 10, ...all('pq') })
    expect(figures.questions).toMatchObject(all('right'))
    expect(figures.descriptions).toMatchObject(all('right', 'named'))
    expect(figures.pictures).toMatchObject({ scenes: 4, others: 1, ...all('known', 'refused') })

    const { regions } = figures
    expect(regions).toMatchObject({ ...all('found'), background: all('refused') })
    const kinds = Object.entries(regions?.kinds ?? {})
    expect(kinds.map(([kind, of]) => [kind, of.figure])).toEqual(
      ['box', 'mask', 'point', 'scribble'].map((kind) => [kind, figure]),
    )
    expect(kinds.reduce((sum, [, { count }]) => sum + count, 0)).toBe(regions?.regions)
  })
})

// ---------------------------------------------------------------------------------------------------------
// Figures

test('AUC is the share of pairs in order, and half of those that are equal', () => {
  const random = new KeyedRandom(5, 0, 0)
  const draw = (n: number): number[] => Array.from({ length: n }, () => Math.floor(random.next() * 10))
  const [positive, negative] = [draw(40), draw(31)]
  let pairs = 0
  for (const p of positive) for (const n of negative) pairs += p > n ? 1 : p === n ? 0.5 : 0
  expect(auc(positive, negative)).toBeCloseTo(pairs / (40 * 31), 12)
  expect(auc([], negative)).toBe(null)
})

test('a wording is the same if its mask is of the object that the mask of its sentence is of', () => {
  const row: PhraseRow = {
    scene: 0,
    task: 'phrase',
    kind: 'colour',
    text: 'the red star',
    targets: 1,
    isForeign: false,
    score: 0.9,
    found: true,
    answer: { intersection: 1, union: 2 },
    object: 2,
  }
  const wording = { ...row, kind: 'wording', from: row.text }
  const sentence = { ...row, boundary: { refined: 1, raw: 1 } }
  const rows = [sentence, wording, { ...wording, object: 1 }, { ...wording, object: -1, found: false }]
  const nowhere = [
    { ...sentence, scene: 1, object: -1 },
    { ...wording, scene: 1, object: -1 },
  ]
  expect(figuresOf(rows).wordings).toEqual({ wordings: 3, cIoU: 0.5, found: 2 / 3, same: 1 / 3 })
  expect(figuresOf(nowhere).wordings?.same).toBe(0)
})

test.each([
  ['A dotted red star', 'star', 'red', 'dotted', true],
  ['a star on the left', 'star', 'red', 'dotted', true],
  ['a blue star', 'star', 'red', 'dotted', false],
  ['a plain star', 'star', 'red', 'dotted', false],
  ['a starfish', 'star', null, null, false],
  ['a carrot', 'car', null, null, false],
  ['a teddy bear.', 'teddy bear', null, null, true],
] as const)('%j names a %s that is %s and %s: %s', (phrase, category, colour, pattern, isNamed) => {
  expect(names(phrase, { category, colour, pattern })).toBe(isNamed)
})

test('panoptic quality: the sum of IoUs by true positives and half of what is wrong', () => {
  const list: ListRow = {
    scene: 0,
    task: 'categories',
    kind: 'list',
    truePositives: [0.8, 0.6],
    falsePositives: 1,
    falseNegatives: 2,
  }
  expect(figuresOf([list, { ...list, truePositives: [] }]).lists).toEqual({ lists: 2, pq: 1.4 / (2 + 6 / 2) })
})

test('boundary IoU counts what is inside of a mask and at most two pixels from the outside', () => {
  const [width, height] = [13, 9]
  const random = new KeyedRandom(5, 1, 0)
  // Rectangles, some of them over the frame, so that masks have an inside as well as rims
  const drawn = (): Uint8Array => {
    const [x0, y0] = [random.int(-2, 5), random.int(-2, 3)]
    const [x1, y1] = [x0 + random.int(5, 10), y0 + random.int(5, 8)]
    return Uint8Array.from({ length: width * height }, (_, i) => {
      const [x, y] = [i % width, Math.floor(i / width)]
      return Number(x >= x0 && x < x1 && y >= y0 && y < y1)
    })
  }
  const isInside = (mask: Uint8Array, x: number, y: number): boolean =>
    x >= 0 && y >= 0 && x < width && y < height && mask[y * width + x] === 1
  const around = [-2, -1, 0, 1, 2].flatMap((dy) => [-2, -1, 0, 1, 2].map((dx) => [dx, dy] as const))
  const isRim = (mask: Uint8Array, i: number): boolean => {
    const [x, y] = [i % width, Math.floor(i / width)]
    return isInside(mask, x, y) && around.some(([dx, dy]) => !isInside(mask, x + dx, y + dy))
  }
  for (let n = 0; n < 50; n++) {
    const [a, b] = [drawn(), drawn()]
    let [both, either] = [0, 0]
    for (const i of a.keys()) {
      both += Number(isRim(a, i) && isRim(b, i))
      either += Number(isRim(a, i) || isRim(b, i))
    }
    expect(boundaryIou(a, b, width)).toBe(both / either)
  }
  expect(boundaryIou(drawn(), new Uint8Array(width * height), width)).toBe(0)
})

// ---------------------------------------------------------------------------------------------------------
// The command

describe('flowseg eval --asks', () => {
  test('measures what the model was trained on, in a folder of scenes', async () => {
    const cwd = await temporaryFolder()
    await writeDataset(join(cwd, 'scenes'), { split: 'test2', start: 1, count: 1 })
    const { sentences, asks = [], objects, index } = datasetScene('test2', 1)
    const some = ['wording', 'absent-word', 'several-category', 'list', 'point', 'count', 'description']
    const chosen = some.flatMap((kind) => asks.filter((ask) => ask.kind === kind).slice(0, 1))
    const record = { index, objects, sentences: sentences.slice(0, 2), asks: chosen }
    await writeFile(join(cwd, 'scenes/scenes.jsonl'), `${JSON.stringify(record)}\n`)

    const args = ['eval', 'scenes', '--asks', '--dump', 'rows.jsonl']
    const { code, out, err } = await flowseg([...args, '--json'], { cwd, gpu })
    expect(code).toBe(0)
    expect(err).toMatch(/^(eval: .* left\n)*$/) // on a slow machine, a line now and then
    expect(JSON.parse(out)).toMatchObject({
      data: 'scenes',
      scenes: 1,
      sentences: { sentences: 2 },
      presence: { absent: 1, auc: expect.any(Number) },
    })
    const rows = (await readFile(join(cwd, 'rows.jsonl'), 'utf8')).trim().split('\n')
    const config = await readFile(join(NANO, 'config.json'), 'utf8')
    const { tasks, knows } = JSON.parse(config) as { tasks?: string[]; knows?: { world?: object } }
    const isAsked = ({ task }: { task: string }): boolean =>
      task === 'phrase' || (tasks ?? []).includes(task === 'region' ? 'regions' : task)
    // The picture itself, two sentences, and the rest
    expect(rows).toHaveLength((knows?.world ? 1 : 0) + 2 + chosen.filter(isAsked).length)
    const table = await flowseg(args, { cwd, gpu })
    expect(table.out).toMatch(/flowseg-nano on scenes: 1 scene, .*\n\n.*count +figure\n/)
    expect(table.out).toMatch(/sentences about one object +2 +cIoU +[01]\.\d{4}\n/)
  })

  test.each<[string[], RegExp]>([
    [['--asks', '--shard', '1/2'], /--shard doesn't go with --asks/],
    [['--asks', '--merge', 'a', 'b'], /--merge doesn't go with --asks/],
    [['--asks', '--split', 'train2'], /--split is 'train2', expected test2 or style2 or val2/],
    [['scenes', '--asks', '--split', 'val2'], /--split names a split to draw, and DATA is drawn already/],
    [['--asks', '--limit', '0'], /--limit is '0'/],
    [['nowhere', '--asks'], /There is nothing at nowhere\. Check the path; --asks takes a folder/],
    [['.', '--asks'], /There are no scenes in \.: scenes\.json is missing/],
    [['old', '--asks'], /The scenes in old are of split test, which has no asks/],
    [['none', '--asks'], /There is no scene in none/],
    [['data', '--asks', '--dump', 'data/ids/000000.png'], /the dataset itself/],
  ])('%j is refused', async (args, message) => {
    const cwd = await temporaryFolder()
    await writeDataset(join(cwd, 'old'), { split: 'test', count: 1 })
    await writeDataset(join(cwd, 'data'), { split: 'test2', count: 1 })
    await writeDataset(join(cwd, 'none'), { split: 'test2', count: 0 })
    const load = vi.spyOn(FlowSeg, 'load')
    const { code, err, out } = await flowseg(['eval', ...args], { cwd, gpu })
    expect(code).not.toBe(0)
    expect(out).toBe('')
    expect(err).toMatch(message)
    expect(load).not.toHaveBeenCalled()
    load.mockRestore()
  })
})

test.each<[string, object]>([
  ['no list', {}],
  ['no kind', [{ task: 'phrase', text: 'x', targets: [] }]],
  ['another task', [{ task: 'sing', kind: 'aria' }]],
  ['a target that is no object', [{ task: 'phrase', kind: 'wording', text: 'x', targets: [99] }]],
  ['a list with a name too many', [{ task: 'categories', kind: 'list', names: ['x'], targets: [] }]],
  ['a region without a gesture', [{ task: 'region', kind: 'point', target: null }]],
  ['a question without an answer', [{ task: 'chat', kind: 'count', text: 'x' }]],
])('asks with %s are told of, with their line', async (_, asks) => {
  const cwd = await temporaryFolder()
  await writeDataset(cwd, { split: 'test2', count: 1 })
  const { objects, sentences, index } = datasetScene('test2', 0)
  await writeFile(join(cwd, 'scenes.jsonl'), `${JSON.stringify({ index, objects, sentences, asks })}\n`)
  const read = async (): Promise<void> => {
    for await (const _ of readDataset(cwd)) continue
  }
  await expect(read).rejects.toThrow('line 1 of scenes.jsonl has asks that are none')
})
