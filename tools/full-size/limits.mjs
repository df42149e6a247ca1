// What the project promises of the model at its true size, and whether a record keeps it.

import { DASH, gigabytes, milliseconds, percent, scientific, seconds } from './units.mjs'

/** Stored int4 loads at least so many times as fast as weights that are rounded to it at load. */
export const LOADING_LIMIT = 5

const BF16 = ['stored', 'bin']
const FEW_BITS = ['int8', 'int4']
const ALL = [...BF16, ...FEW_BITS]

/** Each has a name, the forms it is about, the value in a row, how to show it, and the most or the least it may be. */
const LIMITS = [
  {
    name: 'class logits, error against PyTorch',
    of: BF16,
    value: (x) => x.exact?.errors.classes,
    show: scientific,
    most: 1e-3,
  },
  {
    name: "mask pixels equal to PyTorch's",
    of: BF16,
    value: (x) => x.exact?.errors.mask,
    show: percent,
    least: 0.999,
  },
  {
    name: 'look and first sentence',
    of: ALL,
    value: ({ look, sentence }) => look + sentence,
    show: seconds,
    most: 360_000,
  },
  {
    name: 'a further sentence, share of that',
    of: ALL,
    value: ({ further, look, sentence }) => further / (look + sentence),
    show: percent,
    most: 0.025,
  },
  { name: 'weights on disk', of: ['int4'], value: ({ disk }) => disk, show: gigabytes, most: 3.0e9 },
  { name: 'device memory', of: BF16, value: ({ devicePeak }) => devicePeak, show: gigabytes, most: 9.8e9 },
  {
    name: 'device memory',
    of: ['int4'],
    value: ({ devicePeak }) => devicePeak,
    show: gigabytes,
    most: 3.8e9,
  },
  { name: 'event loop while loading', of: ALL, value: ({ loopMs }) => loopMs, show: milliseconds, most: 50 },
  {
    name: 'host memory while loading',
    of: FEW_BITS,
    value: ({ hostPeak }) => hostPeak,
    show: gigabytes,
    most: 0.3e9,
  },
  {
    name: 'device memory, above the prediction',
    of: ALL,
    value: ({ devicePeak, devicePredicted }) => over(devicePeak, devicePredicted),
    show: gigabytes,
    most: 0,
  },
  {
    name: 'host memory, above the prediction',
    of: ALL,
    value: ({ hostPeak, hostPredicted }) => over(hostPeak, hostPredicted),
    show: gigabytes,
    most: 0,
  },
]

function over(measured, predicted) {
  return predicted === undefined ? undefined : Math.max(0, measured - predicted)
}

function isWithin({ most = Infinity, least = -Infinity }, value) {
  return value <= most && value >= least
}

/**
 * A line for each target, with yes or no under each form that it is about.
 *
 * @param columns a recorded row for each form; undefined where nothing was measured
 * @param titles  of the forms
 */
export function limitsTable(columns, titles, loading) {
  const line = (limit) => {
    const { name, of, value, show, most, least } = limit
    const cells = ALL.map((type, i) => {
      const x = of.includes(type) && columns[i] ? value(columns[i]) : undefined
      return x === undefined ? DASH : `${show(x)}: ${isWithin(limit, x) ? 'yes' : 'no'}`
    })
    const bound = most === undefined ? `at least ${show(least)}` : `at most ${show(most)}`
    return `| ${name} | ${bound} | ${cells.join(' | ')} |`
  }
  const ratio = loading && loading.rounding / loading.stored
  const faster =
    ratio === undefined ? DASH : `${ratio.toFixed(1)} times: ${ratio >= LOADING_LIMIT ? 'yes' : 'no'}`
  return [
    `| | target | ${titles.join(' | ')} |`,
    `|---|---|${titles.map(() => '---|').join('')}`,
    ...LIMITS.map(line),
    `| loading it stored, against rounding at load | at least ${LOADING_LIMIT} times as fast | ${DASH} | ${DASH} | ${DASH} | ${faster} |`,
  ].join('\n')
}

/** What a run must not go wrong in, whatever the machine: a sentence for each that did. */
export function failuresOf({ type, devicePeak, devicePredicted, hostPeak, hostPredicted, sameAnswers }) {
  const failures = []
  if (devicePeak > devicePredicted)
    failures.push(
      `${type}: ${devicePeak} bytes on the device, where flowseg inspect predicts ${devicePredicted}.`,
    )
  if (hostPeak > hostPredicted)
    failures.push(
      `${type}: ${hostPeak} bytes on the host while loading, where flowseg inspect predicts ${hostPredicted}.`,
    )
  if (sameAnswers === false)
    failures.push(`${type}: the answers have other bits than those of the safetensors.`)
  return failures
}
