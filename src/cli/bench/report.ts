// The report of `flowseg bench`: tables for people, an account for programs.

import type { Ceilings } from '../../tuning/ceilings.ts'
import { painter, type Terminal, table } from '../output/terminal.ts'
import { packageVersion } from '../package.ts'
import { PREDICTIONS, predictedShare } from './kernel-predictions.ts'
import { byKernel, type MeasuredPiece, totalOf } from './measure.ts'
import type { BenchStep } from './pieces.ts'
import { type Machine, predictSeconds } from './roofline.ts'

/** A data sheet's f32 rate and memory bandwidth. */
const GPUS = [
  { name: 'Intel Iris Xe, 96 units', tflops: 2.2, gbs: 68 },
  { name: 'Apple M2, 10 cores', tflops: 3.6, gbs: 100 },
  { name: 'NVIDIA RTX 4060', tflops: 15.1, gbs: 272 },
  { name: 'NVIDIA RTX 4090', tflops: 82.6, gbs: 1008 },
] as const

/** All that was measured, for both forms of the report. */
export interface Report {
  /** The name of its Gpu. */
  readonly adapter: string
  /** The adapter is the processor, which others may use meanwhile. */
  readonly isSoftware: boolean
  /** True if kernel-predictions.ts is about adapters such as this. */
  readonly isPredicted: boolean
  /** The best rates that were measured on this adapter. */
  readonly ceilings: Ceilings
  /** The pieces in the order in which they ran. */
  readonly measured: readonly MeasuredPiece[]
  /** To predict for. */
  readonly machine: Machine
  /** The type of the full model's matrices. */
  readonly dtype: 'f32' | 'bf16'
  /** All pieces of the full model are among those measured. */
  readonly isWhole: boolean
}

// ---------------------------------------------------------------------------------------------------------
// Text

/** The report for people, in lines. @param everyKernel with a table of each piece's kernels */
export function textOf(report: Report, everyKernel: boolean, terminal: Terminal): string[] {
  const { adapter, ceilings, measured, machine } = report
  const paint = painter(terminal.out)
  const lines = [
    paint('bold', adapter),
    `  at best ${giga(ceilings.flopsPerSecond)} GFLOP/s of multiply-adds, ${giga(ceilings.bytesPerSecond)} GB/s copied, ` +
      `${(1e6 * ceilings.dispatchSeconds).toFixed(0)} us a dispatch`,
    `  predicted for a GPU of ${giga(machine.flopsPerSecond / 1000)} TFLOP/s, ${giga(machine.bytesPerSecond)} GB/s, ` +
      `${(1e6 * machine.dispatchSeconds).toFixed(0)} us a dispatch`,
    '',
    ...pieceTable(report),
  ]
  if (everyKernel)
    for (const one of measured) lines.push('', paint('bold', one.title), ...kernelTable(one, report))
  const token = tokenOf(report)
  if (token) lines.push('', ...tokenLines(token, report))
  if (report.isWhole) lines.push('', ...wholeLines(report, paint))
  return lines
}

function pieceTable({ measured, ceilings, machine, isSoftware }: Report): string[] {
  const head = [
    'piece',
    'time',
    ...(isSoftware ? ['processor'] : []),
    'GFLOP',
    'GFLOP/s',
    'of ceiling',
    'overhead',
    'dispatches',
    'on the GPU',
    'times',
  ]
  const rows = measured.map((one) => {
    const total = totalOf(one.dispatches, ceilings)
    return [
      one.title,
      milliseconds(one.runMs),
      ...(isSoftware ? [milliseconds(one.processorMs)] : []),
      significant(total.flops / 1e9),
      significant(total.flops / one.runMs / 1e6),
      percent(total.idealMs / one.runMs),
      percent((one.runMs - total.ms) / one.runMs),
      `${total.dispatches}`,
      milliseconds(1000 * predictSeconds(one.dispatches, machine)),
      one.count > 0 ? `x ${one.count}` : '',
    ]
  })
  return table([head, ...rows])
}

function kernelTable({ dispatches, runMs }: MeasuredPiece, { ceilings, isPredicted }: Report): string[] {
  const head = ['kernel', 'dispatches', 'GFLOP', 'MB', 'FLOP/byte', 'time', 'share', 'GFLOP/s', 'GB/s']
  const rows = [...byKernel(dispatches, ceilings)].map(([kernel, total]) => {
    const { dispatches, flops, bytes, ms, idealMs } = total
    const predicted = isPredicted ? predictedShare(kernel, total, ceilings) : undefined
    return [
      `  ${kernel}`,
      `${dispatches}`,
      significant(flops / 1e9),
      significant(bytes / 1e6),
      significant(flops / bytes),
      milliseconds(ms),
      percent(ms / runMs),
      significant(flops / ms / 1e6),
      significant(bytes / ms / 1e6),
      percent(idealMs / ms),
      percent(predicted ?? Number.NaN),
    ]
  })
  return table([[`  ${head[0]}`, ...head.slice(1), 'of ceiling', 'predicted'], ...rows])
}

/** A token of an answer of the full model, beside reading all weights once at the rate of a copy. */
export interface TokenCost {
  /** All layers and the head, one after the other. */
  readonly ms: number
  /** Bytes of the weights that a token reads. */
  readonly weightBytes: number
  /** The time that reading the weights takes at the rate of a copy here; a kernel that only reads may be faster. */
  readonly readMs: number
  /** ms / readMs */
  readonly ratio: number
}

/** Undefined unless both the layer and the head of the full model are among the pieces. */
export function tokenOf({
  measured,
  ceilings,
}: Pick<Report, 'measured' | 'ceilings'>): TokenCost | undefined {
  const pieces = measured.filter(({ step, count }) => step === 'token' && count > 0)
  if (!['llm-token', 'lm-head'].every((name) => pieces.some((one) => one.name === name))) return undefined
  let ms = 0
  let weightBytes = 0
  for (const one of pieces) {
    ms += one.count * one.runMs
    weightBytes += one.count * (one.weightBytes ?? Number.NaN)
  }
  const readMs = (1000 * weightBytes) / ceilings.bytesPerSecond
  return { ms, weightBytes, readMs, ratio: ms / readMs }
}

function tokenLines(
  { ms, weightBytes, readMs, ratio }: TokenCost,
  { ceilings, dtype }: Pick<Report, 'ceilings' | 'dtype'>,
): string[] {
  return [
    `A token of an answer takes ${milliseconds(ms)}: ${ratio.toFixed(2)} times reading its weights once`,
    `  ${giga(weightBytes)} GB in ${dtype} at the ${giga(ceilings.bytesPerSecond)} GB/s that a copy reaches here: ${milliseconds(readMs)}`,
  ]
}

/** The sums over the pieces; a token of an answer is no part of `all`, which is an image and a sentence. */
function wholeOf(
  { measured }: Report,
  of: (piece: MeasuredPiece) => number,
): Record<BenchStep | 'all', number> {
  const sums = { look: 0, read: 0, segment: 0, token: 0, all: 0 }
  for (const one of measured) {
    sums[one.step] += one.count * of(one)
    if (one.step !== 'token') sums.all += one.count * of(one)
  }
  return sums
}

function wholeLines(report: Report, paint: ReturnType<typeof painter>): string[] {
  const { machine, dtype } = report
  const row = (name: string, of: (piece: MeasuredPiece) => number): string[] => {
    const { look, read, segment, all, token } = wholeOf(report, of)
    return [`  ${name}`, ...[look, read, segment, all, token].map(milliseconds)]
  }
  const on = (gpu: Machine) => (piece: MeasuredPiece) => 1000 * predictSeconds(piece.dispatches, gpu)
  const rows = [
    ['', 'look', 'read', 'segment', 'all', 'a token more'],
    row('here', ({ runMs }) => runMs),
    ...(report.isSoftware ? [row('here, processor time', ({ processorMs }) => processorMs)] : []),
    row('on the GPU above', on(machine)),
    ...GPUS.map(({ name, tflops, gbs }) =>
      row(
        `${name} (${tflops} TFLOP/s, ${gbs} GB/s)`,
        on({ ...machine, flopsPerSecond: 1e12 * tflops, bytesPerSecond: 1e9 * gbs }),
      ),
    ),
  ]
  return [
    paint('bold', `Full model, 4.82 billion parameters in ${dtype}: the sum of its pieces by their number`),
    ...table(rows),
  ]
}

// ---------------------------------------------------------------------------------------------------------
// For programs

/** The report for programs, as JSON takes it. */
export async function accountOf(report: Report): Promise<object> {
  const { measured, ceilings, machine, isWhole, isPredicted, adapter, dtype } = report
  const on = (piece: MeasuredPiece): number => 1000 * predictSeconds(piece.dispatches, machine)
  return {
    flowseg: await packageVersion(),
    adapter,
    dtype,
    ceilings,
    gpu: machine,
    pieces: measured.map((one) => ({
      name: one.name,
      title: one.title,
      step: one.step,
      count: one.count,
      runs: one.runs,
      runMs: one.runMs,
      processorMs: one.processorMs,
      firstMs: one.firstMs,
      ...totalOf(one.dispatches, ceilings),
      gpuMs: on(one),
      kernels: Object.fromEntries(
        [...byKernel(one.dispatches, ceilings)].map(([kernel, total]) => [
          kernel,
          {
            ...total,
            ofCeiling: total.idealMs / total.ms,
            ...(isPredicted
              ? { predicted: predictedShare(kernel, total, ceilings), because: PREDICTIONS[kernel]?.because }
              : {}),
          },
        ]),
      ),
    })),
    token: tokenOf(report),
    ...(isWhole
      ? { whole: { hereMs: wholeOf(report, ({ runMs }) => runMs), gpuMs: wholeOf(report, on) } }
      : {}),
  }
}

// ---------------------------------------------------------------------------------------------------------

/** Without the versions in brackets. */
export function shortName(adapter: string): string {
  return adapter.replace(/-* \(.*$/, '')
}

function giga(value: number): string {
  return significant(value / 1e9)
}

/** Three digits that count. */
function significant(value: number): string {
  if (!Number.isFinite(value)) return '-'
  return value === 0 || Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3)
}

function percent(share: number): string {
  return Number.isFinite(share) ? `${(100 * share).toFixed(1)} %` : '-'
}

/** A time in at most three digits that count, with its unit. */
export function milliseconds(ms: number): string {
  if (!Number.isFinite(ms)) return '-'
  return ms < 10_000 ? `${significant(ms)} ms` : `${significant(ms / 1000)} s`
}
