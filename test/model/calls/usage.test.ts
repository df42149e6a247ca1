// Whatever a caller in JavaScript gives to what the package exports, a mistake is a FlowSegError that names the call or
// the option: never a TypeError of ours, never something silently else.

import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { FlowSegError, UsageError } from '../../../src/errors.ts'
import * as door from '../../../src/index.ts'
import { runtime, thorough } from '../../runtime.ts'
import { anyGpu } from '../../support.ts'
import { picture, smallCheckpoint } from '../checkpoint/small-checkpoint.ts'

vi.setConfig({ testTimeout: 400_000, hookTimeout: 400_000 })

/** One of everything. */
const VALUES: Readonly<Record<string, unknown>> = {
  undefined: undefined,
  null: null,
  number: 42,
  fraction: -0.5,
  NaN: Number.NaN,
  boolean: true,
  bigint: 10n,
  text: 'nonsense',
  'empty text': '',
  symbol: Symbol('nonsense'),
  function: () => 'nonsense',
  'empty object': {},
  'empty array': [],
  array: [42],
  date: new Date(0),
  promise: Promise.resolve(1),
  map: new Map(),
  'a buffer of none': { arrayBuffer: 5 },
  response: new Response('nonsense'),
  'used response': used(),
}

function used(): Response {
  const response = new Response('nonsense')
  void response.text()
  return response
}

const files = smallCheckpoint()
let model: door.FlowSeg
let scene: door.Scene
let answer: door.Segmentation
beforeAll(async () => {
  model = await door.FlowSeg.load(files, { gpu: await anyGpu() })
  scene = await model.look(picture(9, 9))
  answer = await scene.segment('a dog')
})
afterAll(() => model.close())

interface Call {
  readonly call: (value: never) => unknown
  /** Of VALUES, those that it takes. */
  readonly takes?: readonly string[]
}

/** Any value is taken, or ends in an error of ours; which, `takes` tells. */
async function expectTyped({ call, takes = [] }: Call): Promise<void> {
  for (const [name, value] of Object.entries(VALUES)) {
    const outcome = await (async () => call(value as never))().then(
      () => 'taken',
      (error: unknown) => error,
    )
    if (takes.includes(name)) expect(outcome, name).toBe('taken')
    else {
      expect(outcome, name).toBeInstanceOf(FlowSegError)
      const { message } = outcome as FlowSegError
      expect(message, name).not.toMatch(/\[object|is not a function|Cannot read|reading '/)
      expect(message.split('\n'), name).toHaveLength(1)
    }
  }
}

const encoded = new Uint8Array(door.encodePng(picture(9, 9)))
const red = [255, 0, 0] as const
const dot: door.Mask = { width: 3, height: 3, data: Uint8Array.from([0, 0, 0, 0, 1, 0, 0, 0, 0]), area: 1 }
const identity = { adapter: 'a', driver: 'd', runtime: 'r', engine: 'e' }

/** By what is exported; the first argument of each, and the second if it has one. */
const CALLS: Readonly<Record<string, readonly Call[]>> = {
  FlowSeg: [
    // A path that isn't there is another mistake
    { call: (place) => door.FlowSeg.load(place) },
    { call: (options) => door.FlowSeg.load([], options) },
  ],
  Scene: [
    { call: (image) => model.look(image) },
    { call: (sentence) => scene.segment(sentence), takes: ['text'] },
    { call: (sentences) => scene.segmentEach(sentences) },
    { call: (region) => scene.segmentRegion(region) },
    { call: (list) => scene.segmentCategories(list) },
    { call: (question) => scene.ask(question) },
    { call: (options) => scene.describe(options) },
    { call: (sentence) => scene.explain(sentence) },
  ],
  cachedWeights: [],
  chosenFiles: [{ call: (chosen) => door.chosenFiles(chosen), takes: ['empty array', 'map'] }],
  clearCachedWeights: [
    {
      call: (under) => door.clearCachedWeights(under),
      // In a page, any text is an address under its own
      takes: runtime === 'browser' ? ['undefined', 'text', 'empty text'] : ['undefined'],
    },
  ],
  KnownWords: [
    { call: (words) => new door.KnownWords(words), takes: ['empty array', 'map'] },
    { call: (text) => new door.KnownWords(['a']).unknownIn(text), takes: ['text', 'empty text'] },
  ],
  decodeImage: [{ call: (bytes) => door.decodeImage(bytes) }],
  encodePng: [{ call: (image) => door.encodePng(image) }],
  clearTuned: [{ call: (of) => door.clearTuned(of) }],
  loadTuned: [{ call: (of) => door.loadTuned(of) }],
  saveTuned: [{ call: (tuned) => door.saveTuned(tuned) }],
  boxOf: [{ call: (mask) => door.boxOf(mask) }],
  overlay: [
    { call: (image) => door.overlay(image, dot) },
    { call: (mask) => door.overlay(picture(3, 3), mask) },
    { call: (colour) => door.overlay(picture(3, 3), dot, colour), takes: ['undefined'] },
  ],
  outline: [
    { call: (image) => door.outline(image, dot, red) },
    { call: (mask) => door.outline(picture(3, 3), mask, red) },
  ],
  tint: [
    { call: (image) => door.tint(image, dot, red, 0.5) },
    { call: (share) => door.tint(picture(3, 3), dot, red, share) },
  ],
  colourOf: [{ call: (k) => door.colourOf(k), takes: ['number'] }],
  cocoBox: [{ call: (box) => door.cocoBox(box), takes: ['null'] }],
  cutOut: [
    { call: (image) => door.cutOut(image, dot) },
    { call: (mask) => door.cutOut(picture(3, 3), mask) },
  ],
  encodeRle: [{ call: (mask) => door.encodeRle(mask) }],
  decodeRle: [{ call: (rle) => door.decodeRle(rle) }],
  decodeCoco: [{ call: (segmentation) => door.decodeCoco(segmentation, 3, 3), takes: ['empty array'] }],
  encodeBrush: [{ call: (mask) => door.encodeBrush(mask) }],
  decodeBrush: [{ call: (bytes) => door.decodeBrush(bytes, dot) }],
  encodeIndexedPng: [{ call: (masks) => door.encodeIndexedPng(masks) }],
  decodeIndexedPng: [{ call: (bytes) => door.decodeIndexedPng(bytes) }],
  polygonsOf: [{ call: (mask) => door.polygonsOf(mask) }],
  rasterizePolygons: [{ call: (polygons) => door.rasterizePolygons(polygons, 3, 3), takes: ['empty array'] }],
  toGeoJson: [{ call: (polygons) => door.toGeoJson(polygons), takes: ['empty array'] }],
  fromGeoJson: [{ call: (json) => door.fromGeoJson(json) }],
  toLabelStudio: [{ call: (mask) => door.toLabelStudio(mask) }],
  fromLabelStudio: [{ call: (results) => door.fromLabelStudio(results), takes: ['empty array'] }],
  toSvgPath: [{ call: (polygons) => door.toSvgPath(polygons), takes: ['empty array'] }],
  fromSvgPath: [{ call: (d) => door.fromSvgPath(d), takes: ['empty text'] }],
  toYolo: [{ call: (polygons) => door.toYolo(polygons, dot), takes: ['empty array'] }],
  fromYolo: [{ call: (text) => door.fromYolo(text, dot), takes: ['empty text'] }],
  caveatFields: [
    {
      call: (config) => door.caveatFields(config, { world: undefined }),
      takes: ['empty object', 'a buffer of none'],
    },
    { call: (caveats) => door.caveatFields({}, caveats), takes: ['empty object'] },
  ],
  printable: [{ call: (text) => door.printable(text), takes: ['text', 'empty text'] }],
  slug: [{ call: (text) => door.slug(text), takes: ['text', 'empty text'] }],
  quoted: [{ call: (text) => door.quoted(text), takes: ['text', 'empty text'] }],
  openFolder: [{ call: (place) => door.openFolder(place), takes: ['text', 'empty array', 'array', 'map'] }],
  openSafetensors: [{ call: (from) => door.openSafetensors(from) }],
  openCheckpoint: [{ call: (from) => door.openCheckpoint(from) }],
  parameters: [{ call: (config) => door.parameters(config) }],
  parseConfig: [{ call: (json) => door.parseConfig(json, 'config.json') }],
}

/** Elsewhere: the engine's own (test/ops/arguments.test.ts), and what is no function. */
const ELSEWHERE = ['Gpu', 'openGpu', 'EMBEDDED']

test('every function that is exported is here', () => {
  const functions = Object.entries(door).filter(
    ([name]) => !name.endsWith('Error') && !ELSEWHERE.includes(name),
  )
  expect(Object.keys(CALLS).toSorted()).toEqual(functions.map(([name]) => name).toSorted())
})

describe.each(Object.entries(CALLS).filter(([, calls]) => calls.length > 0))('%s', (_, calls) => {
  test.each(calls.map((call, i) => [i + 1, call] as const))('whatever is given, %i', (_n, call) =>
    expectTyped(call),
  )
})

/** Options of each call that has some, with one value that is right. */
const OPTIONS: Readonly<
  Record<string, { call: (options: never) => unknown; right: Readonly<Record<string, unknown>> }>
> = {
  'FlowSeg.load': {
    call: (options) => door.FlowSeg.load([], options), // loads nothing, as there are no files
    right: {
      onProgress: () => undefined,
      signal: new AbortController().signal,
      gpu: {},
      quantize: 'int8',
      cache: 'none',
      persist: false,
      headers: { a: 'b' },
      token: 'hf_x',
      endpoint: 'https://huggingface.co',
      maxScenes: 1,
      maxPending: Infinity,
    },
  },
  look: {
    call: (options) => model.look(picture(9, 9), options),
    right: { onProgress: () => undefined, signal: new AbortController().signal, padding: 'grey' },
  },
  segment: {
    call: (options) => scene.segment('a dog', options),
    right: {
      onProgress: () => undefined,
      signal: new AbortController().signal,
      output: 'host',
      flow: true,
      all: true,
      threshold: 0.5,
      task: 'reasoning',
      template: 'Find {phrase}.',
      answer: '<SEG>',
    },
  },
  'a candidate': {
    call: (options) => answer.candidates[0]!.mask(options),
    right: { onProgress: () => undefined, signal: new AbortController().signal, output: 'host' },
  },
  tune: {
    call: (options) => model.tune(inAMoment(options)),
    right: { onProgress: () => undefined, signal: new AbortController().signal, seconds: 0.001 },
  },
}

/** Tuning takes half a minute unless it is told another time, so that it is given up once its options are checked. */
function inAMoment(options: never): never {
  const isOptions = Object.getPrototypeOf(options ?? 0) === Object.prototype
  return isOptions
    ? ({ seconds: 0.001, signal: AbortSignal.abort(), ...(options as object) } as never)
    : options
}

describe.each(Object.entries(OPTIONS))('options of %s', (name, { call, right }) => {
  const outcome = (options: unknown): Promise<unknown> =>
    (async () => call(options as never))().catch((error: unknown) => error)

  test.each(Object.keys(right))('%s', async (option) => {
    // A right value does the work, which takes long, and the same in every runtime
    for (const value of thorough || runtime === 'node' ? [right[option], undefined] : []) {
      expect(await outcome({ [option]: value })).not.toBeInstanceOf(UsageError)
    }
    for (const [kind, value] of Object.entries(VALUES)) {
      if (value === undefined || isLike(value, right[option])) continue
      if (typeof value === 'string' && ANY_TEXT.includes(option)) continue
      const error = (await outcome({ [option]: value })) as Error
      expect(error, kind).toBeInstanceOf(FlowSegError)
      expect(error.message, kind).toContain(option)
    }
  })

  test('one that does not exist, and what are no options', async () => {
    const error = (await outcome({ qantize: 'int8' })) as Error
    expect(error).toBeInstanceOf(UsageError)
    expect(error.message).toContain("there is no option 'qantize'. It takes: ")
    for (const option of Object.keys(right)) expect(error.message).toContain(option)
    for (const wrong of [null, 42, 'x', [], () => 0]) {
      expect(await outcome(wrong), name).toBeInstanceOf(UsageError)
    }
    expect(await outcome({ ['\u001b[2J']: 1 })).toMatchObject({
      message: expect.stringContaining("'\\e[2J'"),
    })
  })
})

/** Options that any text may be right for: what is no address is told once it is used. */
const ANY_TEXT = ['token', 'endpoint']

/** A value of the same kind may be right as well. */
function isLike(value: unknown, right: unknown): boolean {
  if (typeof right === 'function') return typeof value === 'function'
  if (typeof right === 'boolean') return typeof value === 'boolean'
  if (typeof right === 'number') return value === 42 // whole and above 0
  if (typeof right === 'object' && !(right instanceof AbortSignal)) {
    return typeof value === 'object' && value !== null && !Array.isArray(value)
  }
  return false
}

test('a Blob that can no longer be read, and what is read once', async () => {
  const gone = new Blob([encoded])
  Object.defineProperty(gone, 'arrayBuffer', {
    value: () => Promise.reject(new DOMException('The blob could not be read', 'NotReadableError')),
  })
  const looking = model.look(gone)
  await expect(looking).rejects.toBeInstanceOf(door.ImageError)
  await expect(looking).rejects.toThrow(
    /^The Blob can't be read \(.*The blob could not be read.*\): choose the file again/,
  )

  const response = new Response(encoded)
  const looked = model.look(response as unknown as Blob)
  await expect(looked).rejects.toBeInstanceOf(door.ImageError)
  await expect(looked).rejects.toThrow('Give `await response.blob()`.')
  ;(await model.look(await response.blob())).close()
})

test('a place that is undefined says what to do', async () => {
  for (const nothing of [undefined, null, '']) {
    await expect(door.FlowSeg.load(nothing as unknown as string)).rejects.toThrow(UsageError)
    await expect(door.FlowSeg.load(nothing as unknown as string)).rejects.toThrow(
      'The model that comes with the package is FlowSeg.load() without any arguments, or EMBEDDED.',
    )
  }
})

test('stores are for choices, whoever asks', async () => {
  for (const wrong of [{ folder: 42 }, { fodler: 'x' }, null]) {
    const options = wrong as unknown as door.TunedCacheOptions
    for (const call of [door.loadTuned(identity, options), door.clearTuned(identity, options)]) {
      await expect(call).rejects.toThrow(UsageError)
    }
  }
})
