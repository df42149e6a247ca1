// flowseg bench: how long the model takes on this adapter, how near each kernel comes to what the adapter can do,
// and how long all of it should take elsewhere.

import { basename, extname } from 'node:path'
import { expectDefined } from '../../check.ts'
import { type Gpu, openGpu } from '../../gpu/gpu.ts'
import { printable } from '../../printable.ts'
import type { TaskOptions } from '../../progress.ts'
import { type Ceilings, measureCeilings } from '../../tuning/ceilings.ts'
import { type Command, expectOperands, type Given, meant, type Page, SHARED, UsageError } from '../args.ts'
import { engineOptions } from '../engine.ts'
import { Drafts } from '../files.ts'
import { jsonLine } from '../json.ts'
import { inputsOf } from '../model.ts'
import { weightsLocation } from '../model-folder.ts'
import { expectApart } from '../output/outputs.ts'
import { ProgressLine } from '../output/progress-line.ts'
import { type Terminal, table } from '../output/terminal.ts'
import { barsChart, rooflineChart } from './charts.ts'
import { fullConfig, fullPieces } from './full.ts'
import { type MeasuredPiece, measure } from './measure.ts'
import { type BenchPiece, modelPieces, type OpenModel, openModel } from './pieces.ts'
import { accountOf, milliseconds, shortName, textOf } from './report.ts'
import type { Machine } from './roofline.ts'

const DEFAULT_GPU = { tflops: 20, gbs: 500, launchUs: 5 }
const SECONDS = 10

const page: Page = {
  name: 'bench',
  operands: '',
  summary: 'how long the model takes here, kernel by kernel, and what a GPU would make of it',
  details:
    'Times look, read, segment and a token of an answer of a small model, and single pieces of the full one (4.82 billion ' +
    'parameters) ' +
    'with random weights: layers, and what comes once complete. Beside each time: GFLOP/s, the share of this ' +
    "adapter's ceiling (multiply-adds from registers, bytes copied; measured in the same run), and the time that " +
    'the same dispatches would take on a GPU at its ceiling. Pieces by their number make the full model.',
  options: {
    only: { value: 'NAMES', help: 'some pieces, with commas between: siglip,sam-global; see --list' },
    list: { help: 'the names of the pieces, and nothing is run' },
    seconds: {
      value: 'N',
      help: `how long a piece may be repeated; by default ${SECONDS}. Each runs twice at least`,
    },
    kernels: {
      help: 'also kernel by kernel: FLOPs, bytes, share of the ceiling as predicted and as measured',
    },
    dtype: { value: 'TYPE', help: "of the full model's matrices: f32, the default, or bf16" },
    'gpu-tflops': {
      value: 'X',
      help: `f32 rate of the GPU to predict for; by default ${DEFAULT_GPU.tflops}`,
    },
    'gpu-gbs': { value: 'X', help: `its memory bandwidth in GB/s; by default ${DEFAULT_GPU.gbs}` },
    'gpu-launch-us': {
      value: 'X',
      help: `what it takes to launch a dispatch; by default ${DEFAULT_GPU.launchUs}`,
    },
    svg: { value: 'FILE', help: 'also draw where the time goes: a bar a piece, by kernel' },
    roofline: { value: 'FILE', help: 'also draw how near kernels come to the ceilings' },
    weights: SHARED.weights,
    adapter: SHARED.adapter,
    'no-tune': SHARED['no-tune'],
    json: { help: 'one line of JSON on standard output, with all dispatches by kernel, instead of text' },
  },
  examples: [
    ['bench', 'everything, some minutes on a software adapter'],
    ['bench --only look,read,segment,finish,token', 'the small model alone'],
    ['bench --only siglip --kernels --seconds 30', 'one layer, kernel by kernel'],
    [
      'bench --gpu-tflops 3.6 --gpu-gbs 100 --dtype bf16',
      'as it would be on an Apple M2, from weights of two bytes',
    ],
  ],
}

/** `flowseg bench` */
export const bench: Command = { page, run }

async function run(args: Given, terminal: Terminal): Promise<number> {
  // 1. What is asked for
  expectOperands(page, args, 0)
  const seconds = args.positive('seconds') ?? SECONDS
  const dtype = args.oneOf('dtype', ['f32', 'bf16']) ?? 'f32'
  const machine: Machine = {
    flopsPerSecond: 1e12 * (args.positive('gpu-tflops') ?? DEFAULT_GPU.tflops),
    bytesPerSecond: 1e9 * (args.positive('gpu-gbs') ?? DEFAULT_GPU.gbs),
    dispatchSeconds: 1e-6 * (args.positive('gpu-launch-us') ?? DEFAULT_GPU.launchUs),
  }
  const weights = weightsLocation(args, terminal)
  const progress = new ProgressLine(terminal)
  const task: TaskOptions = { signal: terminal.signal, onProgress: progress.on }
  let gpu: Gpu | undefined
  let model: OpenModel | undefined
  const open = async (): Promise<OpenModel> => {
    model ??= await openModel(expectDefined(gpu, 'the Gpu of the bench'), weights, task)
    return model
  }
  const small = modelPieces(basename(weights), open)
  const full = fullPieces(await fullConfig(), dtype)
  const pieces = chosen(args.text('only'), [...small, ...full])
  if (args.has('list')) {
    const rows = pieces.map(({ name, title, count }) => [name, title, count > 0 ? `x ${count}` : ''])
    terminal.out.write(`${table(rows, [0, 1]).join('\n')}\n`)
    return 0
  }

  await expectCharts(args, terminal)

  // 2. One piece after the other, and nothing of it left when the next begins
  const theirs = args.text('adapter') === undefined ? terminal.gpu : undefined
  gpu = theirs ?? (await openGpu(engineOptions(args, terminal)))
  const measured: MeasuredPiece[] = []
  try {
    const before = await measureCeilings(gpu, task)
    for (const [i, piece] of pieces.entries()) {
      if (piece.count > 0) {
        model?.release()
        model = undefined
      }
      const one = await measure(gpu, piece, seconds, {
        ...task,
        onProgress: ({ phase }) =>
          progress.show(`${i + 1} of ${pieces.length}`, i / pieces.length, `${piece.title}: ${phase}`),
      })
      progress.clear()
      measured.push(one)
      if (!terminal.err.isTTY) terminal.err.write(`${piece.name}: ${milliseconds(one.runMs)}\n`)
    }
    // Twice, as other programs may take a share meanwhile: the ceiling is what was seen at best
    const ceilings = bestOf(before, await measureCeilings(gpu, task))
    const isWhole = full.every(({ name }) => measured.some((one) => one.name === name))
    const drafts = new Drafts(terminal)
    const charts = { svg: barsChart, roofline: rooflineChart }
    for (const [option, draw] of Object.entries(charts)) {
      const file = args.text(option)
      if (file !== undefined) drafts.add(file, draw(measured, ceilings, shortName(gpu.name)))
    }
    await drafts.commit()
    const { software, subgroupSize } = gpu.adapter
    const isPredicted = software && subgroupSize === 8
    const report = {
      adapter: gpu.name,
      isSoftware: software,
      isPredicted,
      ceilings,
      measured,
      machine,
      dtype,
      isWhole,
    }
    if (args.has('json')) terminal.out.write(jsonLine(await accountOf(report)))
    else terminal.out.write(`${textOf(report, args.has('kernels'), terminal).join('\n')}\n`)
    return 0
  } finally {
    progress.clear()
    model?.release()
    if (!theirs) gpu.close()
  }
}

function bestOf(a: Ceilings, b: Ceilings): Ceilings {
  return {
    flopsPerSecond: Math.max(a.flopsPerSecond, b.flopsPerSecond),
    bytesPerSecond: Math.max(a.bytesPerSecond, b.bytesPerSecond),
    dispatchSeconds: Math.min(a.dispatchSeconds, b.dispatchSeconds),
  }
}

/** Refused before minutes are spent. */
async function expectCharts(args: Given, terminal: Terminal): Promise<void> {
  const [bars, roofline] = [args.text('svg'), args.text('roofline')]
  for (const [option, file] of Object.entries({ svg: bars, roofline })) {
    if (file === undefined || extname(file).toLowerCase() === '.svg') continue
    throw new UsageError(
      `--${option} is '${printable(file)}', and only SVG is drawn. Give it a name that ends in .svg.`,
    )
  }
  if (bars !== undefined && bars === roofline) {
    throw new UsageError(`--svg and --roofline are both '${printable(bars)}'. Each needs a name of its own.`)
  }
  const files = [bars, roofline].filter((file) => file !== undefined)
  await expectApart(inputsOf(args, terminal), files, terminal)
}

/** @throws UsageError naming what there is */
function chosen(only: string | undefined, pieces: readonly BenchPiece[]): readonly BenchPiece[] {
  if (only === undefined) return pieces
  const known = pieces.map(({ name }) => name)
  const wanted = only.split(',').map((name) => name.trim())
  for (const name of wanted) {
    if (known.includes(name)) continue
    const hint = meant(name, known) || ` There are ${known.join(', ')}.`
    throw new UsageError(`--only names '${printable(name)}', which is no piece.${hint}`)
  }
  return pieces.filter(({ name }) => wanted.includes(name))
}
