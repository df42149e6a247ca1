// flowseg tune: measures which kernels are the fastest here, and keeps the choices for all other commands.

import { entryOf } from '../../check.ts'
import { openGpu } from '../../gpu/gpu.ts'
import { FlowSeg } from '../../model/flowseg.ts'
import { clearTuned, saveTuned } from '../../model/tuned-cache.ts'
import { printable } from '../../printable.ts'
import { isReached } from '../../tuning/choose.ts'
import type { CandidateReport, ClassReport, Tuning } from '../../tuning/report.ts'
import { type Command, expectOperands, type Given, type Page, SHARED, UsageError } from '../args.ts'
import { adapterOption, tunedCacheOptions } from '../engine.ts'
import { jsonLine } from '../json.ts'
import { weightsLocation } from '../model-folder.ts'
import { ProgressLine } from '../output/progress-line.ts'
import { painter, type Terminal, table } from '../output/terminal.ts'

const page: Page = {
  name: 'tune',
  operands: '',
  summary: 'measure which kernels are the fastest here, and keep the choices',
  details:
    'Times the variants of every kernel family on the shapes that the model has, on this adapter. A variant that ' +
    'computes something else than the reference, or not the same bits twice, is never taken here. What was found is ' +
    'kept for this adapter, driver and version; all commands take it, unless --no-tune or FLOWSEG_TUNE=off. ' +
    "FLOWSEG_VARIANTS='matmul=registers' takes a variant by force.",
  options: {
    seconds: {
      value: 'N',
      help: 'how long it may take, 30 by default; what is not reached keeps its default',
    },
    forget: { help: 'delete the choices that are kept for this adapter, and measure nothing' },
    weights: SHARED.weights,
    adapter: SHARED.adapter,
    json: SHARED.json,
  },
  examples: [
    ['tune', 'the model that comes along, on the default adapter'],
    [
      'tune --weights my-model/ --adapter llvmpipe --seconds 120',
      'another model, another adapter, more time',
    ],
    ['tune --forget', 'back to the defaults'],
  ],
}

/** `flowseg tune` */
export const tune: Command = { page, run }

async function run(args: Given, terminal: Terminal): Promise<number> {
  expectOperands(page, args, 0)
  const seconds = args.number('seconds', 1) ?? 30
  const json = args.has('json')
  const { out, err, env, signal } = terminal
  const where = tunedCacheOptions(env)
  if (args.has('forget')) return forget(args, terminal)

  const progress = new ProgressLine(terminal)
  const task = { onProgress: progress.on, signal }
  const gpu = args.text('adapter') === undefined ? terminal.gpu : undefined
  const model = await FlowSeg.load(weightsLocation(args, terminal), {
    gpu: gpu ?? adapterOption(args),
    ...task,
  })
  try {
    const tuning = await model.tune({ seconds, ...task })
    progress.clear()
    const file = await saveTuned(tuning.tuned, where)
    const about = { model: model.config.name, adapter: model.gpu.name, file }
    if (json) out.write(jsonLine({ ...about, ...tuning }))
    else out.write(`${lines(tuning, about, terminal).join('\n')}\n`)
    const vetoes = Object.entries(tuning.tuned.vetoes)
    for (const [variant, reason] of vetoes) {
      err.write(
        `${painter(err)('yellow', 'note')}: ${variant} computes wrong on this adapter (${printable(reason)}). It won't be taken here; please report it.\n`,
      )
    }
    return 0
  } finally {
    progress.clear()
    model.close()
  }
}

async function forget(args: Given, terminal: Terminal): Promise<number> {
  for (const option of ['seconds', 'weights']) {
    if (args.has(option)) throw new UsageError(`--forget measures nothing: leave --${option} out.`)
  }
  const own = args.text('adapter') === undefined ? terminal.gpu : undefined
  const gpu = own ?? (await openGpu(adapterOption(args)))
  try {
    const file = (await clearTuned(gpu.identity, tunedCacheOptions(terminal.env))) ?? null
    const text = file ? `Deleted: ${printable(file, Infinity)}` : `No choices are kept for ${gpu.name}.`
    terminal.out.write(args.has('json') ? jsonLine({ adapter: gpu.name, forgotten: file }) : `${text}\n`)
    return 0
  } finally {
    if (!own) gpu.close()
  }
}

function lines(
  { classes, weights, seconds, before, after }: Tuning,
  about: { readonly model: string; readonly adapter: string; readonly file: string },
  { out }: Terminal,
): string[] {
  const paint = painter(out)
  const shown = classes.flatMap((one, i) =>
    one.skipped || one.candidates.every(({ verdict }) => verdict === 'untried')
      ? []
      : [{ one, other: siblingOf(classes, i) }],
  )
  const titles = ['', 'shapes', 'count', 'share', 'choice', 'ms', 'why']
  const rows = table([titles, ...shown.map(({ one }) => rowOf(one, after))], [0, 1, 4, 6])
  const others = shown.map(({ one, other }) => othersOf(one, other))
  const unmeasured = unmeasuredText(classes)
  const left = classes.filter((one) => !one.skipped && !isReached(one)).length
  const faster = before > 1.02 * after ? `, ${(before / after).toFixed(2)}x faster` : ''
  return [
    paint('bold', about.adapter),
    `${printable(about.model)}, measured in ${seconds.toFixed(1)} s`,
    '',
    ...rows.flatMap((row, i) => {
      if (i === 0) return [paint('dim', row)] // the titles
      const more = others[i - 1]
      return more ? [row, paint('dim', `        ${more}`)] : [row]
    }),
    ...(left > 0 ? [`${left} more were not reached, or not in full: give it more --seconds.`] : []),
    paint('dim', 'In brackets what the cost model predicted: 1 is the least.'),
    ...(unmeasured ? [paint('dim', unmeasured)] : []),
    '',
    ...(weights ? [`Weights in ${weights.choice}: ${weights.why}.`] : []),
    `An image and a sentence: ${before.toFixed(1)} ms of these kernels by default, ${after.toFixed(1)} ms as chosen${faster}.`,
    `Saved in ${printable(about.file, Infinity)}`,
    paint(
      'dim',
      '--no-tune or FLOWSEG_TUNE=off takes the defaults; flowseg tune --forget goes back to them.',
    ),
  ]
}

/** The variants that are made for GPUs and that no GPU had measured, in a sentence; undefined if there are none. */
export function unmeasuredText(
  classes: readonly Pick<ClassReport, 'family' | 'candidates'>[],
): string | undefined {
  const names = classes.flatMap(({ family, candidates }) =>
    candidates.filter((one) => one.measuredOnGpu === false).map(({ name }) => `${family}/${name}`),
  )
  if (names.length === 0) return undefined
  return `No GPU had measured these before: ${[...new Set(names)].join(', ')}.`
}

/** The report of the same class of shapes in the other weight layout, if that was skipped. */
function siblingOf(classes: readonly ClassReport[], i: number): ClassReport | undefined {
  const { layout } = entryOf(classes, i)
  const other = layout === 'rows' ? classes[i + 1] : layout === 'packed' ? classes[i - 1] : undefined
  return other?.skipped ? other : undefined
}

function rowOf(
  { family, shapes, count, choice = 'none', why, candidates }: ClassReport,
  total: number,
): string[] {
  const ms = candidates.find(({ name }) => name === choice)?.ms
  const share = ms === undefined ? '-' : `${((100 * count * ms) / total).toFixed(1)} %`
  return [family, shapes, `${count}`, share, choice, ms === undefined ? '-' : ms.toPrecision(3), why]
}

/** The other variants that were tried. */
function othersOf({ candidates, choice }: ClassReport, other: ClassReport | undefined): string {
  return [
    ...candidates.filter(({ name }) => name !== choice).map((one) => candidateText(one)),
    ...(other ? other.candidates : [])
      .filter(({ verdict }) => verdict !== 'untried')
      .map((one) => candidateText(one, other?.layout === 'packed' ? ' packed' : ' in rows')),
  ].join(', ')
}

function candidateText({ name, predicted, ms, verdict, reason }: CandidateReport, layout = ''): string {
  const outcome = ms === undefined ? `${verdict}${reason ? `: ${reason}` : ''}` : `${ms.toPrecision(3)} ms`
  return `${name}${layout} ${outcome} (${predicted.toFixed(1)})`
}
