// The figures of a run, as a table or as JSON. They are computed from intersections and unions alone, in the order of
// the data: those of merged shards are those of the whole run, to the bit.

import { expectDefined } from '../../check.ts'
import type { Times } from '../../model/flowseg.ts'
import { printable } from '../../printable.ts'
import { SENTENCE_KINDS } from '../../scenes/sentences.ts'
import { jsonLine } from '../json.ts'
import { type Metrics, metricsOf, type Overlap, type Rescue, rescueOf } from '../metrics.ts'
import { grouped, painter, type Terminal, table } from '../output/terminal.ts'
import { duration, type MeasuredImage, type Row } from './measure.ts'

interface Scored extends Metrics {
  /** Share of sentences whose answer counts as found; none of a floor. */
  readonly found?: number
  /** cIoU of the best candidates, where they were looked for. */
  readonly oracle?: number
}

/** The figures. */
export interface Summary {
  /** The measures over all sentences. */
  readonly all: Scored
  /** The measures per kind, our own kinds first; empty if no sentence has one. */
  readonly kinds: Readonly<Record<string, Scored>>
  /** The measures of the two floors; `largest` is missing where the data list no objects. */
  readonly floors: { readonly largest?: Metrics; readonly shuffled: Metrics }
  /** Medians, milliseconds. */
  readonly times: Times
  /** The results on sentences that another model fails at, if its results were given. */
  readonly rescue?: readonly Rescue[]
}

/** The run that they are of. */
export interface Run {
  /** The model's name, as its config.json has it. */
  readonly model: string
  /** The names of all adapters that took part, separated by commas. */
  readonly adapter: string
  /** The data's name, as the user typed it. */
  readonly data: string
  /** '1/4', of a part of the data. */
  readonly shard?: string
  /** Images that were measured. */
  readonly scenes: number
  /** The sum of the images' seconds, in whatever process each was measured. */
  readonly seconds: number
}

/** The run as its results tell it. */
export function runOf(
  { model, data, shard }: { model: string; data: string; shard: string | undefined },
  measured: readonly MeasuredImage[],
): Run {
  return {
    model,
    adapter: [...new Set(measured.map(({ adapter }) => adapter))].join(', '),
    data,
    ...(shard !== undefined && { shard }),
    scenes: measured.length,
    seconds: measured.reduce((sum, { seconds }) => sum + seconds, 0),
  }
}

/**
 * The figures of these rows.
 *
 * @param baseline the same sentences, as another model answers them
 */
export function summarise(rows: readonly Row[], baseline?: readonly Row[]): Summary {
  const scored = (some: readonly Row[]): Scored => {
    const best = some.flatMap((row): Overlap[] => (row.oracle ? [row.oracle] : []))
    const oracle = best.length === some.length ? metricsOf(best).cIoU : undefined
    return {
      ...metricsOf(some.map(({ answer }) => answer)),
      found: some.filter(({ found }) => found).length / some.length,
      ...(oracle !== undefined && { oracle }),
    }
  }
  const kinds = kindsIn(rows).map((kind) => [kind, rows.filter((row) => (row.kind ?? '') === kind)] as const)
  const times = (step: keyof Times): number => median(rows.map((row) => row.times[step]))
  const largest = rows.flatMap((row): Overlap[] => (row.largest ? [row.largest] : []))
  return {
    all: scored(rows),
    kinds: Object.fromEntries(kinds.map(([kind, some]) => [kind, scored(some)])),
    floors: {
      ...(largest.length === rows.length && { largest: metricsOf(largest) }),
      shuffled: metricsOf(rows.map(({ shuffled }) => shuffled)),
    },
    times: { look: times('look'), read: times('read'), segment: times('segment') },
    ...(baseline && { rescue: rescueOf(answersOf(baseline), answersOf(rows)) }),
  }
}

function answersOf(rows: readonly Row[]): Overlap[] {
  return rows.map(({ answer }) => answer)
}

/** Our own kinds first, then others as they come; '' is that of sentences without one, beside others that have one. */
function kindsIn(rows: readonly Row[]): string[] {
  const there = new Set(rows.map(({ kind = '' }) => kind))
  const own: readonly string[] = SENTENCE_KINDS
  const kinds = [
    ...own.filter((kind) => there.has(kind)),
    ...[...there].filter((kind) => !own.includes(kind)),
  ]
  return kinds.length === 1 && kinds[0] === '' ? [] : kinds
}

/** Writes the figures, as a line of JSON or as a table. */
export function tell(run: Run, summary: Summary, asJson: boolean, { out }: Terminal): void {
  if (asJson) {
    out.write(jsonLine({ ...run, ...summary }))
    return
  }
  const { all, kinds, floors, times, rescue = [] } = summary
  const paint = painter(out)
  const row = (name: string, m: Scored): string[] => [
    name,
    grouped(m.sentences),
    digits(m.cIoU),
    digits(m.gIoU),
    digits(m.half),
    m.found === undefined ? '' : digits(m.found),
    m.oracle === undefined ? '' : digits(m.oracle),
  ]
  const [head = '', total = '', ...rest] = table([
    ['', 'sentences', 'cIoU', 'gIoU', 'IoU >= 0.5', 'found', all.oracle === undefined ? '' : 'oracle cIoU'],
    row('all', all),
    ...Object.entries(kinds).map(([kind, m]) => row(`  ${kind || '(no kind)'}`, m)),
    ...(floors.largest ? [row('floor: largest object', floors.largest)] : []),
    row('floor: shuffled sentence', floors.shuffled),
  ])
  const { model, adapter, data, shard, scenes, seconds } = run
  const part = shard === undefined ? '' : ` (shard ${shard})`
  const lines = [
    `${printable(model)} on ${printable(data)}${part}: ${grouped(all.sentences)} sentences about ${grouped(scenes)} ${scenes === 1 ? 'scene' : 'scenes'}, ${duration(seconds)}`,
    '',
    paint('dim', head),
    paint('bold', total),
    ...rest,
    ...rescue.map((one) => `\n${rescueLine(one)}`),
    '',
    `median look ${times.look.toFixed(0)} ms, read ${times.read.toFixed(0)} ms, segment ${times.segment.toFixed(0)} ms on ${printable(adapter)}`,
  ]
  out.write(`${lines.join('\n')}\n`)
}

function rescueLine({ threshold, sentences, before, after, rescued }: Rescue): string {
  if (before === null) return `The baseline has an IoU of at least ${threshold} for every sentence.`
  const [mean, share] = [
    expectDefined(after ?? undefined, 'a mean'),
    expectDefined(rescued ?? undefined, 'a share'),
  ]
  return (
    `Of ${grouped(sentences)} sentences with a baseline IoU below ${threshold}, ${(100 * share).toFixed(1)} % reach it now; ` +
    `their mean IoU goes from ${digits(before)} to ${digits(mean)}.`
  )
}

function digits(value: number): string {
  return value.toFixed(4)
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0
}
