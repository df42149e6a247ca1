// At least 30 hostile inputs per task: each ends in a typed error that is one line, or is answered right, and leaves
// nothing on the device; afterwards the scene answers as before, to the bit. What is refused is refused by plain
// TypeScript, the same everywhere.

import { expect, test } from 'vitest'
import { FlowSegError } from '../../../src/errors.ts'
import { TASKS } from '../../../src/model/checkpoint/task-config.ts'
import type { Scene } from '../../../src/model/flowseg.ts'
import { anyGpu } from '../../support.ts'
import { picture, smallCheckpoint } from '../checkpoint/small-checkpoint.ts'
import { cleanUp, expectSame, load } from '../small-model.ts'

cleanUp()

/** A value, and the code of the error that it ends in; undefined where it must be answered. */
type Hostile = readonly [value: unknown, code: string | undefined]

const P = 'ERR_PROMPT'
const U = 'ERR_USAGE'

/** As a sentence, a question or a name. */
const TEXTS: readonly Hostile[] = [
  ['', P],
  [' \n\t', P],
  ['\u200b\ufeff', P],
  ['\0', P],
  ['<SEG>', P],
  ['a <p>dog</p>', P],
  ['</p>', P],
  ['<image>', P],
  ['<region>', P],
  ['<|im_start|>user', P],
  ['<|im_end|>', P],
  ['half \ud83d', P],
  ['\udc00 the other half', P],
  ['word '.repeat(10_000), P],
  ['x'.repeat(1_000_000), P],
  ['\u0301'.repeat(20_000), P],
  // Only words, whatever they look like
  ['$& $1 $$', undefined],
  ['{phrase} {categories} {regions}', undefined],
  ['__proto__', undefined],
  ["'; DROP TABLE masks; --", undefined],
  ['\u001b[31mred\u001b[0m', undefined],
  ['\u202eesrever', undefined],
  ['👩‍👩‍👧 日本語', undefined],
]

/** No text at all. */
const NO_TEXTS = [
  undefined,
  null,
  7,
  Number.NaN,
  true,
  {},
  [],
  ['a dog'],
  Symbol('a dog'),
  () => 'a dog',
  10n,
]

const wordsCode = NO_TEXTS.map((value): Hostile => [value, P])

/** Options of any task. */
const OPTIONS: readonly object[] = [
  { output: 'paper' },
  { signal: 'stop' },
  { onProgress: 'yes' },
  { flow: 'yes' },
  { nonsense: 1 },
]

const REGIONS: readonly Hostile[] = [
  ...[undefined, null, 'the mug', 7, [], {}, [[1, 2]], [null]].map((value): Hostile => [value, U]),
  ...[
    [-1, 5],
    [50, 5],
    [5, 40],
    [Number.NaN, 1],
    [Infinity, 1],
    [1],
    [1, 2, 3],
    ['1', '2'],
    {},
    null,
    [],
  ].map((point): Hostile => [{ point }, U]),
  ...[[5, 5, 5, 9], [9, 5, 5, 9], [50, 0, 60, 9], [0, 0, Number.NaN, 5], [0, 0, 5], 'all', null].map(
    (box): Hostile => [{ box }, U],
  ),
  [{ scribble: [] }, U],
  [{ scribble: [[-9, -9]] }, U],
  [{ scribble: [[1, 1], [2]] }, U],
  ...[
    { width: 50, height: 40, data: new Uint8Array(2000) },
    { width: 40, height: 50, data: new Uint8Array(2000).fill(1) },
    { width: 50, height: 40, data: new Uint8Array(7).fill(1) },
    { width: 50, height: 40, data: new Float32Array(2000).fill(1) },
    new Uint8Array(2000).fill(1),
    null,
  ].map((mask): Hostile => [{ mask }, U]),
  // At the edge, over it, and as small as can be
  [{ point: [49.999, 39.999] }, undefined],
  [{ box: [-1e9, -1e9, 1e9, 1e9] }, undefined],
  [{ box: [20.4, 20.4, 20.6, 20.6] }, undefined],
]

const many = Array.from({ length: 500 }, (_, i) => `thing number ${i}`)
const LISTS: readonly Hostile[] = [
  ...[undefined, null, 7, ['dog'], { thing: ['dog'] }, { things: 'dog' }, { things: [1] }, { stuff: {} }].map(
    (list): Hostile => [list, U],
  ),
  [{}, P],
  [{ things: [], stuff: [] }, P],
  ['', P],
  ['dog, cat', P],
  ['ins: ,;sem:', P],
  [{ things: many }, P],
  [{ things: ['dog', 'dog'] }, P],
  [{ things: ['a dog', 'A-dog'] }, P],
  [{ things: ['sky'], stuff: ['sky'] }, P],
  [{ stuff: ['-other-merged'] }, P],
  ...TEXTS.map(([text, code]): Hostile => [{ things: ['dog', text] }, code]),
]

const each =
  (hostile: readonly Hostile[]) =>
  (change: (value: unknown) => unknown): Hostile[] =>
    hostile.map(([value, code]) => [change(value), code])

/** Calls with one hostile argument, by task. */
const CALLS: Readonly<
  Record<
    string,
    { readonly call: (scene: Scene, value: never, options: object) => unknown; readonly inputs: Hostile[] }
  >
> = {
  'one sentence': {
    call: (scene, sentence, options) => scene.segment(sentence, options),
    inputs: [...TEXTS, ...wordsCode],
  },
  reasoning: {
    call: (scene, sentence, options) => scene.segment(sentence, { task: 'reasoning', ...options }),
    inputs: [...TEXTS, ...wordsCode],
  },
  'all of a sentence': {
    call: (scene, sentence, options) => scene.segment(sentence, { all: true, ...options }),
    inputs: [...TEXTS, ...wordsCode],
  },
  'several sentences': {
    call: (scene, sentences, options) => scene.segmentEach(sentences, options),
    inputs: [
      ...[undefined, null, 'a dog', {}, [], new Map()].map((value): Hostile => [value, U]),
      ...each([...TEXTS, ...wordsCode])((text) => ['a dog', text]),
    ],
  },
  'a region': {
    call: (scene, region, options) => scene.segmentRegion(region, options),
    inputs: [...REGIONS],
  },
  'what is like a region': {
    call: (scene, region, options) => scene.segmentRegion(region, { like: true, ...options } as object),
    inputs: [...REGIONS, ...each(REGIONS.slice(8))((region) => [{ point: [1, 1] }, region])],
  },
  'a list of categories': {
    call: (scene, list, options) => scene.segmentCategories(list, options),
    inputs: [...LISTS],
  },
  'a question': {
    call: (scene, question, options) => scene.ask(question, { maxTokens: 2, ...options }),
    inputs: [...TEXTS, ...wordsCode],
  },
  'an explanation': {
    call: (scene, sentence, options) => scene.explain(sentence, { maxTokens: 2, ...options }),
    inputs: [...TEXTS, ...wordsCode],
  },
  // It takes nothing but options
  'a description': {
    call: (scene, options, more) =>
      scene.describe(isPlain(options) ? { maxTokens: 2, ...(options as object), ...more } : options),
    inputs: [
      ...[null, 7, 'short', [], () => 0, true].map((value): Hostile => [value, U]),
      ...[0, -1, 1.5, Number.NaN, Infinity, '5', null, 2 ** 53].map(
        (maxTokens): Hostile => [{ maxTokens }, U],
      ),
      [{ maxTokens: 1e6 }, U],
      [{ maxTokens: 1e9 }, U],
      [{ maxTokens: 60_000 }, P],
      [{ maxTokens: 4000 }, P],
      ...[-1, Number.NaN, '1', Infinity].map((temperature): Hostile => [{ temperature }, U]),
      ...[0, 1.1, Number.NaN, '1'].map((topP): Hostile => [{ topP }, U]),
      ...[0, -1, 0.5].map((topK): Hostile => [{ topK }, U]),
      ...[0.5, Number.NaN].map((seed): Hostile => [{ seed }, U]),
      [{ onText: 'yes' }, U],
      [{ question: 'What?' }, U],
      [{ temperature: 1e-9, topP: 1e-9, topK: 1, seed: -1 }, undefined],
      [{ temperature: 1e9, seed: Number.MAX_SAFE_INTEGER }, undefined],
    ],
  },
}

function isPlain(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

test.each(Object.entries(CALLS))('%s', async (_, { call, inputs }) => {
  const hostile = [...inputs, ...OPTIONS.map((options): Hostile => [options, U])]
  expect(hostile.length).toBeGreaterThanOrEqual(30)
  const gpu = await anyGpu()
  const files = smallCheckpoint({ maxTokens: 500, positions: 1024, tasks: [...TASKS] })
  const model = await load(files, { gpu })
  const scene = await model.look(picture(50, 40))
  const right = inputs.find(([, code]) => code === undefined)?.[0]
  const before = await scene.segment('a dog')
  await call(scene, right as never, {})
  let { bytes } = gpu.memory()
  for (const [i, [value, code]] of hostile.entries()) {
    const isOption = i >= inputs.length
    const label = `${i}: ${isOption ? JSON.stringify(value) : describeShort(value)}`
    const outcome = await (async () =>
      isOption ? call(scene, right as never, value as object) : call(scene, value as never, {}))().then(
      () => undefined,
      (error: unknown) => error,
    )
    if (code === undefined) {
      expect(outcome, label).toBeUndefined()
      bytes = gpu.memory().bytes // a longer text may need more
      continue
    }
    expect(outcome, label).toBeInstanceOf(FlowSegError)
    const { code: actual, message } = outcome as FlowSegError
    expect(actual, `${label}: ${message}`).toBe(code)
    expect(message.split('\n'), label).toHaveLength(1)
    expect(message.length, label).toBeLessThan(1000)
    expect(gpu.memory().bytes, label).toBe(bytes)
  }
  expectSame(await scene.segment('a dog'), before)
})

/** For messages; JSON has no bigints. */
function describeShort(value: unknown): string {
  const text = JSON.stringify(value, (_, part: unknown) => (typeof part === 'bigint' ? `${part}n` : part)) as
    | string
    | undefined
  return text?.slice(0, 60) ?? typeof value
}
