// flowseg eval: how good a model is, on sentences whose answers are known; and how good one gets without
// reading them. The data come from evaluation/source.ts, the answers from evaluation/measure.ts; they can be kept in a
// file, and those of several machines merged (evaluation/results.ts).

import { basename } from 'node:path'
import { FlowSegError } from '../../errors.ts'
import { printable } from '../../printable.ts'
import { type Command, expectOperands, type Given, type Page, SHARED, UsageError } from '../args.ts'
import { evaluateAsks, expectAsks } from '../evaluation/asks/run.ts'
import { type MeasuredImage, measure, type Row } from '../evaluation/measure.ts'
import {
  type About,
  mergeResults,
  type Results,
  ResultsFile,
  readResults,
  resultLines,
  shardName,
} from '../evaluation/results.ts'
import {
  type EvaluationData,
  type EvaluationShard,
  isIn,
  SENTENCES,
  sourceOf,
  WHOLE,
} from '../evaluation/source.ts'
import { runOf, summarise, tell } from '../evaluation/summary.ts'
import { Drafts } from '../files.ts'
import { jsonLine } from '../json.ts'
import { iouOf } from '../metrics.ts'
import { type AskSettings, askOptions, inputsOf, loadModel, MODEL_OPTIONS, openPrompts } from '../model.ts'
import { weightsLocation } from '../model-folder.ts'
import { expectApart, type Known } from '../output/outputs.ts'
import { ProgressLine } from '../output/progress-line.ts'
import { grouped, painter, type Terminal } from '../output/terminal.ts'

const page: Page = {
  name: 'eval',
  operands: '[DATA]',
  summary: 'measure a model on sentences with known answers',
  details:
    'DATA is a folder that `flowseg scenes` wrote, a JSON Lines file with an image, a sentence and a mask per line, or a ' +
    'folder of RefCOCO or ReasonSeg (docs/evaluation.md). Without any, scenes of the test split are drawn as they ' +
    `are needed, until there are ${grouped(SENTENCES)} sentences; the model has seen none of them. cIoU is the ` +
    'sum of intersections by the sum of unions, gIoU the mean IoU. Every image is taken with all its sentences. ' +
    'With --merge, the operands are the results of all shards. With --asks, scenes are asked all that the model can be ' +
    "asked: things that aren't there, several objects, other wordings, gestures, lists, questions, descriptions.",
  options: {
    count: { value: 'N', help: 'stop with the scene that brings the Nth sentence' },
    limit: { value: 'N', help: 'only the first N images' },
    split: { value: 'NAME', help: 'of RefCOCO: val, testA, testB or test; of --asks: test2, style2 or val2' },
    asks: { help: 'everything that a scene can be asked, on 120 scenes of test2, or on --limit N' },
    images: { value: 'DIR', help: 'of RefCOCO: the folder of the images, if it is no usual one' },
    exif: {
      value: 'KIND',
      help: 'upright, the default, or ignore: JPEGs as their files store them, as X-SAM evaluates; RefCOCO always has them so',
    },
    'no-oracle': { help: 'without the best of all candidates, which takes long for large images' },
    results: {
      value: 'FILE',
      help: 'keep every answer as it comes; the same command goes on where it was stopped',
    },
    shard: { value: 'I/N', help: 'the Ith of N parts of the images, 1/4 to 4/4; needs --results' },
    merge: { help: 'make one run of the results of all its shards' },
    baseline: { value: 'FILE', help: 'results of another model: how many of its failures are answered now' },
    dump: {
      value: 'FILE',
      help: 'also write a line of JSON per sentence, with the mask as lengths of runs, zeros first; or per ask',
    },
    ...MODEL_OPTIONS,
    json: SHARED.json,
  },
  examples: [
    ['eval', 'the model that comes along, on its test split'],
    ['eval --count 100', 'a first impression, in a tenth of the time'],
    ['eval scenes/ --weights models/mine --json --dump answers.jsonl', 'another model, for programs'],
    ['eval mine.jsonl --results mine.results', 'data of your own; a run that can be stopped'],
    ['eval refcoco/ --split testA --shard 1/2 --results a', 'the first half of a split of RefCOCO'],
    ['eval --merge a b', 'the figures of both halves'],
    [
      'eval --asks --limit 20',
      'absent things, several objects, gestures, lists and questions, on twenty scenes',
    ],
  ],
}

/** `flowseg eval` */
export const evaluate: Command = { page, run }

async function run(args: Given, terminal: Terminal): Promise<number> {
  if (args.has('asks')) {
    expectAsks(args)
    expectOperands(page, args, 0, 1)
    return evaluateAsks(args, terminal)
  }
  if (args.has('merge')) return merge(args, terminal)
  expectOperands(page, args, 0, 1)
  const amount = { count: args.number('count', 1), limit: args.number('limit', 1) }
  const shard = shardOption(args)
  const exif = args.oneOf('exif', ['upright', 'ignore'])
  const ask = askOptions(args)
  const source = await sourceOf(args.operands[0], amount, args, terminal)
  const asked = source.isReasoning && ask.prompt.task === undefined ? reasoning(ask) : ask
  const { config, expectSentence } = await openPrompts(asked.prompt, args, terminal)
  expectSentence('anything')
  const outputs = [args.text('dump'), args.text('results')].filter((path) => path !== undefined)
  const inputs = inputsOf(args, terminal, [...source.kept.files, ...baselineFile(args)])
  const folders = [...inputs.folders, ...source.kept.folders]
  await expectApart({ ...inputs, folders }, outputs, terminal)
  const progress = new ProgressLine(terminal)
  await source.check(expectSentence, shard, progress, terminal.signal)
  for (const note of source.notes)
    terminal.err.write(`${painter(terminal.err)('yellow', 'note')}: ${printable(note)}\n`)

  const about: About = {
    model: config.name,
    data: source.name,
    fingerprint: source.fingerprint,
    options: {
      ...asked.prompt,
      ...asked.look,
      ...amount,
      weights: basename(weightsLocation(args, terminal)), // two checkpoints of one config have one name
      config: args.text('config'),
      quantize: args.text('quantize'),
      compat: args.text('compat'),
      exif: exif === 'ignore' ? exif : undefined,
      oracle: !args.has('no-oracle'),
    },
  }
  const baseline = await openBaseline(about, args, terminal) // before the hours that the answers may take
  const measured = await answer(about, source, shard, asked, progress, args, terminal)
  await conclude(about, shard, measured, baseline, args, terminal)
  return 0
}

function reasoning({ prompt, look }: AskSettings): AskSettings {
  return { prompt: { ...prompt, task: 'reasoning' }, look }
}

/** The answers, of an earlier run as far as it came. */
async function answer(
  about: About,
  source: EvaluationData,
  shard: EvaluationShard,
  ask: AskSettings,
  progress: ProgressLine,
  args: Given,
  terminal: Terminal,
): Promise<readonly MeasuredImage[]> {
  const name = args.text('results')
  const file = name === undefined ? undefined : await ResultsFile.open(name, about, shard, terminal)
  try {
    if (file?.earlier?.isWhole) return file.earlier.measured
    const model = await loadModel(args, terminal, progress)
    try {
      const done = new Map(file?.earlier?.measured.map((one) => [one.ordinal, one]))
      const keep = async (measured: MeasuredImage): Promise<void> => file?.add(measured)
      const measured = await measure(
        model,
        source,
        { ask, hasOracle: !args.has('no-oracle'), shard, done, keep },
        progress,
        terminal,
      )
      await file?.end(measured)
      return measured
    } finally {
      progress.clear()
      model.close()
    }
  } finally {
    await file?.close()
    if (name !== undefined && terminal.signal.aborted)
      terminal.err.write(
        `The answers so far are in ${printable(name)}: the same command goes on from there.\n`,
      )
  }
}

/** `flowseg eval --merge` */
async function merge(args: Given, terminal: Terminal): Promise<number> {
  expectOperands({ ...page, operands: '--merge FILE ...' }, args, 1, Infinity)
  for (const option of [
    'shard',
    'count',
    'limit',
    'split',
    'images',
    'exif',
    'no-oracle',
    ...Object.keys(MODEL_OPTIONS),
  ]) {
    if (args.has(option))
      throw new UsageError(`--${option} doesn't go with --merge, which runs no model. Leave it out.`)
  }
  const parts = []
  for (const name of args.operands) parts.push(await readResults(name, terminal))
  const merged = mergeResults(parts)
  const outputs = [args.text('dump'), args.text('results')].filter((path) => path !== undefined)
  const files = args.operands.map((path) => ({ path, what: 'the results themselves' }))
  await expectApart({ files: [...files, ...baselineFile(args)], folders: [] }, outputs, terminal)
  const results = args.text('results')
  if (results !== undefined) {
    const drafts = new Drafts(terminal)
    drafts.add(results, resultLines(merged))
    await drafts.commit()
  }
  const baseline = await openBaseline(merged.about, args, terminal)
  await conclude(merged.about, WHOLE, merged.measured, baseline, args, terminal)
  return 0
}

/** Writes what a run has found. */
async function conclude(
  about: About,
  shard: EvaluationShard,
  measured: readonly MeasuredImage[],
  baseline: Results | undefined,
  args: Given,
  terminal: Terminal,
): Promise<void> {
  const rows = measured.flatMap((one) => one.rows)
  if (rows.length === 0) {
    throw new FlowSegError(
      'ERR_DATASET',
      shard.of === 1
        ? `${printable(about.data)} has no sentence. Give data with sentences.`
        : `There is no image in shard ${shardName(shard)} of ${printable(about.data)}. Take fewer shards.`,
    )
  }
  const before = baseline && baselineRows(baseline, shard, measured)
  const dump = args.text('dump')
  if (dump !== undefined) {
    const drafts = new Drafts(terminal)
    drafts.add(dump, rows.map((row) => jsonLine(dumped(row))).join(''))
    await drafts.commit()
  }
  const { model, data } = about
  const part = shard.of === 1 ? undefined : shardName(shard)
  tell(runOf({ model, data, shard: part }, measured), summarise(rows, before), args.has('json'), terminal)
}

function baselineFile(args: Given): Known[] {
  const path = args.text('baseline')
  return path === undefined ? [] : [{ path, what: 'the results of --baseline' }]
}

/** @throws FlowSegError 'ERR_RESULTS' if the results of --baseline are of other data */
async function openBaseline(about: About, args: Given, terminal: Terminal): Promise<Results | undefined> {
  const name = args.text('baseline')
  if (name === undefined) return undefined
  const baseline = await readResults(name, terminal)
  if (baseline.about.fingerprint === about.fingerprint) return baseline
  throw new FlowSegError('ERR_RESULTS', `${printable(name)} is of other data. Give results of the same data.`)
}

/** The rows of another model's results that are of the same sentences. */
function baselineRows(baseline: Results, shard: EvaluationShard, measured: readonly MeasuredImage[]): Row[] {
  const byPlace = new Map(baseline.measured.map((one) => [one.ordinal, one.rows]))
  return measured.flatMap(({ ordinal, rows }) => {
    const before = byPlace.get(ordinal) ?? []
    const isSame =
      before.length === rows.length && rows.every(({ sentence }, i) => before[i]?.sentence === sentence)
    if (isSame) return before
    throw new FlowSegError(
      'ERR_RESULTS',
      `${printable(baseline.name)} has no answer for image ${ordinal} of the data. Give results of all images of shard ${shardName(shard)}.`,
    )
  })
}

function shardOption(args: Given): EvaluationShard {
  const typed = args.text('shard')
  if (typed === undefined) return WHOLE
  const [, i, n] = /^(\d{1,6})\/(\d{1,6})$/.exec(typed) ?? []
  const [index, of] = [Number(i) - 1, Number(n)]
  if (!isIn({ index, of }, index) || index < 0) {
    throw new UsageError(
      `--shard is '${printable(typed)}', expected I/N such as 1/4: the first of four, up to 4/4.`,
    )
  }
  if (args.text('results') === undefined)
    throw new UsageError(
      `--shard ${typed} needs --results FILE: a file that --merge makes one of with the others.`,
    )
  return { index, of }
}

function dumped({ scene, image, sentence, kind, query, score, found, answer, runs }: Row): object {
  return { scene, image, sentence, kind, query, score, found, iou: iouOf(answer), runs }
}
