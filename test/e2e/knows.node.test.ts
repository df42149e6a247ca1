// Each command that asks a checkpoint shows the `knows` section of its config: the domain before the answer, and with
// the answer unknown words and an image unlike those of training. Without the section they show nothing.

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { encodePng } from '../../src/io/image/image.ts'
import { TASKS } from '../../src/model/checkpoint/task-config.ts'
import { picture, smallCheckpoint } from '../model/checkpoint/small-checkpoint.ts'
import { DOMAIN, EXAMPLES, fillWorld, knowsOf } from '../model/knows/knowing.ts'
import { anyGpu } from '../support.ts'
import { flowseg, NANO, type Outcome, rewriteNano, temporaryFolder } from './cli-harness.ts'

const gpu = await anyGpu()
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 })

const FIRST = `This checkpoint knows: ${DOMAIN}\n`
const HELP = `It can be asked: ${EXAMPLES.map((example) => `"${example}"`).join(', ')}\n`
const FAR = /^ {2}world {4}the image is unlike those that it knows: distance \d+\.\d\d, known up to 0\.00$/m

/** A folder with a picture, and the weights of a model that says this of itself. */
async function setUp(knows: object | undefined): Promise<string> {
  const cwd = await temporaryFolder()
  const config = { tasks: [...TASKS], presence: { threshold: 0.0001, all: 0.0001 }, ...(knows && { knows }) }
  await mkdir(join(cwd, 'model'))
  for (const file of smallCheckpoint({ maxTokens: 900, positions: 4000, config, edit: fillWorld })) {
    await writeFile(join(cwd, 'model', file.name), new Uint8Array(await file.arrayBuffer()))
  }
  await writeFile(join(cwd, 'photo.png'), encodePng(picture(40, 30)))
  return cwd
}

const ask = (cwd: string, ...args: string[]): Promise<Outcome> =>
  flowseg([...args, '--weights', 'model'], { cwd, gpu })

const fieldsOf = async (cwd: string, ...args: string[]): Promise<Record<string, unknown>> => {
  const { out, err } = await ask(cwd, ...args, '--json')
  expect(err).toBe('') // the answer has it
  return JSON.parse(out) as Record<string, unknown>
}

/** Commands with words, of which it knows neither "dragon" nor "mug". */
const IN_WORDS = [
  ['segment', ['segment', 'photo.png', 'the Dragon left of the mug']],
  ['segment --all', ['segment', 'photo.png', 'the Dragon left of the mug', '--all']],
  ['categories', ['categories', 'photo.png', '--things', 'cat, Dragon', '--stuff', 'sky, mug']],
  ['ask', ['ask', 'photo.png', 'Is the Dragon left of the mug?', '--max-tokens', '4']],
  ['ask --explain', ['ask', 'photo.png', 'the Dragon left of the mug', '--explain', '--max-tokens', '4']],
] as const
const WITHOUT_WORDS = [
  ['a point', ['segment', 'photo.png', '--point', '12,8']],
  ['everything like it', ['segment', 'photo.png', '--box', '4,5,30,20', '--like']],
  ['describe', ['describe', 'photo.png', '--max-tokens', '4']],
] as const

describe('of an image that is unlike those of training', () => {
  test.each(IN_WORDS)('%s', async (_, args) => {
    const cwd = await setUp(knowsOf('foreign'))
    const { out, err } = await ask(cwd, ...args)
    expect(err).toBe(FIRST + HELP)
    expect(out).toMatch(/^ {2}words {4}it doesn't know 'Dragon' or 'mug'$/m)
    expect(out).toMatch(FAR)
    expect(await fieldsOf(cwd, ...args)).toMatchObject({
      unknownWords: ['Dragon', 'mug'],
      world: { distance: expect.any(Number), threshold: 0.001, isKnown: false },
      knows: { domain: DOMAIN, examples: EXAMPLES },
    })
  })

  test.each(WITHOUT_WORDS)('%s: no examples, and no words', async (_, args) => {
    const cwd = await setUp(knowsOf('foreign'))
    const { out, err } = await ask(cwd, ...args)
    expect(err).toBe(FIRST)
    expect(out).toMatch(FAR)
    expect(out).not.toMatch(/^ {2}words/m)
    const fields = await fieldsOf(cwd, ...args)
    expect(fields).toMatchObject({ world: { isKnown: false }, knows: { domain: DOMAIN } })
    expect(fields).not.toHaveProperty('unknownWords')
  })
})

test('where it knows everything, the answer has no more lines than without', async () => {
  const [cwd, silent] = [await setUp(knowsOf('known')), await setUp(undefined)]
  const args = ['segment', 'photo.png', 'the umbrellas left of the clcok']
  const [answer, plain] = [await ask(cwd, ...args), await ask(silent, ...args)]
  const labels = (text: string): (string | undefined)[] => text.split('\n').map((line) => line.slice(0, 9))
  expect(labels(answer.out)).toEqual(labels(plain.out))
  expect([answer.err, plain.err]).toEqual([FIRST + HELP, ''])
  expect(await fieldsOf(cwd, ...args)).toMatchObject({ unknownWords: [], world: { isKnown: true } })
  const fields = await fieldsOf(silent, ...args)
  for (const name of ['unknownWords', 'world', 'knows']) expect(fields).not.toHaveProperty(name)
})

test('what a config leaves out is not told, and what strangers wrote in it is escaped', async () => {
  const cwd = await setUp({ domain: 'Scans\u001b[2J of leaves.' })
  const { out, err } = await ask(cwd, 'segment', 'photo.png', 'the dragon')
  expect(err).toBe('This checkpoint knows: Scans\\e[2J of leaves.\n')
  expect(out).not.toMatch(/^ {2}(words|world)/m)
  const fields = await fieldsOf(cwd, 'segment', 'photo.png', 'the dragon')
  expect(fields['knows']).toEqual({ domain: 'Scans\u001b[2J of leaves.', examples: [] })
  expect(fields).not.toHaveProperty('unknownWords')
  expect(fields).not.toHaveProperty('world')

  const many = await setUp({ examples: Array.from({ length: 9 }, (_, i) => `the leaf ${i}`) })
  const some = await ask(many, 'segment', 'photo.png', 'the leaf 3')
  expect(some.err).toBe('It can be asked: "the leaf 0", "the leaf 1", "the leaf 2", "the leaf 3"\n')
})

test('several images and sentences: the domain is told once, and each answer has its own words', async () => {
  const cwd = await setUp(knowsOf('foreign'))
  await writeFile(join(cwd, 'other.png'), encodePng(picture(30, 40)))
  const args = ['segment', 'photo.png', 'other.png', '-s', 'the cat', '-s', 'the mug']
  const { out, err } = await ask(cwd, ...args)
  expect(err).toBe(FIRST + HELP)
  expect(out.match(/it doesn't know 'mug'/g)).toHaveLength(2)
  expect(out.match(/unlike those that it knows/g)).toHaveLength(4)
})

test('what is refused before the model is loaded is refused without a word more', async () => {
  const cwd = await setUp(knowsOf('known'))
  const { code, err } = await ask(cwd, 'segment', 'photo.png', 'the <SEG>')
  expect(code).not.toBe(0)
  expect(err).not.toContain(DOMAIN)
})

test('not found is named as such, whatever was asked', async () => {
  const cwd = await setUp(undefined)
  for (const [, args] of [IN_WORDS[0], IN_WORDS[1], WITHOUT_WORDS[0], WITHOUT_WORDS[1]]) {
    const { code, out } = await ask(cwd, ...args, '--threshold', '1')
    expect([code, out]).toEqual([3, expect.stringContaining('Not found: ')])
  }
  const list = await ask(cwd, ...IN_WORDS[2][1], '--mode', 'instance', '--threshold', '1')
  expect([list.code, list.out]).toEqual([3, expect.stringContaining('Not found: nothing of the list')])
})

test('inspect lists what a config says that the model knows', async () => {
  const cwd = await setUp(knowsOf('foreign'))
  for (const place of ['model', 'model/config.json']) {
    const { code, out } = await flowseg(['inspect', place], { cwd, gpu })
    expect(code).toBe(0)
    expect(out).toMatch(/What it says that it knows/)
    expect(out).toMatch(new RegExp(`domain +${DOMAIN}`))
    expect(out).toMatch(/tasks +referring, reasoning, categories/)
    expect(out).toMatch(/words +\d\d\n +examples +"the umbrella"\n +"all the dotted shapes"\n/)
    expect(out).toMatch(/images +known up to a distance of 0\.00, along 3 axes/)
    const json = await flowseg(['inspect', place, '--json'], { cwd, gpu })
    expect(JSON.parse(json.out)).toMatchObject({ knows: { ...knowsOf('foreign'), tasks: TASKS } })
  }
  const silent = await setUp(undefined)
  expect((await flowseg(['inspect', 'model'], { cwd: silent, gpu })).out).not.toContain('says that it knows')
  const json = await flowseg(['inspect', 'model', '--json'], { cwd: silent, gpu })
  expect(JSON.parse(json.out)).not.toHaveProperty('knows')
})

test('the demo tells it as well, and what is not found', async () => {
  const cwd = await temporaryFolder()
  await mkdir(join(cwd, 'model'))
  await rewriteNano(join(cwd, 'model'), (tensors) => tensors.filter(({ name }) => !name.startsWith('world.')))
  const config = JSON.parse(await readFile(join(NANO, 'config.json'), 'utf8')) as object
  const knows = { domain: DOMAIN, words: ['the', 'shape'], examples: EXAMPLES }
  await writeFile(
    join(cwd, 'model/config.json'),
    JSON.stringify({ ...config, presence: { threshold: 1, all: 1 }, knows }),
  )
  const { code, out, err } = await flowseg(['demo', '--weights', 'model'], { cwd, gpu })
  expect([code, err]).toEqual([0, FIRST + HELP])
  expect(out.match(/Not found, score 0\.\d{3}, IoU with the truth 0\.000/g)).toHaveLength(3)
  expect(out).toContain("it doesn't know 'dotted'")
  const json = await flowseg(['demo', '--weights', 'model', '--json'], { cwd, gpu })
  expect(JSON.parse(json.out)).toMatchObject([
    { found: false, iou: 0, unknownWords: ['dotted'], knows: { domain: DOMAIN } },
    { found: false, unknownWords: ['what', 'keeps', 'you', 'dry', 'in', 'rain'] },
    { found: false, instances: 0, iou: 0, unknownWords: ['both', 'cacti'] },
    { found: false, unknownWords: ['rocket'] }, // and it isn't there
  ])
})
