// Several images and several sentences in one run, and the options that change how the model is asked: each as in the
// library.

import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { decodeImage, encodePng, type Image } from '../../../src/io/image/image.ts'
import { FlowSeg, type Scene, type SegmentOptions } from '../../../src/model/flowseg.ts'
import { writeDataset } from '../../../src/scenes/dataset.ts'
import { anyGpu } from '../../support.ts'
import {
  filesIn,
  flowseg,
  NANO,
  ROOT,
  rewriteNano,
  temporaryFolder,
  withoutIntroduction,
} from '../cli-harness.ts'

const EXAMPLE = join(ROOT, 'examples/scene.png')
const THE_TWO = ['the umbrella', 'the dotted shape']
const gpu = await anyGpu()
afterEach(() => void vi.restoreAllMocks())
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 })

interface Line {
  readonly image: string
  readonly sentence: string
  readonly score: number
  readonly query: number
  readonly area: number
  readonly overlay: string
  readonly mask: string
  readonly error?: { readonly code: string; readonly message: string }
}

const linesOf = (out: string): Line[] =>
  out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line)

test('every image gets every sentence, from one load and a look per image', async () => {
  const cwd = await imageFolder()
  const load = vi.spyOn(FlowSeg, 'load')
  const look = vi.spyOn(FlowSeg.prototype, 'look')
  const sentences = THE_TWO.flatMap((sentence) => ['-s', sentence])
  const line = ['segment', 'A/photo.png', 'B/photo.png', ...sentences, '--mask', 'masks', '--flow', 'flow']
  const { code, out, err } = await flowseg([...line, '--json'], { cwd, gpu })
  expect([code, err]).toEqual([0, ''])
  expect([load.mock.calls.length, look.mock.calls.length]).toEqual([1, 2])

  // The answers are the library's
  const lines = linesOf(out)
  expect(lines.map(({ image, sentence }) => [image, sentence])).toEqual(
    ['A/photo.png', 'B/photo.png'].flatMap((image) => THE_TWO.map((sentence) => [image, sentence])),
  )
  const model = await FlowSeg.load(NANO, { gpu })
  for (const [i, image] of ['A/photo.png', 'B/photo.png'].entries()) {
    const scene = await model.look(await readFile(join(cwd, image)))
    for (const [j, text] of THE_TWO.entries()) {
      const { score, query, mask } = await scene.segment(text)
      expect(lines[2 * i + j]).toMatchObject({ score, query, area: mask.area })
    }
    scene.close()
  }
  model.close()
  expect(lines[0]!.area).not.toBe(lines[1]!.area)
  expect(lines[0]!.area).not.toBe(lines[2]!.area)

  // All files are there, each once
  const names = ['A', 'B'].flatMap((folder) =>
    ['the-umbrella', 'the-dotted-shape'].map((words) => `${folder}-photo-${words}`),
  )
  expect(lines.map(({ overlay }) => basename(overlay, '.png'))).toEqual(names)
  const files = await filesIn(cwd)
  for (const name of names) {
    for (const file of [
      `${name}.png`,
      `masks/${name}-mask.png`,
      `flow/${name}/flow.png`,
      `flow/${name}/layer-03.png`,
    ])
      expect(files).toContain(file)
  }
  expect(files.filter((file) => file.includes('.part'))).toEqual([])
  expect(await readFile(join(cwd, 'A/photo.png'))).toEqual(await readFile(EXAMPLE))
})

test('photo.png of one folder, then of another: both results are kept', async () => {
  const cwd = await imageFolder()
  for (const folder of ['A', 'B']) {
    expect((await flowseg(['segment', `${folder}/photo.png`, 'the umbrella'], { cwd, gpu })).code).toBe(0)
  }
  const results = ['photo-the-umbrella.png', 'photo-the-umbrella-2.png']
  expect(await filesIn(cwd)).toEqual(expect.arrayContaining(results))
  const [a, b] = await Promise.all(results.map((file) => readFile(join(cwd, file))))
  expect(a!.equals(b!)).toBe(false)
})

test('one damaged image of three is told, the others are answered, and the exit code is 1', async () => {
  const cwd = await imageFolder()
  await writeFile(join(cwd, 'bad.png'), (await readFile(EXAMPLE)).subarray(0, 3000))
  const line = ['segment', 'A/photo.png', 'bad.png', 'B/photo.png', '-s', 'the umbrella']
  const json = await flowseg([...line, '--json'], { cwd, gpu })
  expect([json.code, json.err]).toEqual([1, ''])
  const [a, bad, b] = linesOf(json.out)
  expect([a!.image, b!.image]).toEqual(['A/photo.png', 'B/photo.png'])
  expect(bad).toEqual({
    image: 'bad.png',
    error: { code: 'ERR_IMAGE', message: expect.stringContaining('bad.png is cut short') },
  })

  const text = await flowseg(line, { cwd, gpu })
  expect(text.code).toBe(1)
  expect(withoutIntroduction(text.err)).toMatch(
    /^flowseg: bad\.png is cut short.*\nflowseg: 1 of 3 images failed\.\n$/,
  )
  expect(text.out.match(/score/g)).toHaveLength(2)

  // One that is not there is known before anything is written
  const before = await filesIn(cwd)
  const gone = await flowseg(['segment', 'A/photo.png', 'gone.png', '-s', 'x'], { cwd, gpu })
  expect(gone).toEqual({ code: 1, out: '', err: 'flowseg: There is no image gone.png. Check the path.\n' })
  expect(await filesIn(cwd)).toEqual(before)
})

test('an image on standard input', async () => {
  const cwd = await temporaryFolder()
  const line = ['segment', '-', 'the umbrella', '--json']
  const { code, out } = await flowseg(line, { cwd, gpu, input: await readFile(EXAMPLE) })
  expect(code).toBe(0)
  expect(linesOf(out)).toMatchObject([{ image: '-', overlay: join(cwd, 'stdin-the-umbrella.png') }])
})

test('--padding, --task, --template and --answer are as in the library', async () => {
  const cwd = await temporaryFolder()
  const image = wide(await decodeImage(await readFile(EXAMPLE)))
  await writeFile(join(cwd, 'a.png'), encodePng(image))
  // The embedded weights don't say that they know reasoning
  const folder = join(cwd, 'model')
  await mkdir(folder)
  await rewriteNano(folder, (tensors) => tensors)
  const config = JSON.parse(await readFile(join(NANO, 'config.json'), 'utf8')) as { tasks: string[] }
  const tasks = [...config.tasks, 'reasoning']
  await writeFile(join(folder, 'config.json'), JSON.stringify({ ...config, tasks }))
  const sentence = 'The Umbrella' // reasoning keeps its case
  const candidatesOf = async (...more: string[]): Promise<unknown> => {
    const line = ['segment', 'a.png', sentence, '--json', '--out', 'o.png', '--weights', 'model', ...more]
    return (JSON.parse((await flowseg(line, { cwd, gpu })).out) as { candidates: unknown }).candidates
  }
  const plain = await candidatesOf()
  const model = await FlowSeg.load(folder, { gpu })
  const [scene, onGrey] = [await model.look(image), await model.look(image, { padding: 'grey' })]
  const options: [string, string, Scene, SegmentOptions][] = [
    ['--padding', 'grey', onGrey, {}],
    ['--task', 'reasoning', scene, { task: 'reasoning' }],
    ['--template', 'where is {phrase} then?', scene, { template: 'where is {phrase} then?' }],
    ['--answer', 'here <SEG>', scene, { answer: 'here <SEG>' }],
  ]
  for (const [option, value, own, segment] of options) {
    const { candidates } = await own.segment(sentence, segment)
    const ranking = await candidatesOf(option, value)
    expect(ranking, option).toEqual(candidates.map(({ query, score }) => ({ query, score })))
    expect(ranking, option).not.toEqual(plain)
  }
  model.close()
})

test('--compat and --config replace what the config says, also beside a manifest', async () => {
  const cwd = await imageFolder()
  const folder = join(cwd, 'model')
  await mkdir(folder)
  await rewriteNano(folder, (tensors) => tensors)
  const config = JSON.parse(await readFile(join(NANO, 'config.json'), 'utf8')) as Record<string, unknown>
  const other = config['compat'] === 'main' ? 'aaai' : 'main'
  const sha256 = '0'.repeat(64) // of another config.json: an error, unless it is replaced
  await writeFile(join(folder, 'manifest.json'), JSON.stringify({ files: { 'config.json': { sha256 } } }))
  await writeFile(join(cwd, 'other.json'), JSON.stringify({ ...config, name: 'other', compat: other }))
  await writeFile(join(cwd, 'wrong.json'), JSON.stringify({ ...config, compat: 'neither' }))
  const answer = async (...more: string[]): Promise<Line[]> => {
    const line = ['segment', 'A/photo.png', 'the umbrella', '--json', '--out', 'o.png', ...more]
    return linesOf((await flowseg(line, { cwd, gpu })).out)
  }
  const [asIs] = await answer()
  const [compat] = await answer('--compat', other)
  expect(compat!.score).not.toBe(asIs!.score)
  const weights = ['--weights', 'model']
  expect(await answer(...weights)).toMatchObject([{ error: { code: 'ERR_WEIGHTS' } }])
  expect(await answer(...weights, '--config', 'other.json')).toMatchObject([{ score: compat!.score }])
  expect(await answer('--config', 'wrong.json')).toMatchObject([
    { error: { code: 'ERR_WEIGHTS', message: expect.stringContaining('wrong.json') } },
  ])
})

test('nothing that others wrote reaches the terminal raw: sentence, path, names in a config', async () => {
  const cwd = await imageFolder()
  const evil = 'x\x1b[2J\n\u202ey'
  const config = JSON.parse(await readFile(join(NANO, 'config.json'), 'utf8')) as object
  await writeFile(join(cwd, 'evil.json'), JSON.stringify({ ...config, name: evil }))
  await copyFile(EXAMPLE, join(cwd, `${evil}.png`))
  // oxlint-disable-next-line no-control-regex
  const raw = /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]/
  const line = ['segment', `${evil}.png`, 'A/photo.png', '-s', `the umbrella${evil}`, '--out', `${evil}/`]
  const { out } = await flowseg(line, { cwd, gpu })
  const shown = 'x\\e[2J\\n\\u{202e}y'
  for (const text of [`the umbrella${shown}\n`, `  image    ${shown}.png\n`, `  overlay  ${shown}/`]) {
    expect(out).toContain(text)
  }
  expect(out).not.toMatch(raw)
  const json = await flowseg([...line, '--json'], { cwd, gpu })
  expect(json.out).not.toMatch(raw)
  expect(linesOf(json.out)).toMatchObject([{ image: `${evil}.png`, sentence: `the umbrella${evil}` }, {}])
  // The names made from the sentence and the image's name have nothing of it
  const names = await filesIn(join(cwd, evil))
  expect(names).toHaveLength(4)
  for (const name of names) expect(name).not.toMatch(raw)

  await writeDataset(join(cwd, 'data', evil), { split: 'test', count: 1 })
  const scenes = join(cwd, 'data', evil, 'scenes.jsonl')
  const scene = JSON.parse(await readFile(scenes, 'utf8')) as { sentences: object[] }
  await writeFile(scenes, `${JSON.stringify({ ...scene, sentences: scene.sentences.slice(0, 1) })}\n`)
  const measured = await flowseg(['eval', `data/${evil}`, '--config', 'evil.json'], { cwd, gpu })
  expect(measured.out).toContain(`${shown} on data/${shown}: 1 sentences`)
  expect(measured.out).not.toMatch(raw)
})

// ---------------------------------------------------------------------------------------------------------

/** The sample as A/photo.png, and its mirror image as B/photo.png. */
async function imageFolder(): Promise<string> {
  const folder = await temporaryFolder()
  for (const name of ['A', 'B']) await mkdir(join(folder, name))
  await copyFile(EXAMPLE, join(folder, 'A/photo.png'))
  await writeFile(
    join(folder, 'B/photo.png'),
    encodePng(mirrored(await decodeImage(await readFile(EXAMPLE)))),
  )
  return folder
}

/** Upside down, and one row less, so that no area is the same by chance. */
function mirrored({ width, height, rgb }: Image): Image {
  const rows = Array.from({ length: height - 1 }, (_, y) => {
    const from = 3 * width * (height - 1 - y)
    return rgb.subarray(from, from + 3 * width)
  })
  return { width, height: height - 1, rgb: new Uint8Array(Buffer.concat(rows)) }
}

/** The upper part, twice as wide as high. */
function wide({ width, rgb }: Image): Image {
  const height = width / 2
  return { width, height, rgb: rgb.slice(0, 3 * width * height) }
}
