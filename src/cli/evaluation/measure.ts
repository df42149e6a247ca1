// Measures a model on one image after the other. Two floors come from the same runs:
//
//   largest    always the largest object of the scene
//   shuffled   what the model answers to another sentence about the same image
//
// The oracle takes, for every sentence, the best of all candidates: what a perfect choice would reach.

import { entryOf, expectDefined, lastOf } from '../../check.ts'
import type { FlowSeg, Scene, Segmentation, Times } from '../../model/flowseg.ts'
import { type Bits, iouOf, metricsOf, type Overlap, overlap } from '../metrics.ts'
import type { AskSettings } from '../model.ts'
import type { ProgressLine } from '../output/progress-line.ts'
import { maskFromLogits } from '../output/resample.ts'
import { grouped, type Terminal } from '../output/terminal.ts'
import { type EvaluationData, type EvaluationShard, type Item, isIn } from './source.ts'

/** Between two lines about progress when nobody watches. */
export const REPORT_SECONDS = 15

/** A sentence, its answer, and what we make of it. */
export interface Row {
  /** The number that the image goes by in its data. */
  readonly scene: number
  /** The image's file, of data that have one. */
  readonly image?: string | undefined
  /** As it was asked. */
  readonly sentence: string
  /** The data's own word for sentences of this sort; undefined if they have none. */
  readonly kind?: string | undefined
  /** Index of the query that won. */
  readonly query: number
  /** The model's confidence in it, from 0 to 1. */
  readonly score: number
  /** True if the model takes it to be there. */
  readonly found: boolean
  /** The overlap of the answer's mask with the truth, without the pixels that don't count. */
  readonly answer: Overlap
  /** Undefined if nobody asked for it. */
  readonly oracle?: Overlap | undefined
  /** The overlap of the largest object with the truth; undefined where the data list no objects. */
  readonly largest?: Overlap | undefined
  /** The overlap of another sentence's mask with this one's truth. */
  readonly shuffled: Overlap
  /** The mask, see runsOf. */
  readonly runs: readonly number[]
  /** Milliseconds of each step; all sentences of an image share its look. */
  readonly times: Times
}

/** The rows of an image. */
export interface MeasuredImage {
  /** The image's place among all of the data. */
  readonly ordinal: number
  /** The name of the adapter that answered. */
  readonly adapter: string
  /** From the end of the image before to the end of this one, reading included. */
  readonly seconds: number
  /** One per sentence, in the order of the data. */
  readonly rows: readonly Row[]
}

/** The settings of a measurement. */
export interface MeasureOptions {
  /** Prompt and padding, the same for all images. */
  readonly ask: AskSettings
  /** True to find the candidate with the largest overlap as well, which compares all of them on the host. */
  readonly hasOracle: boolean
  /** The images to measure; the others are passed over. */
  readonly shard: EvaluationShard
  /** The images that an earlier run measured, by the image's ordinal. */
  readonly done: ReadonlyMap<number, MeasuredImage>
  /** Takes the rows of each image, once they are there. */
  readonly keep: (measured: MeasuredImage) => Promise<void>
}

/** @returns the rows of the shard, in the order of the data */
export async function measure(
  model: FlowSeg,
  source: EvaluationData,
  { ask, hasOracle, shard, done, keep }: MeasureOptions,
  progress: ProgressLine,
  terminal: Terminal,
): Promise<MeasuredImage[]> {
  const all: MeasuredImage[] = []
  const rows: Row[] = []
  const started = performance.now()
  let [last, reported] = [started, started]
  let [scenes, sentences] = [0, 0]
  let measuredShare = 0
  let elsewhere = 'the largest object'
  for await (const item of source.scenes) {
    const ordinal = scenes++
    const before = source.share(ordinal, sentences)
    sentences += item.questions.length
    if (isIn(shard, ordinal)) {
      const known = done.get(ordinal)
      const own =
        known?.rows ?? (await measureItem(model, item, elsewhere, { ask, hasOracle }, terminal.signal))
      rows.push(...own)
      const now = performance.now()
      const measured = known ?? { ordinal, adapter: model.gpu.name, seconds: (now - last) / 1000, rows: own }
      last = now
      all.push(measured)
      if (!known) await keep(measured)

      const share = Math.min(1, source.share(scenes, sentences))
      if (!known) measuredShare += share - before
      const left = ((now - started) / 1000) * ((1 - share) / measuredShare)
      const line = `${grouped(rows.length)} sentences, ${duration(left)} left`
      progress.show('eval', share, line)
      if (!terminal.err.isTTY && now - reported > REPORT_SECONDS * 1000) {
        reported = now
        const { cIoU } = metricsOf(rows.map(({ answer }) => answer))
        terminal.err.write(`eval: ${Math.floor(100 * share)} %, ${line}, cIoU so far ${cIoU.toFixed(3)}\n`)
      }
    }
    elsewhere = item.questions.at(-1)?.text ?? elsewhere
    if (sentences >= source.wanted) break
  }
  return all
}

/** @param elsewhere a sentence about another scene, for one that has no second sentence of its own */
async function measureItem(
  model: FlowSeg,
  item: Item,
  elsewhere: string,
  { ask: { look, prompt }, hasOracle }: Pick<MeasureOptions, 'ask' | 'hasOracle'>,
  signal: AbortSignal,
): Promise<Row[]> {
  const image = await item.read(signal)
  const scene = await model.look(image, { ...look, signal })
  try {
    const answers: Segmentation[] = []
    const options = { ...prompt, signal }
    for (const { text } of item.questions)
      answers.push(await scene.segment(text, { ...options, ...(hasOracle && { flow: true }) }))
    const others = item.questions.length > 1 ? answers : [await scene.segment(elsewhere, options)]
    const largest = await item.largest?.(image, signal)

    const rows: Row[] = []
    for (const [i, question] of item.questions.entries()) {
      const { text, kind } = question
      const result = entryOf(answers, i)
      const { mask, ignored } = await question.truth(image, signal)
      const compare = (bits: Bits): Overlap => overlap(bits, mask, ignored)
      const answer = compare(result.mask.data)
      const side = model.config.sam.image
      const best = hasOracle ? await bestCandidate(result, compare, scene, side, signal) : undefined
      rows.push({
        scene: item.scene,
        ...(item.image !== undefined && { image: item.image }),
        sentence: text,
        ...(kind !== undefined && { kind }),
        query: result.query,
        score: result.score,
        found: result.found,
        answer,
        ...(best && { oracle: better(answer, best) }),
        ...(largest && { largest: compare(largest) }),
        // The next sentence's answer: a shuffle that leaves none in its place
        shuffled: compare(entryOf(others, (i + 1) % others.length).mask.data),
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
  compare: (bits: Bits) => Overlap,
  scene: Scene,
  canvas: number,
  signal: AbortSignal,
): Promise<Overlap> {
  const { masks } = lastOf(expectDefined(flow, 'the flow'))
  const ious = candidates.map(({ query }) => {
    const logits = masks.subarray(query * height * width, (query + 1) * height * width)
    const mask = maskFromLogits(logits, [height, width], canvas, crop, [scene.height, scene.width])
    return iouOf(compare(mask.data))
  })
  const best = entryOf(candidates, ious.indexOf(Math.max(...ious)))
  return compare((await best.mask({ signal })).data)
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

/** '40 s', '12 min'. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '...'
  return seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`
}
