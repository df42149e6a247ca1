#!/usr/bin/env node
// RESULTS.md and a chart an adapter, from the recorded runs in results/. Nothing is measured here.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CASES } from './cases.mjs'
import { chartOf } from './lib/chart.mjs'
import { BENCH } from './lib/paths.mjs'
import { median } from './lib/statistics.mjs'

const PEERS = ['ort-web', 'ort-node', 'tfjs', 'jax-js']
const NATIVE = 'ort-cpu'
const TITLES = {
  matmul: 'Products',
  narrow: 'Products with narrow weights',
  attention: 'Attention',
  convolution: 'Convolution',
  other: 'Deformable attention',
  memory: 'Bound by memory',
}

const recorded = readdirSync(join(BENCH, 'results'))
  .filter((file) => file.endsWith('.json'))
  .map((file) => ({
    stem: file.slice(0, -5),
    ...JSON.parse(readFileSync(join(BENCH, 'results', file), 'utf8')),
  }))
  // The record of `npm run full-size` lies beside them
  .filter(({ cases }) => cases)
if (recorded.length === 0) throw new Error('There are no results yet: run `npm run bench` first.')

const text = [
  '# Results',
  '',
  'Made by `npm run report` from the files in [results](results); how they are measured is in the [README](README.md).',
  'Higher is better: GFLOP/s, or GB/s where the unit says so. A rate counts useful work: operations of the formula, or',
  'inputs and outputs once. *Ratio* is ours over the best peer that gives right results; "only" means that no peer',
  "does. *Native* is onnxruntime in C++ on the same cores without a GPU between, and doesn't count as a peer.",
  'Figures in *italics* are of results that are wrong, and count nowhere. † marks a figure of another run than ours, which',
  'on a shared machine compares badly; ‡ one of fewer than five runs, as each takes seconds.',
  '',
  ...recorded.flatMap(sectionsOf),
].join('\n')
writeFileSync(join(BENCH, 'RESULTS.md'), `${text}\n`)
console.log(`Wrote RESULTS.md of ${recorded.map(({ stem }) => stem).join(', ')}`)

function sectionsOf(results) {
  const { stem, machine, versions } = results
  const rows = CASES.filter(({ name }) => results.cases[name]).map((spec) => rowOf(spec, results))
  const chart = `results/${stem}.svg`
  writeFileSync(join(BENCH, chart), chartOf(results.adapter ?? stem, rows))
  const groups = Object.keys(TITLES).filter((group) => rows.some((row) => row.group === group))
  const notes = notesOf(rows)
  return [
    `## ${results.adapter ?? stem}`,
    '',
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.system}, Node ${machine.node}; ` +
      Object.entries(versions)
        .map(([name, version]) => `${name} ${version}`)
        .join(', ') +
      '.',
    '',
    `![Ratio of ours to the best peer, by case](${chart})`,
    '',
    ...summaryOf(rows),
    ...ceilingsOf(results),
    ...groups.flatMap((group) =>
      tableOf(
        TITLES[group],
        rows.filter((row) => row.group === group),
      ),
    ),
    ...(notes.length > 0 ? ['### What peers cannot', '', ...notes, ''] : []),
  ]
}

/** The lines of one case in the report. */
function rowOf({ name, group }, { cases, ceilings }) {
  const { unit, flops, bytes, engines } = cases[name]
  const rate = (ms) => (unit === 'GB/s' ? bytes : flops) / ms / 1e6
  const entry = (engine) => {
    const figures = engines[engine]
    if (!figures) return {}
    const { status, ms, wrong, message, way } = figures
    return {
      status,
      message,
      way,
      rate: status === 'ok' ? rate(median(ms)) : undefined,
      runs: ms?.length,
      wrong: wrong && rate(wrong.ms),
      wrongError: wrong?.error,
      other: figures.when !== engines.ours?.when,
    }
  }
  const ours = entry('ours')
  const peers = PEERS.map((engine) => ({ engine, ...entry(engine) }))
  const right = peers.filter((peer) => peer.rate !== undefined)
  const best = right.length > 0 ? right.reduce((a, b) => (b.rate > a.rate ? b : a)) : undefined
  const ratio = ours.rate !== undefined && best ? ours.rate / best.rate : undefined
  const { deviceMs } = engines.ours ?? {}
  const device = deviceMs && ours.rate !== undefined ? rate(deviceMs) : undefined
  return {
    name,
    group,
    unit,
    ours,
    peers,
    best,
    ratio,
    device,
    native: entry(NATIVE),
    share: ours.rate === undefined ? undefined : shareOf(ours.rate, unit, name, ceilings?.measured),
  }
}

/**
 * The share of the adapter's ceiling: multiply-adds from registers, the fastest kind of load where a weight is only
 * read, or the driver's own copy. Operands that fit a cache may go beyond the last.
 */
function shareOf(rate, unit, name, measured) {
  if (!measured) return undefined
  const isMatvec = name.startsWith('matvec')
  const prefix = unit === 'GFLOP/s' ? 'multiply-add' : isMatvec ? 'loads, ' : 'copy, '
  const values = Object.entries(measured)
    .filter(([key]) => key.startsWith(prefix))
    .map(([, { value }]) => value)
  return rate / Math.max(...values)
}

function summaryOf(rows) {
  const compared = rows.filter(({ ratio }) => ratio !== undefined)
  if (compared.length === 0) return []
  const mean = Math.exp(compared.reduce((sum, { ratio }) => sum + Math.log(ratio), 0) / compared.length)
  const ahead = compared.filter(({ ratio }) => ratio >= 1).length
  const alone = rows.filter(({ ours, best }) => ours.rate !== undefined && !best).length
  return [
    `Against the best peer of each case: ahead in ${ahead} of ${compared.length}, geometric mean ${figure(mean)}x` +
      `${alone > 0 ? `; ${alone} more ${alone === 1 ? 'case' : 'cases'} that no peer gets right` : ''}.`,
    '',
  ]
}

function ceilingsOf({ ceilings }) {
  if (!ceilings) return []
  const lines = Object.entries(ceilings.measured).map(
    ([name, { value, unit, best = '' }]) => `| ${name} | ${figure(value)} ${unit} | ${best} |`,
  )
  return ['### Ceilings', '', '| | best | with |', '|---|---|---|', ...lines, '']
}

function tableOf(title, rows) {
  const head = ['', 'ours', ...PEERS, 'ratio', 'of ceiling', 'native']
  const lines = rows.map((row) => {
    const { name, unit, ours, peers, best, ratio, share, native } = row
    const cells = [
      `${name}${unit === 'GB/s' ? ' (GB/s)' : ''}`,
      cell(ours),
      ...peers.map((peer) => (peer === best ? `**${cell(peer)}**` : cell(peer))),
      ratio === undefined ? (ours.rate === undefined ? '' : 'only') : `${figure(ratio)}x`,
      share === undefined ? '' : `${Math.round(share * 100)} %`,
      cell(native),
    ]
    return `| ${cells.join(' | ')} |`
  })
  return [`### ${title}`, '', `| ${head.join(' | ')} |`, `|${'---|'.repeat(head.length)}`, ...lines, '']
}

function cell({ status, rate, runs, wrong, other }) {
  if (rate !== undefined) return `${figure(rate)}${runs < 5 ? '‡' : ''}${other ? '†' : ''}`
  if (wrong !== undefined) return `*${figure(wrong)} wrong*`
  return status ?? ''
}

/** Each message once, with who said it and of which cases. */
function notesOf(rows) {
  const said = new Map()
  for (const { name, peers, unit } of rows) {
    for (const { engine, status, message, wrong, wrongError, rate } of peers) {
      if (wrong !== undefined) {
        const rest = rate === undefined ? '' : '; what is shown is composed of single ops'
        note(
          `${engine}'s fused op is wrong${rest}`,
          `${name} (by ${wrongError}, at ${figure(wrong)} ${unit})`,
        )
      } else if (status && status !== 'ok') note(`${engine} ${status}: ${message}`, name)
    }
  }
  return [...said].map(([text_, names]) => `- ${text_} (${names.join('; ')})`)

  function note(key, name) {
    said.set(key, [...(said.get(key) ?? []), name])
  }
}

function figure(value) {
  if (value === 0) return '0'
  return value >= 100
    ? value.toFixed(0)
    : value >= 10
      ? value.toFixed(1)
      : Number(value.toPrecision(2)).toString()
}
