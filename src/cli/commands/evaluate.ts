// flowseg eval: how good a model is, on sentences whose answers are known; and how good one gets without
// reading them. Two floors are computed from the same runs:
//
//   largest    always the largest object of the scene
//   shuffled   what the model answers to another sentence about the same image
//
// The oracle takes, for every sentence, the best of all candidates: what a perfect choice would reach.

import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { entryOf, expectDefined, lastOf } from '../../check.ts'
import { FlowSegError } from '../../errors.ts'
import type { FlowSeg, Scene, Segmentation, Times } from '../../model/flowseg.ts'
import { printable, reasonOf } from '../../printable.ts'
import { type DatasetScene, datasetScene, readDataset, readManifest } from '../../scenes/dataset.ts'
import { SENTENCE_KINDS } from '../../scenes/sentences.ts'
import { type Command, expectOperands, type Given, type Page, SHARED } from '../args.ts'
import { Drafts } from '../files.ts'
import { jsonLine } from '../json.ts'
import { type Bits, iouOf, type Metrics, metricsOf, type Overlap, overlap } from '../metrics.ts'
import {
  type AskOptions,
  askOptions,
  checkSentences,
  loadModel,
  MODEL_OPTIONS,
  modelFolders,
} from '../model.ts'
import { expectApart } from '../output/outputs.ts'
import { ProgressLine } from '../output/progress-line.ts'
import { maskFromLogits } from '../output/resample.ts'
import { grouped, painter, type Terminal, table } from '../output/terminal.ts'

/** Sentences of the test split, at least. */
const SENTENCES = 1000
/** Between two lines about progress when nobody watches. */
const REPORT_SECONDS = 15

const page: Page = {
  name: 'eval',
  operands: '[DATASET]',
  summary: 'measure a model on sentences with known answers',
  details:
    'DATASET is a folder that `flowseg scenes` wrote. Without one, scenes of the test split are drawn as they ' +
    `are needed, until there are ${grouped(SENTENCES)} sentences; the model has seen none of them. cIoU is the ` +
    'sum of intersections by the sum of unions, gIoU the mean IoU. Every scene is taken with all its sentences.',
  options: {
    count: { value: 'N', help: 'stop with the scene that brings the Nth sentence' },
    dump: {
      value: 'FILE',
      help: 'also write a line of JSON a sentence, with the mask as lengths of runs, zeros first',
    },
    ...MODEL_OPTIONS,
    json: SHARED.json,
  },
  examples: [
    ['eval', 'the model that comes along, on its test split'],
    ['eval --count 100', 'a first impression, in a tenth of the time'],
    ['eval scenes/ --weights models/mine --json --dump answers.jsonl', 'another model, for programs'],
  ],
}

/** The files that --dump must not overwrite. */
const DATASET_FILES = ['scenes.json', 'scenes.jsonl', 'images.u8', 'ids.u8']

/** `flowseg eval` */
export const evaluate: Command = { page, run }

/** A sentence, its answer, and what we make of it. */
interface Row {
  readonly scene: number
  readonly sentence: string
  readonly kind: string
  readonly query: number
  readonly score: number
  readonly answer: Overlap
  readonly oracle: Overlap
  readonly largest: Overlap
  readonly shuffled: Overlap
  /** The mask, see runsOf. */
  readonly runs: readonly number[]
  readonly times: Times
}

interface Scored extends Metrics {
  /** cIoU of the best candidates. */
  readonly oracle: number
}

interface Summary {
  readonly all: Scored
  readonly kinds: Readonly<Record<string, Scored>>
  readonly floors: { readonly largest: Metrics; readonly shuffled: Metrics }
  /** Medians, milliseconds. */
  readonly times: Times
}

/** The data to measure on. */
interface Source {
  readonly name: string
  readonly scenes: AsyncIterable<DatasetScene>
  /** It ends with the scene that brings this many sentences. */
  readonly wanted: number
  /** The share that is done, in [0, 1]. */
  readonly share: (scenes: number, sentences: number) => number
}

async function run(args: Given, terminal: Terminal): Promise<number> {
  expectOperands(page, args, 0, 1)
  const count = args.number('count', 1)
  const ask = askOptions(args)
  const source = await sourceOf(args.operands[0], count, terminal)
  const dump = args.text('dump')
  await checkSentences(['anything'], ask.prompt, args, terminal)
  const files = args.operands.flatMap((folder) =>
    DATASET_FILES.map((name) => ({ path: join(folder, name), what: 'the dataset itself' })),
  )
  const kept = { files, folders: modelFolders(args, terminal) }
  await expectApart(kept, dump === undefined ? [] : [dump], terminal)

  const progress = new ProgressLine(terminal)
  const model = await loadModel(args, terminal, progress)
  try {
    const started = performance.now()
    const { rows, scenes } = await measure(model, source, ask, progress, terminal)
    progress.clear()
    const seconds = (performance.now() - started) / 1000

    if (dump !== undefined) {
      const drafts = new Drafts(terminal)
      drafts.add(dump, rows.map((row) => jsonLine(dumped(row))).join(''))
      await drafts.commit()
    }
    const summary = summarise(rows)
    const about = { model: model.config.name, adapter: model.gpu.name, data: source.name, scenes, seconds }
    if (args.has('json')) terminal.out.write(jsonLine({ ...about, ...summary }))
    else tell(about, summary, terminal)
    return 0
  } finally {
    progress.clear()
    model.close()
  }
}

/** @throws FlowSegError 'ERR_DATASET', of its scenes too */
export async function sourceOf(
  folder: string | undefined,
  count: number | undefined,
  { cwd }: Pick<Terminal, 'cwd'>,
): Promise<Source> {
  if (folder === undefined) {
    const wanted = count ?? SENTENCES
    return { name: 'test split', scenes: testSplit(), wanted, share: (_, sentences) => sentences / wanted }
  }
  const path = resolve(cwd, folder)
  if (!existsSync(join(path, 'scenes.json'))) {
    throw new FlowSegError(
      'ERR_DATASET',
      `There is no dataset in ${printable(folder)}: scenes.json is missing. \`flowseg scenes ${printable(folder)}\` writes one.`,
    )
  }
  const manifest = await readManifest(path).catch((cause: unknown) => {
    throw damaged(folder, cause)
  })
  const share = (scenes: number, sentences: number): number =>
    count === undefined ? scenes / manifest.count : sentences / count
  const wanted = count ?? Number.POSITIVE_INFINITY
  return { name: folder, scenes: checked(readDataset(path), folder), wanted, share }
}

async function* testSplit(): AsyncGenerator<DatasetScene> {
  for (let index = 0; ; index++) yield datasetScene('test', index)
}

async function* checked(scenes: AsyncIterable<DatasetScene>, folder: string): AsyncGenerator<DatasetScene> {
  try {
    yield* scenes
  } catch (cause) {
    throw damaged(folder, cause)
  }
}

function damaged(folder: string, cause: unknown): FlowSegError {
  return new FlowSegError(
    'ERR_DATASET',
    `The dataset in ${printable(folder)} is damaged: ${reasonOf(cause)}. Write it again.`,
    {
      cause,
    },
  )
}

// ---------------------------------------------------------------------------------------------------------
// Measuring

async function measure(
  model: FlowSeg,
  source: Source,
  ask: AskOptions,
  progress: ProgressLine,
  terminal: Terminal,
): Promise<{ rows: Row[]; scenes: number }> {
  const rows: Row[] = []
  const started = performance.now()
  let reported = started
  let scenes = 0
  let elsewhere = 'the largest object'
  for await (const scene of source.scenes) {
    rows.push(...(await measureScene(model, scene, elsewhere, ask, terminal.signal)))
    elsewhere = scene.sentences.at(-1)?.text ?? elsewhere
    scenes++

    const now = performance.now()
    const share = Math.min(1, source.share(scenes, rows.length))
    const left = ((now - started) / 1000) * (1 / share - 1)
    const line = `${grouped(rows.length)} sentences, ${duration(left)} left`
    progress.show('eval', share, line)
    if (!terminal.err.isTTY && now - reported > REPORT_SECONDS * 1000) {
      reported = now
      const { cIoU } = metricsOf(rows.map(({ answer }) => answer))
      terminal.err.write(`eval: ${Math.floor(100 * share)} %, ${line}, cIoU so far ${cIoU.toFixed(3)}\n`)
    }
    if (rows.length >= source.wanted) break
  }
  return { rows, scenes }
}

/** @param elsewhere a sentence about another scene, for one that has no second sentence of its own */
async function measureScene(
  model: FlowSeg,
  { index, objects, sentences, rgb, ids }: DatasetScene,
  elsewhere: string,
  { look, prompt }: AskOptions,
  signal: AbortSignal,
): Promise<Row[]> {
  const side = Math.sqrt(ids.length)
  const scene = await model.look({ width: side, height: side, rgb }, { ...look, signal })
  try {
    const answers: Segmentation[] = []
    const options = { ...prompt, signal }
    for (const { text } of sentences) answers.push(await scene.segment(text, { ...options, flow: true }))
    const others = sentences.length > 1 ? answers : [await scene.segment(elsewhere, options)]
    const areas = objects.map(({ area }) => area)
    const largest = bitsOf(ids, areas.indexOf(Math.max(...areas)))

    const rows: Row[] = []
    for (const [i, { text, kind, target }] of sentences.entries()) {
      const result = entryOf(answers, i)
      const truth = bitsOf(ids, target)
      const answer = overlap(result.mask.data, truth)
      rows.push({
        scene: index,
        sentence: text,
        kind,
        query: result.query,
        score: result.score,
        answer,
        oracle: better(answer, await bestCandidate(result, truth, scene, model.config.sam.image, signal)),
        largest: overlap(largest, truth),
        // The next sentence's answer: a shuffle that leaves none in its place
        shuffled: overlap(entryOf(others, (i + 1) % others.length).mask.data, truth),
        runs: runsOf(result.mask.data),
        times: result.times,
      })
    }
    return rows
  } finally {
    scene.close()
  }
}

/** Finds the candidate whose unrefined mask fits best, then has that one finished like an answer. */
async function bestCandidate(
  { candidates, flow, logits: { height, width }, canvas: crop }: Segmentation,
  truth: Bits,
  scene: Scene,
  canvas: number,
  signal: AbortSignal,
): Promise<Overlap> {
  const { masks } = lastOf(expectDefined(flow, 'the flow'))
  const ious = candidates.map(({ query }) => {
    const logits = masks.subarray(query * height * width, (query + 1) * height * width)
    const mask = maskFromLogits(logits, [height, width], canvas, crop, [scene.height, scene.width])
    return iouOf(overlap(mask.data, truth))
  })
  const best = entryOf(candidates, ious.indexOf(Math.max(...ious)))
  return overlap((await best.mask({ signal })).data, truth)
}

function better(a: Overlap, b: Overlap): Overlap {
  return iouOf(b) > iouOf(a) ? b : a
}

/** Lengths of runs row by row, zeros first: all of a mask in a line of JSON. */
function runsOf(bits: Uint8Array): number[] {
  const runs: number[] = []
  for (let i = 0, begin = 0, bit = 0; i <= bits.length; i++) {
    if (i < bits.length && bits[i] === bit) continue
    runs.push(i - begin)
    begin = i
    bit = 1 - bit
  }
  return runs
}

function bitsOf(ids: Uint8Array, object: number): Uint8Array {
  return ids.map((id) => (id === object + 1 ? 1 : 0))
}

// ---------------------------------------------------------------------------------------------------------
// Telling

function summarise(rows: readonly Row[]): Summary {
  const scored = (some: readonly Row[]): Scored => ({
    ...metricsOf(some.map(({ answer }) => answer)),
    oracle: metricsOf(some.map(({ oracle }) => oracle)).cIoU,
  })
  const kinds = SENTENCE_KINDS.map((kind) => [kind, rows.filter((row) => row.kind === kind)] as const)
  const times = (step: keyof Times): number => median(rows.map((row) => row.times[step]))
  return {
    all: scored(rows),
    kinds: Object.fromEntries(
      kinds.flatMap(([kind, some]) => (some.length > 0 ? [[kind, scored(some)]] : [])),
    ),
    floors: {
      largest: metricsOf(rows.map(({ largest }) => largest)),
      shuffled: metricsOf(rows.map(({ shuffled }) => shuffled)),
    },
    times: { look: times('look'), read: times('read'), segment: times('segment') },
  }
}

function dumped({ scene, sentence, kind, query, score, answer, runs }: Row): object {
  return { scene, sentence, kind, query, score, iou: iouOf(answer), runs }
}

function tell(
  about: { model: string; adapter: string; data: string; scenes: number; seconds: number },
  { all, kinds, floors, times }: Summary,
  { out }: Terminal,
): void {
  const paint = painter(out)
  const digits = (value: number): string => value.toFixed(4)
  const row = (name: string, m: Metrics, oracle = ''): string[] => [
    name,
    grouped(m.sentences),
    digits(m.cIoU),
    digits(m.gIoU),
    digits(m.half),
    oracle,
  ]
  const [head = '', total = '', ...rest] = table([
    ['', 'sentences', 'cIoU', 'gIoU', 'IoU >= 0.5', 'oracle cIoU'],
    row('all', all, digits(all.oracle)),
    ...Object.entries(kinds).map(([kind, m]) => row(`  ${kind}`, m, digits(m.oracle))),
    row('floor: largest object', floors.largest),
    row('floor: shuffled sentence', floors.shuffled),
  ])
  const { model, adapter, data, scenes, seconds } = about
  const lines = [
    `${printable(model)} on ${printable(data)}: ${grouped(all.sentences)} sentences about ${grouped(scenes)} ${scenes === 1 ? 'scene' : 'scenes'}, ${duration(seconds)}`,
    '',
    paint('dim', head),
    paint('bold', total),
    ...rest,
    '',
    `median look ${times.look.toFixed(0)} ms, read ${times.read.toFixed(0)} ms, segment ${times.segment.toFixed(0)} ms on ${adapter}`,
  ]
  out.write(`${lines.join('\n')}\n`)
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0
}

function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '...'
  return seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`
}
