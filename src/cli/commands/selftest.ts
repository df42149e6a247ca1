// flowseg selftest: every kernel on this adapter against float64, and a report to copy when one is wrong.

import { openGpu } from '../../gpu/gpu.ts'
import { saveTuned } from '../../model/tuned-cache.ts'
import { printable } from '../../printable.ts'
import { OP_FAMILIES, type OpFamily } from '../../selftest/families.ts'
import { groupResults, type ResultGroup } from '../../selftest/groups.ts'
import { variantNames } from '../../selftest/options.ts'
import { WEIGHT_TYPES, type WeightType } from '../../selftest/random.ts'
import type { SelfTestSummary } from '../../selftest/results.ts'
import { selfTest } from '../../selftest/self-test.ts'
import { type Command, expectOperands, type Given, meant, type Page, SHARED, UsageError } from '../args.ts'
import { engineOptions, tunedCacheOptions } from '../engine.ts'
import { jsonLine } from '../json.ts'
import { ProgressLine } from '../output/progress-line.ts'
import { grouped, painter, type Terminal, table } from '../output/terminal.ts'

const page: Page = {
  name: 'selftest',
  operands: '',
  summary: 'test every kernel on this adapter against float64',
  details:
    'Draws problems at random from a seed, at sizes where kernels are most often wrong: 1, primes, one past a tile. ' +
    'Every variant computes each problem twice, as the same input must give the same bits. A variant that does not fit ' +
    'a problem on this adapter is skipped, and the report lists those that fit none. The exit code is 1 when a kernel is wrong; the report says what to tell.',
  options: {
    family: { value: 'NAME', many: true, help: `a family of ops: ${OP_FAMILIES.join(', ')}` },
    variant: {
      value: 'NAME',
      many: true,
      help: 'a variant, such as matmul/registers, or registers of any family',
    },
    type: { value: 'NAME', many: true, help: `a type of weights: ${WEIGHT_TYPES.join(', ')}` },
    seed: { value: 'N', help: 'draw other problems; 1 by default' },
    count: { value: 'N', help: 'problems per op, type and layout of weights; 3 by default' },
    veto: { help: 'save which variants are wrong here: no command takes them' },
    adapter: SHARED.adapter,
    json: SHARED.json,
  },
  examples: [
    ['selftest', 'every kernel on the default adapter'],
    ['selftest --family matmul --type int4 --count 20', 'many problems of one family'],
    ['selftest --adapter llvmpipe --seed 7 --json', 'another adapter, other problems, for a program'],
  ],
}

/** `flowseg selftest` */
export const selftest: Command = { page, run }

async function run(args: Given, terminal: Terminal): Promise<number> {
  expectOperands(page, args, 0)
  const options = {
    ...listOf<OpFamily>(args, 'family', OP_FAMILIES, 'families'),
    ...listOf<string>(args, 'variant', variantNames(), 'variants'),
    ...listOf<WeightType>(args, 'type', WEIGHT_TYPES, 'types'),
    seed: args.number('seed', 0) ?? 1,
    count: args.number('count', 1) ?? 3,
  }
  const { out, err, env, signal } = terminal
  const own = args.text('adapter') === undefined ? terminal.gpu : undefined
  const gpu = own ?? (await openGpu(engineOptions(args, terminal)))
  const progress = new ProgressLine(terminal)
  try {
    const summary = await selfTest(gpu, { ...options, onProgress: progress.on, signal })
    progress.clear()
    const { report: _report, tuned, ...json } = summary
    out.write(args.has('json') ? jsonLine(json) : `${lines(summary, terminal).join('\n')}\n`)
    const vetoes = Object.keys(summary.vetoes)
    if (args.has('veto') && vetoes.length > 0) {
      const file = await saveTuned(tuned, tunedCacheOptions(env))
      err.write(
        `${painter(err)('yellow', 'note')}: ${printable(vetoes.join(', '))} won't be taken here, as ${printable(file, Infinity)} says.\n`,
      )
    }
    return summary.failed > 0 ? 1 : 0
  } finally {
    progress.clear()
    if (!own) gpu.close()
  }
}

/** An option that may be given more than once, each time with one of these. */
function listOf<T extends string>(
  args: Given,
  option: string,
  known: readonly T[],
  name: string,
): { readonly [name: string]: readonly T[] } {
  const values = args.all(option)
  for (const value of values) {
    if ((known as readonly string[]).includes(value)) continue
    const hint = meant(value, known) || ` There are ${known.join(', ')}.`
    throw new UsageError(`--${option} is '${printable(value)}', and there is no such ${option}.${hint}`)
  }
  return values.length > 0 ? { [name]: values as readonly T[] } : {}
}

function lines({ results, report, passed, failed, skipped }: SelfTestSummary, { out }: Terminal): string[] {
  const paint = painter(out)
  // A group whose cases were all skipped has no numbers to show
  const groups = groupResults(results).filter((group) => group.passed + group.failed > 0)
  const titles = ['', 'op', 'weights', 'variant', 'cases', 'error', 'allowed', 'ms']
  const rows = table([titles, ...groups.map(rowOf)], [0, 1, 2, 3])
  return [
    ...rows.map((row, i) => {
      const group = groups[i - 1]
      if (!group) return paint('dim', row) // the titles
      return group.failed > 0 ? paint('red', row) : row
    }),
    '',
    ...(failed > 0
      ? [
          paint('red', `${grouped(failed)} wrong. Please report it with what follows:`),
          '',
          ...report.trimEnd().split('\n'),
        ]
      : [
          `${paint('green', `${grouped(passed)} right`)}, none wrong, ${grouped(skipped)} skipped as they do not fit here.`,
          ...report
            .trimEnd()
            .split('\n')
            .map((line) => paint('dim', line)),
        ]),
  ]
}

function rowOf({ op, type, variant = '', passed, failed, error, tolerance, ms }: ResultGroup): string[] {
  return [
    failed > 0 ? 'FAIL' : 'pass',
    op,
    type,
    variant,
    failed > 0 ? `${failed} of ${passed + failed}` : `${passed}`,
    error === undefined ? '-' : short(error, 1),
    short(tolerance, 0),
    (ms / (passed + failed)).toFixed(1),
  ]
}

/** '2.0e-6', and '0' for what is exact. */
function short(error: number, digits: number): string {
  return error === 0 ? '0' : error.toExponential(digits)
}
