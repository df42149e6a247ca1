// The commands that run the model: what they write and print, and that nothing is written when anything fails.

import { copyFile, readFile, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, expect, test, vi } from 'vitest'
import { maskFromLogits } from '../../../src/cli/output/resample.ts'
import { crc32 } from '../../../src/io/image/crc32.ts'
import { decodeImage, encodePng } from '../../../src/io/image/image.ts'
import type { TensorData } from '../../../src/io/safetensors.ts'
import { FlowSeg } from '../../../src/model/flowseg.ts'
import { type DatasetScene, datasetScene, writeDataset } from '../../../src/scenes/dataset.ts'
import { SIZE } from '../../../src/scenes/scene.ts'
import { upToDate } from '../../built.ts'
import { adapterNames, anyGpu } from '../../support.ts'
import {
  copySmallFiles,
  filesIn,
  flowseg,
  NANO,
  ROOT,
  rewriteNano,
  spawnFlowseg,
  temporaryFolder,
  withoutWarnings,
} from '../cli-harness.ts'

const EXAMPLE = join(ROOT, 'examples/scene.png')
const example = JSON.parse(await readFile(join(ROOT, 'examples/scene.json'), 'utf8')) as {
  split: 'test'
  index: number
  sentences: { text: string; kind?: string; category?: string; all?: boolean; truth?: string }[]
}
const SENTENCE = example.sentences[0]!.text

// Most of a run without a GPU is compiling kernels: the runs in this process share theirs
const gpu = await anyGpu()
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 })

// ---- segment

test('segment writes an overlay, a mask and the flow, and shows how it went', async () => {
  const cwd = await imageFolder()
  const { code, out, err } = await flowseg(
    ['segment', 'photo.png', SENTENCE, '--mask', 'm.png', '--flow', 'flow'],
    { cwd, gpu, isTTY: true },
  )
  expect(code).toBe(0)
  expect(err).toMatch(/upload.*%/)
  expect(err.endsWith('\r\x1b[K')).toBe(true)
  const overlay = `photo-${SENTENCE.replaceAll(' ', '-')}.png`
  expect(out).toContain('▀')
  for (const line of [
    /score +[01]\.\d{3}/,
    /area +[\d,]+ pixels/,
    /look [\d.]+ ms, read [\d.]+ ms, segment/,
  ]) {
    expect(out).toMatch(line)
  }
  for (const file of [overlay, 'm.png', 'flow/flow.png']) expect(out).toContain(file)
  const layers = ['layer-00.png', 'layer-01.png', 'layer-02.png', 'layer-03.png']
  const flow = ['flow.json', 'flow.png', ...layers].map((name) => join('flow', name))
  expect(await filesIn(cwd)).toEqual(['flow', ...flow, 'm.png', overlay, 'photo.png'].sort())

  const image = await decodeImage(await readFile(EXAMPLE))
  const drawn = await decodeImage(await readFile(join(cwd, overlay)))
  const mask = await decodeImage(await readFile(join(cwd, 'm.png')))
  expect([drawn.width, drawn.height, mask.width, mask.height]).toEqual([256, 256, 256, 256])
  expect([...new Set(mask.rgb)].every((v) => v === 0 || v === 255)).toBe(true)
  expect(drawn.rgb).not.toEqual(image.rgb)
  const account = JSON.parse(await readFile(join(cwd, 'flow/flow.json'), 'utf8')) as { layers: object[] }
  expect(account.layers).toHaveLength(4)
  expect(account.layers[3]).toMatchObject({ layer: 3, gate: expect.any(Number), moved: expect.any(Number) })
})

test('segment --json prints one object whose numbers are those of the mask', async () => {
  const cwd = await imageFolder()
  const args = [
    'segment',
    'photo.png',
    SENTENCE,
    '--json',
    '--out',
    'new/o.png',
    '--mask',
    'm.png',
    '--task',
    'referring',
  ]
  const { code, out, err } = await flowseg(args, { cwd, gpu })
  expect([code, err]).toEqual([0, ''])
  const result = JSON.parse(out) as Record<string, unknown> & {
    area: number
    box: number[] | null
    candidates: { query: number; score: number }[]
  }
  expect(Object.keys(result).sort()).toEqual(
    [
      'area',
      'box',
      'candidates',
      'flow',
      'found',
      'image',
      'knows',
      'mask',
      'overlay',
      'query',
      'score',
      'sentence',
      'times',
      'unknownWords',
      'world',
    ].sort(),
  )
  expect(result).toMatchObject({ image: 'photo.png', sentence: SENTENCE, flow: null })
  expect(result['overlay']).toBe(join(cwd, 'new/o.png'))
  const inside = (await decodeImage(await readFile(join(cwd, 'm.png')))).rgb.filter(
    (v, i) => i % 3 === 0 && v === 255,
  )
  expect(result.area).toBe(inside.length)
  expect(result.candidates[0]).toEqual({ query: result['query'], score: result['score'] })
  const scores = result.candidates.map(({ score }) => score)
  expect(scores).toEqual([...scores].sort((a, b) => b - a))
})

// ---- Bad input (nothing is written, the exit code is not 0, the message says what to do)

const big = encodePng({ width: 1, height: 1, rgb: new Uint8Array(3) })
const header = new DataView(big.buffer, big.byteOffset)
header.setUint32(16, 20_000)
header.setUint32(20, 20_000)
header.setUint32(29, crc32(big.subarray(12, 29)))

test.each<[string, Uint8Array | null, RegExp]>([
  ['missing', null, /There is no image photo\.png/],
  ['no image', new TextEncoder().encode('hello, world, I am text'), /photo\.png is not an image/],
  ['0 bytes', new Uint8Array(), /photo\.png is empty/],
  ['truncated', (await readFile(EXAMPLE)).subarray(0, 3000), /photo\.png is cut short/],
  ['20,000 x 20,000', big, /20000 x 20000 pixels.*limit/],
])('a bad image: %s', async (_, bytes, message) => {
  const cwd = await temporaryFolder()
  if (bytes) await writeFile(join(cwd, 'photo.png'), bytes)
  await expectFailure(['segment', 'photo.png', 'the cat', '--mask', 'm.png'], cwd, message)
})

test.each([
  ['', /The sentence is empty/],
  ['  \n ', /The sentence is empty/],
  ['the <p> red', /holds "<p>"/],
  ['the <SEG> one', /holds "<SEG>"/],
  ['very '.repeat(200), /prompt of \d+ tokens; this model takes 160/],
])('a bad sentence: %j', async (sentence, message) => {
  await expectFailure(['segment', 'photo.png', sentence], await imageFolder(), message)
})

const damages: Record<string, { damage: (folder: string) => Promise<void>; message: RegExp }> = {
  'no folder': { damage: async () => undefined, message: /There is no folder/ },
  'no weights': {
    damage: copySmallFiles,
    message: /There are no weights in .*: neither model\.safetensors nor pytorch_model\.bin/,
  },
  'no tokenizer': {
    damage: async (folder) => copyFile(join(NANO, 'config.json'), join(folder, 'config.json')),
    message: /There is no tokenizer\.json/,
  },
  truncated: {
    damage: async (folder) => {
      await rewriteNano(folder, (tensors) => tensors)
      const file = join(folder, 'model.safetensors')
      await truncate(file, (await stat(file)).size - 1000)
    },
    message: /model\.safetensors.*(truncated|cut short|ends|incomplete|bytes)/,
  },
  'bit-flipped header': {
    damage: async (folder) => {
      await rewriteNano(folder, (tensors) => tensors)
      const file = join(folder, 'model.safetensors')
      const bytes = await readFile(file)
      bytes[40]! ^= 0x80
      await writeFile(file, bytes)
    },
    message: /model\.safetensors/,
  },
  'bit-flipped data': {
    damage: async (folder) => {
      await copySmallFiles(folder)
      const bytes = await readFile(join(NANO, 'model.safetensors'))
      bytes[bytes.length >> 1]! ^= 1
      await writeFile(join(folder, 'model.safetensors'), bytes)
    },
    message: /model\.safetensors, tensor ".*": its bytes are damaged/,
  },
  'wrong shape': {
    damage: (folder) => rewriteNano(folder, replacing({ shape: [160], bytes: new Uint8Array(640) })),
    message: /bg_embeds\.weight is \[160\], expected \[1, 64\]/,
  },
  'wrong dtype': {
    damage: (folder) => rewriteNano(folder, replacing({ dtype: 'I32', bytes: new Uint8Array(256) })),
    message: /bg_embeds\.weight is I32, expected one of F32, F16, BF16/,
  },
  'missing tensor': {
    damage: (folder) =>
      rewriteNano(folder, (tensors) => tensors.filter(({ name }) => name !== 'bg_embeds.weight')),
    message: /1 of the \d+ tensors that flowseg-nano needs are missing: bg_embeds\.weight/,
  },
  'config of another model': {
    damage: async (folder) => {
      await rewriteNano(folder, (tensors) => tensors)
      const config = JSON.parse(await readFile(join(NANO, 'config.json'), 'utf8')) as {
        sam: { hidden: number }
      }
      config.sam.hidden *= 2
      await writeFile(join(folder, 'config.json'), JSON.stringify(config))
    },
    message: /Does config\.json belong to this checkpoint\?/,
  },
  'config that is no JSON': {
    damage: async (folder) => {
      await copySmallFiles(folder)
      await writeFile(join(folder, 'config.json'), '{"model": ')
    },
    message: /config\.json in .* is not JSON: .*copy or download it again/,
  },
}

test.each(Object.keys(damages))('bad weights: %s', async (name) => {
  const { damage, message } = damages[name]!
  const cwd = await imageFolder()
  const weights = name === 'no folder' ? join(cwd, 'nowhere') : await temporaryFolder()
  await damage(weights)
  await expectFailure(['segment', 'photo.png', SENTENCE, '--weights', weights], cwd, message)
})

test('an adapter that is not there', async () => {
  const args = ['segment', 'photo.png', SENTENCE, '--adapter', 'Voodoo 2']
  await expectFailure(args, await imageFolder(), /No WebGPU adapter matches 'Voodoo 2'/)
})

// ---- eval

test('eval measures a dataset: metrics, oracle, floors, kinds, and a line a sentence', async () => {
  // Two scenes, the second with a single sentence
  const cwd = await temporaryFolder()
  const folder = join(cwd, 'scenes')
  await writeDataset(folder, { split: 'test', start: 40, count: 2 })
  const scenes = [shortened(datasetScene('test', 40), 4), shortened(datasetScene('test', 41), 1)]
  const lines = scenes.map(
    ({ index, objects, sentences }) => `${JSON.stringify({ index, objects, sentences })}\n`,
  )
  await writeFile(join(folder, 'scenes.jsonl'), lines.join(''))
  const sentences = scenes.flatMap((scene) => scene.sentences)

  const { code, out, err } = await flowseg(['eval', 'scenes', '--json', '--dump', 'd.jsonl'], { cwd, gpu })
  expect(code).toBe(0)
  expect(err).toMatch(/^(eval: .* left, cIoU so far .*\n)*$/) // on a slow machine, a line now and then
  const result = JSON.parse(out) as {
    all: { sentences: number; cIoU: number; gIoU: number; half: number; found: number; oracle: number }
    kinds: Record<string, { sentences: number }>
    floors: { largest: { cIoU: number }; shuffled: { sentences: number } }
  }
  expect(result).toMatchObject({ model: 'flowseg-nano', data: 'scenes', scenes: 2 })
  expect([result.all.sentences, result.floors.shuffled.sentences]).toEqual([5, 5])
  expect(result.all.oracle).toBeGreaterThanOrEqual(result.all.cIoU)
  expect(Object.values(result.kinds).reduce((sum, kind) => sum + kind.sentences, 0)).toBe(5)

  // The floor of the largest object follows from the scenes alone
  let [intersection, union] = [0, 0]
  for (const scene of scenes) {
    const areas = scene.objects.map(({ area }) => area)
    const largest = areas.indexOf(Math.max(...areas))
    for (const { target } of scene.sentences) {
      if (target === largest) intersection += areas[target]!
      union += target === largest ? areas[target]! : areas[target]! + areas[largest]!
    }
  }
  expect(result.floors.largest.cIoU).toBeCloseTo(intersection / union, 12)

  const rows = (await readFile(join(cwd, 'd.jsonl'), 'utf8')).trim().split('\n')
  const dumped = rows.map(
    (row) => JSON.parse(row) as { sentence: string; found: boolean; iou: number; runs: number[] },
  )
  expect(dumped.map(({ sentence }) => sentence)).toEqual(sentences.map(({ text }) => text))
  expect(dumped[0]).toMatchObject({ scene: 40, kind: sentences[0]!.kind, query: expect.any(Number) })
  const pixels = dumped.map(({ runs }) => runs.reduce((sum, length) => sum + length, 0))
  expect(pixels).toEqual(dumped.map(() => SIZE ** 2))
  const mean = dumped.reduce((sum, { iou }) => sum + iou, 0) / dumped.length
  expect(result.all.gIoU).toBeCloseTo(mean, 12)
  expect(result.all.found).toBe(dumped.filter(({ found }) => found).length / dumped.length)

  // As a table, and only as much as asked for
  const some = await flowseg(['eval', 'scenes', '--count', '1'], { cwd, gpu })
  expect(some.out).toContain('flowseg-nano on scenes: 4 sentences about 1 scene,')
  expect(some.out).not.toContain('\x1b')
  for (const word of ['cIoU', 'oracle', 'floor: largest object', 'floor: shuffled sentence', 'median look']) {
    expect(some.out).toContain(word)
  }
})

function shortened(scene: DatasetScene, sentences: number): DatasetScene {
  return { ...scene, sentences: scene.sentences.slice(0, sentences) }
}

test('eval of what is no dataset', async () => {
  const empty = await temporaryFolder()
  await expectFailure(['eval', '.'], empty, /There is no dataset in \./)
  await expectFailure(['eval', 'nowhere.jsonl'], empty, /There is nothing at nowhere\.jsonl\. Check the path/)
})

test('masks made on the host are those of the device', async () => {
  const model = await FlowSeg.load(NANO, { gpu })
  try {
    const image = {
      width: 200,
      height: 131,
      rgb: (await decodeImage(await readFile(EXAMPLE))).rgb.slice(0, 200 * 131 * 3),
    }
    const scene = await model.look(image)
    const { logits, mask, canvas } = await scene.segment(SENTENCE)
    const { height, width, refined } = logits
    const side = model.config.sam.image
    const host = maskFromLogits(refined, [height, width], side, canvas, [image.height, image.width])
    const different = host.data.reduce((sum, bit, i) => sum + (bit === mask.data[i] ? 0 : 1), 0)
    expect(different).toBeLessThanOrEqual(2) // f64 here, f32 there: only a logit of zero may flip
    scene.close()
  } finally {
    model.close()
  }
})

// ---- doctor

test('doctor passes on this machine', async () => {
  const { code, out } = await flowseg(['doctor'], { cwd: ROOT })
  expect(out).toMatch(/pass +linear/)
  expect(out).toMatch(/pass +conv2d/)
  expect(out).toMatch(/pass +attention/)
  expect(out).toMatch(/[\d.]+ GFLOP\/s/)
  expect(code).toBe(0)
  const json = JSON.parse((await flowseg(['doctor', '--json'], { cwd: ROOT })).out) as { gflops: number }
  expect(json.gflops).toBeGreaterThan(0)
  expect(json).toMatchObject({ adapter: expect.any(String), features: { subgroups: expect.any(Boolean) } })
})

// ---- The built command

const NO_DRIVERS = {
  VK_ICD_FILENAMES: '/nowhere/none.json',
  VK_DRIVER_FILES: '/nowhere/none.json',
  XDG_CACHE_HOME: '/dev/null',
  TMPDIR: '/dev/null',
}

beforeAll(async () => {
  await upToDate()
})

test('demo works from any folder, finds what is there and no more, and prints nothing but its JSON', async () => {
  const cwd = await temporaryFolder()
  const { code, out, err } = await spawnFlowseg(['demo', '--json'], { cwd })
  expect([code, withoutWarnings(err)]).toEqual([0, ''])
  const answers = JSON.parse(out) as {
    image: string
    sentence: string
    found: boolean
    instances?: number
    iou?: number
    overlay: string
  }[]
  expect(answers.map(({ sentence }) => sentence)).toEqual(example.sentences.map(({ text }) => text))
  expect(answers.map(({ found }) => found)).toEqual(example.sentences.map(({ truth }) => truth !== undefined))
  expect(answers.map(({ instances }) => instances)).toEqual(
    example.sentences.map(({ all }) => (all ? 2 : undefined)),
  )
  for (const { sentence, found, iou = NaN, overlay, image } of answers) {
    if (found) expect(iou, sentence).toBeGreaterThanOrEqual(0.85)
    expect(Object.keys(answers[0]!)).toEqual(
      expect.arrayContaining(['image', 'sentence', 'found', 'score', 'iou', 'overlay']),
    )
    expect((await decodeImage(await readFile(overlay))).width).toBe(
      (await decodeImage(await readFile(image))).width,
    )
  }
  expect((await filesIn(cwd)).slice(0, 1)).toEqual(['out'])
  expect(await filesIn(join(cwd, 'out'))).toHaveLength(example.sentences.length)
})

test('the sample is a scene of the test split, with its true masks', async () => {
  const scene = datasetScene(example.split, example.index)
  expect((await decodeImage(await readFile(EXAMPLE))).rgb).toEqual(scene.rgb)
  const objectsOf = (category: string): number[] =>
    scene.objects.flatMap((object, i) => (object.category === category ? [i] : []))
  for (const { text, kind, category = '', truth } of example.sentences) {
    const { target } =
      scene.sentences.find((sentence) => sentence.text === text && sentence.kind === kind) ?? {}
    const targets = target === undefined ? objectsOf(category) : [target]
    expect(targets.length > 0, text).toBe(truth !== undefined)
    if (truth === undefined) continue
    const { rgb } = await decodeImage(await readFile(join(ROOT, 'examples', truth)))
    const expected = scene.ids.map((id) => (targets.includes(id - 1) ? 255 : 0))
    expect(rgb.filter((_, i) => i % 3 === 0)).toEqual(expected)
  }
})

test.runIf(process.platform === 'linux')(
  'without any driver: NoAdapterError, and how to get one',
  async () => {
    const cwd = await imageFolder()
    const { code, out, err } = await spawnFlowseg(['segment', 'photo.png', 'x'], { cwd, env: NO_DRIVERS })
    expect(err).toMatch(/^flowseg: No WebGPU adapter\. Tried: .*\(1\).*\(2\).*\(3\)/m) // after Dawn's own warnings
    expect([code, out]).toEqual([1, ''])
    expect(await filesIn(cwd)).toEqual(['photo.png'])

    const doctor = await spawnFlowseg(['doctor'], { cwd, env: NO_DRIVERS })
    expect(doctor.code).toBe(1)
    expect(doctor.out).toContain('No WebGPU adapter')
    expect(doctor.out).toMatch(/^ {2}tried SwiftShader from npm \(.+\)$/m)
    expect(doctor.out).toMatch(/^ {2}2 {2}.*npm install @sparticuz\/chromium/m)
  },
)

// Drivers that cache compiled kernels are done with them before the weights are up; SwiftShader caches none
const swiftShader = adapterNames().find((name) => /swiftshader/i.test(name))

test.each(['upload', 'run'])('Ctrl-C at "%s": exit code 130, nothing written', (phase) =>
  expectInterrupted(phase),
)

test.skipIf(!swiftShader)('Ctrl-C at "compile" on SwiftShader: exit code 130, nothing written', () =>
  expectInterrupted('compile', '--adapter', swiftShader!),
)

async function expectInterrupted(phase: string, ...options: string[]): Promise<void> {
  const cwd = await imageFolder()
  const line = ['segment', 'photo.png', SENTENCE, '--mask', 'm.png', ...options]
  const { code, out, err } = await spawnFlowseg(line, {
    cwd,
    env: { FLOWSEG_DEBUG: '1' },
    onErr: (text, kill) => {
      if (text.includes(`progress: ${phase}`) && !text.includes('interrupted')) kill('SIGINT')
    },
  })
  expect(err).toMatch(/flowseg: interrupted\n$/)
  expect([code, out]).toEqual([130, ''])
  expect(await filesIn(cwd)).toEqual(['photo.png'])
}

// ---------------------------------------------------------------------------------------------------------

/** A folder with the sample as photo.png. */
async function imageFolder(): Promise<string> {
  const folder = await temporaryFolder()
  await copyFile(EXAMPLE, join(folder, 'photo.png'))
  return folder
}

async function expectFailure(args: readonly string[], cwd: string, message: RegExp): Promise<void> {
  const before = await filesIn(cwd)
  const { code, out, err } = await flowseg(args, { cwd, gpu })
  expect(err).toMatch(message)
  expect(err).toMatch(/^flowseg: /)
  expect(err).not.toMatch(/fault of ours|^ +at /m)
  expect([code, out]).toEqual([1, ''])
  expect(await filesIn(cwd)).toEqual(before)
}

function replacing(other: Partial<TensorData>): (tensors: TensorData[]) => TensorData[] {
  return (tensors) => tensors.map((x) => (x.name === 'bg_embeds.weight' ? { ...x, ...other } : x))
}
