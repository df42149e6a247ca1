// A config.json is read completely or refused with a sentence that names the key, its value and what fits.

import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { WeightsError } from '../../../src/errors.ts'
import {
  featureChannels,
  featureSizes,
  gridSide,
  parseConfig,
  visionTokens,
} from '../../../src/model/checkpoint/config.ts'
import { parameters } from '../../../src/model/checkpoint/parameters.ts'

const root = new URL('../../../weights/', import.meta.url)
const read = (file: string): Record<string, unknown> =>
  JSON.parse(readFileSync(new URL(file, root), 'utf8')) as Record<string, unknown>

const SMALL = '../test/fixtures/golden/small.json'
const files = [
  'flowseg-nano/config.json',
  ...readdirSync(new URL('configs/', root)).map((file) => `configs/${file}`),
  SMALL,
  '../test/fixtures/golden/small-phi3.json',
]

test.each(files)('%s is valid and is read as it says', (file) => {
  const json = read(file)
  expect(parseConfig(json, file)).toMatchObject(json)
})

test('sizes that follow from the real configs', () => {
  const config = parseConfig(read('configs/flowseg-qwen3-4b.json'), 'config.json')
  expect(gridSide(config.siglip)).toBe(27)
  expect(gridSide(config.sam)).toBe(64)
  expect(visionTokens(config)).toBe(1753)
  expect(featureSizes(config)).toEqual([
    [32, 32],
    [64, 64],
    [128, 128],
  ])
  expect(featureChannels(config)).toEqual([2048, 1024, 512])
})

test('what a config may leave out', () => {
  const {
    flow: _flow,
    boundary: _boundary,
    prompt: _prompt,
    compat: _compat,
    name: _name,
    tasks: _tasks,
    ...rest
  } = read('configs/flowseg-phi3.json')
  const config = parseConfig(rest, 'phi3.json')
  expect(config.name).toBe('phi3.json')
  expect(config.compat).toBe('aaai')
  const sentences = ['referring', 'reasoning']
  expect(config.flow).toEqual({ condition: 'tokens', positions: true, tasks: sentences })
  expect(config.tasks).toEqual(sentences)
  expect(config.regions).toEqual({ rows: 1, pool: 'max', points: 256 })
  expect(parseConfig({ ...rest, compat: 'main' }, 'main.json').regions).toEqual({
    rows: 64,
    pool: 'mean',
    points: 256,
  })
  expect(config.presence).toEqual({ threshold: 0.5, all: 0.6 })
  expect(config.boundary).toEqual({ compress: 32, hidden: 8 })
  expect(config.prompt.chat).toBe('phi3')
  expect(config.prompt.vision).toEqual(['siglip', 'sam'])
})

/** [section, key, value or undefined to leave it out, message] */
const WRONG: [section: string, key: string, value: unknown, message: string][] = [
  ['', 'model', 'sam2', `model is "sam2", expected 'flowseg'`],
  ['', 'compat', 'old', `compat is "old", expected 'aaai' or 'main'`],
  ['', 'siglip', undefined, 'siglip is undefined, expected an object'],
  ['', 'head', [1], 'head is [1], expected an object'],
  ['', 'tasks', ['sing'], 'tasks is ["sing"], expected a list of'],
  ['', 'regions', { rows: 2 }, 'regions.rows is 2, expected 1 or 64'],
  [
    '',
    'regions',
    { rows: 64, points: 100 },
    'regions.points is 100, expected a multiple of regions.rows (64)',
  ],
  ['', 'presence', { threshold: 2 }, 'presence.threshold is 2, expected a positive number from 0 to 1'],
  ['', 'flwo', {}, 'flwo is not a key of this engine'],
  ['siglip', 'heads', 5, 'siglip.heads is 5, expected a divisor of siglip.hidden (48)'],
  ['siglip', 'layers', 1, 'siglip.layers is 1, expected 2 or more'],
  ['siglip', 'patch', 61, 'siglip.patch is 61, expected at most siglip.image (60)'],
  ['sam', 'image', -128, 'sam.image is -128, expected a positive whole number'],
  ['sam', 'patch', 7, 'sam.patch is 7, expected a divisor of sam.image (128)'],
  ['sam', 'window', '3', 'sam.window is "3", expected a positive whole number'],
  ['sam', 'globalLayers', [1, 4], 'sam.globalLayers is [1,4], expected layers from 0 to 3'],
  ['sam', 'connectorLayers', [2, 4], 'sam.connectorLayers is [2,4], expected three layers'],
  ['sam', 'llmLayer', 5, 'sam.llmLayer is 5, expected a layer from 1 to 4'],
  [
    'connector',
    'channels',
    [62, 32, 16],
    'connector.channels is [62,32,16], expected a first size that is a multiple',
  ],
  ['llm', 'type', 'llama', `llm.type is "llama", expected 'qwen3' or 'phi3'`],
  ['llm', 'hidden', undefined, 'llm.hidden is missing, expected a positive whole number'],
  ['llm', 'layers', 2.5, 'llm.layers is 2.5, expected a positive whole number'],
  ['llm', 'kvHeads', 3, 'llm.kvHeads is 3, expected a divisor of llm.heads (4)'],
  ['llm', 'headDim', 33, 'llm.headDim is 33, expected a multiple of 4 channels, at most 128.'],
  ['llm', 'headDim', 30, 'llm.headDim is 30, expected a multiple of 4 channels, at most 128.'],
  ['llm', 'headDim', 256, 'llm.headDim is 256, expected a multiple of 4 channels, at most 128.'],
  ['llm', 'ropeTheta', null, 'llm.ropeTheta is null, expected a positive number from 1 to 1000000000000'],
  ['llm', 'eps', 1e39, 'llm.eps is 1e+39, expected a positive number from 1e-12 to 1'],
  ['sam', 'eps', 1e-300, 'sam.eps is 1e-300, expected a positive number from 1e-12 to 1'],
  ['llm', 'tied', 1, 'llm.tied is 1, expected true or false'],
  ['llm', 'ropetheta', 5e6, 'llm.ropetheta is not a key of this engine; expected one of hidden'],
  ['head', 'groups', 24, 'head.groups is 24, expected a divisor of head.hidden (64)'],
  ['head', 'queries', 0, 'head.queries is 0, expected a positive whole number'],
  [
    'flow',
    'condition',
    'mean',
    `flow.condition is "mean", expected 'tokens' or 'pooled' or 'pooled+background'`,
  ],
  ['boundary', 'hidden', false, 'boundary.hidden is false, expected a positive whole number'],
  [
    'prompt',
    'template',
    'Segment it.',
    'prompt.template is "Segment it.", expected a sentence with {phrase} in it',
  ],
  ['prompt', 'answer', 'Sure.', 'prompt.answer is "Sure.", expected a sentence with <SEG> in it'],
  ['prompt', 'vision', ['siglip', 'dino'], 'prompt.vision is ["siglip","dino"], expected a list of'],
  ['prompt', 'vision', ['sam', 'sam'], 'each at most once'],
]

const KNOWS = {
  domain: 'Scenes of noise.',
  words: ['noise', 'étoile', '3d'],
  examples: ['the noise'],
  world: { threshold: 1.5, rest: 0.5 },
}

test('what a checkpoint knows', () => {
  const parse = (knows?: object) => parseConfig({ ...read(SMALL), ...(knows && { knows }) }, 'config.json')
  expect(parse()).not.toHaveProperty('knows')
  expect(parse({}).knows).toEqual({ words: [], examples: [] })
  const { knows } = parse(KNOWS)
  expect(knows).toEqual({ ...KNOWS, world: { ...KNOWS.world, axes: 24 } })
  const shapes = parameters(parse(KNOWS)).filter(({ component }) => component === 'world')
  expect(shapes.map(({ name, shape, count }) => [name, shape, count])).toEqual([
    ['world.mean', [256], 0],
    ['world.axes', [24, 256], 0],
    ['world.scale', [24], 0],
  ])
  const { world: _, ...rest } = KNOWS
  expect(parameters(parse(rest))).toEqual(parameters(parse()))
})

test.each([
  [{ words: 'noise' }, 'knows.words is "noise", expected a list of at most 50000 texts'],
  [{ words: ['noise', 'Noise'] }, 'knows.words[1] is "Noise", expected a lower-case word without spaces'],
  [{ words: ['two words'] }, 'knows.words[0] is "two words", expected a lower-case word'],
  [{ words: ['noise', 'noise'] }, 'knows.words[1] is "noise", expected'],
  [{ words: ['n'.repeat(65)] }, 'of at most 64 characters, once in the list'],
  [{ words: [null] }, 'knows.words[0] is null'],
  [{ words: ['\u001b[31m'] }, 'knows.words[0] is "\\e[31m", expected'],
  [{ words: Array.from({ length: 50_001 }, () => 'a') }, 'expected a list of at most 50000 texts'],
  [
    { examples: ['the noise', ' '] },
    'knows.examples[1] is " ", expected a sentence of at most 200 characters',
  ],
  [{ examples: ['n'.repeat(201)] }, 'knows.examples[0] is "nnn'],
  [{ domain: 5 }, 'knows.domain is 5, expected a text of at most 400 characters'],
  [{ domain: ' ' }, 'knows.domain is " ", expected a text'],
  [{ domain: 'n'.repeat(401) }, 'expected a text of at most 400 characters'],
  [{ world: [] }, 'knows.world is [], expected an object'],
  [{ world: { rest: 1 } }, 'knows.world.threshold is missing, expected a positive number'],
  [{ world: { threshold: 1, rest: 0 } }, 'knows.world.rest is 0, expected a positive number'],
  [{ world: { threshold: 1, rest: 1, axes: 1e9 } }, 'knows.world.axes is 1000000000, expected'],
  [{ word: [] }, 'knows.word is not a key of this engine; expected one of domain, words, examples, world'],
])('a config that knows %j is refused', (knows, message) => {
  const parse = () => parseConfig({ ...read(SMALL), knows }, 'small.json')
  expect(parse).toThrow(WeightsError)
  expect(parse).toThrow(message)
})

test.each(WRONG)('config.json with %s %s = %j is refused', (section, key, value, message) => {
  const json = structuredClone(read(SMALL))
  const table = section ? (json[section] as Record<string, unknown>) : json
  if (value === undefined) delete table[key]
  else table[key] = value
  const parse = () => parseConfig(json, 'small.json')
  expect(parse).toThrow(WeightsError)
  expect(parse).toThrow('small.json: ')
  expect(parse).toThrow(message)
})

// Heads of 10, 132, 14 and 6 channels
test.each([
  ['siglip', { hidden: 100, heads: 10 }, 'siglip.heads is 10, expected heads of', 'siglip.hidden (100)'],
  ['sam', { hidden: 264, heads: 2 }, 'sam.heads is 2, expected heads of', 'sam.hidden (264) makes them 132'],
  ['llm', { hidden: 56, headDim: undefined }, 'llm.headDim is 14, expected', 'a multiple of 4 channels'],
  ['head', { hidden: 96, heads: 16 }, 'head.heads is 16, expected heads of', 'head.hidden (96) makes them 6'],
])('heads that attention does not take are refused: %s %j', (section, sizes, ...messages) => {
  const json = structuredClone(read(SMALL))
  // Through text, which leaves out what is undefined
  json[section] = JSON.parse(JSON.stringify({ ...(json[section] as object), ...sizes }))
  const parse = () => parseConfig(json, 'small.json')
  for (const message of messages) expect(parse).toThrow(message)
})

test('a prompt longer than the language model reads is refused', () => {
  const json = structuredClone(read('configs/flowseg-phi3.json')) as { prompt: { maxTokens: number } }
  json.prompt.maxTokens = 2344
  expect(() => parseConfig(json, 'phi3.json')).toThrow(
    `prompt.maxTokens is 2344, expected at most 2343: llm.maxPositions less the image's rows`,
  )
})

test("regions are refused where the language model doesn't read SAM's rows", () => {
  const { prompt, ...rest } = read('configs/flowseg-phi3.json') as { prompt: object }
  const parse = () => parseConfig({ ...rest, prompt: { ...prompt, vision: ['siglip'] } }, 'phi3.json')
  expect(parse).toThrow(WeightsError)
  expect(parse).toThrow("expected no 'regions': they are sampled from SAM's rows, which prompt.vision lacks")
})

test("Phi-3's window is 2,047 keys unless the file says another, and Qwen3 has none", () => {
  const windowOf = (file: string, window?: number) => {
    const { llm, ...rest } = read(file) as { llm: Record<string, unknown> }
    const { window: _, ...sizes } = llm
    return parseConfig({ ...rest, llm: { ...sizes, ...(window === undefined ? {} : { window }) } }, file).llm
      .window
  }
  expect(windowOf('configs/flowseg-phi3.json')).toBe(2047)
  expect(windowOf('configs/flowseg-phi3.json', 512)).toBe(512)
  expect(windowOf('configs/flowseg-qwen3-4b.json')).toBeUndefined()
  expect(windowOf('configs/flowseg-qwen3-4b.json', 512)).toBe(512)
  expect(() => windowOf('configs/flowseg-phi3.json', 0)).toThrow(
    'llm.window is 0, expected a positive whole number',
  )
})

test('a file that is not an object is refused', () => {
  expect(() => parseConfig('flowseg', 'config.json')).toThrow(
    'config.json: the file is "flowseg", expected an object',
  )
})

describe('every number is bounded before anything is built with it', () => {
  /** All sizes of a config: [section, key]. */
  const sizes = ['siglip', 'sam', 'connector', 'llm', 'head', 'boundary', 'prompt'].flatMap((section) =>
    Object.entries(read(SMALL)[section] as object).flatMap(([key, value]) =>
      typeof value === 'number' ? [[section, key] as const] : [],
    ),
  )
  const changed = (section: string, key: string, value: unknown): Record<string, unknown> => {
    const json = structuredClone(read(SMALL))
    ;(json[section] as Record<string, unknown>)[key] = value
    return json
  }

  test.each(sizes)('%s.%s', (section, key) => {
    for (const value of [1e9, 2 ** 53, 1e300, Number.POSITIVE_INFINITY, -0, -1, 1e-300, Number.NaN]) {
      if (key === 'maxPositions' && value === 1e9) continue
      if (key === 'ropeTheta' && value === 1e9) continue
      const parse = () => parseConfig(changed(section, key, value), 'small.json')
      expect(parse, String(value)).toThrow(WeightsError)
      expect(parse, String(value)).toThrow(`small.json: ${section}.`)
    }
  })

  test.each([
    ['sam', 'globalLayers', Array<number>(1e6).fill(0), 'a list of whole numbers from 0 to 512, at most 512'],
    ['connector', 'channels', [64, 32, 1e9], 'a list of whole numbers from 0 to 65536, at most 3 of them'],
    ['prompt', 'template', '{phrase}'.padEnd(5000), 'a text of at most 4096 characters'],
  ])('%s.%s', (section, key, value, message) => {
    expect(() => parseConfig(changed(section, key, value), 'small.json')).toThrow(message)
  })

  test('and the largest that is taken can be listed and counted', () => {
    const json = structuredClone(read('configs/flowseg-qwen3-4b.json')) as Record<
      string,
      Record<string, unknown>
    >
    Object.assign(json['siglip']!, {
      image: 512,
      patch: 1,
      hidden: 65_536,
      heads: 1024,
      mlp: 2 ** 20,
      layers: 512,
    })
    Object.assign(json['sam']!, {
      image: 512,
      patch: 1,
      hidden: 65_536,
      heads: 1024,
      mlp: 2 ** 20,
      layers: 512,
    })
    Object.assign(json['llm']!, { hidden: 65_536, heads: 1024, kvHeads: 1024, headDim: 64, mlp: 2 ** 20 })
    Object.assign(json['llm']!, { layers: 512, vocab: 2 ** 22, maxPositions: 2 ** 31 - 1 })
    Object.assign(json['head']!, { hidden: 65_536, heads: 1024, layers: undefined, queries: 10_000 })
    delete json['head']!['layers']
    Object.assign(json['head']!, { pixelLayers: 512, decoderLayers: 512, maskLayers: 512, points: 64 })
    Object.assign(json['head']!, { pixelMlp: 2 ** 20, decoderMlp: 2 ** 20 })
    const all = parameters(parseConfig(json, 'largest.json'))
    expect(all.length).toBeLessThan(50_000)
    const total = all.reduce(
      (sum, { shape }) => sum + shape.reduce((product, n) => product * BigInt(n), 1n),
      0n,
    )
    expect(total).toBeLessThan(2n ** 53n)
  })
})

test('the config of another model is named', () => {
  const foreign = { architectures: ['Qwen2ForCausalLM'], model_type: 'qwen2\u001b[2J', hidden_size: 896 }
  expect(() => parseConfig(foreign, 'models/config.json')).toThrow(
    String.raw`models/config.json is the config of another model, of type "qwen2\e[2J", not one of FlowSeg`,
  )
})

test('keys and values are shown escaped', () => {
  const json = { ...structuredClone(read(SMALL)), 'a\nAll 999 tensors fit': 1 }
  expect(() => parseConfig(json, 'x\u202e.json')).toThrow(
    String.raw`x\u{202e}.json: a\nAll 999 tensors fit is not a key`,
  )
  expect(() => parseConfig({ ...json, compat: '\u001b]0;x' }, 'x')).toThrow(String.raw`compat is "\e]0;x"`)
})

test('a key __proto__ is only a key that nobody reads', () => {
  const json: unknown = JSON.parse(`{"__proto__": {"name": "x"}, ${JSON.stringify(read(SMALL)).slice(1)}`)
  expect(() => parseConfig(json, 'x.json')).toThrow('x.json: __proto__ is not a key of this engine')
})
