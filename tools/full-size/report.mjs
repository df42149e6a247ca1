// bench/results/full-size.md from what was recorded.

import { LOADING_LIMIT, limitsTable } from './limits.mjs'
import { bits, DASH, gigabytes, milliseconds, percent, scientific, seconds } from './units.mjs'

/** The forms of the weights, in the order of the columns. */
export const TYPES = ['stored', 'bin', 'int8', 'int4']
const TITLES = { stored: 'bf16, as stored', bin: 'bf16 .bin', int8: 'int8', int4: 'int4' }

/**
 * @param recorded what tools/full-size.mjs measured: a row per form of the weights, and how fast stored int4 loads;
 *   of a form that wasn't measured the report has dashes
 */
export function report({ config, rows, loading }) {
  const columns = TYPES.map((type) => rows.find((row) => row.type === type))
  const line = (name, value, shown) =>
    `| ${name} | ${columns.map((row) => cell(row && value(row), shown)).join(' | ')} |`
  const text = (x) => x
  const measured = rows[0] ?? {}
  return `# The model at its true size

${config}, random weights, on ${measured.adapter ?? DASH}.
Written by \`npm run full-size\`; a column is of one run, and a dash is what was not measured.

| | ${TYPES.map((type) => TITLES[type]).join(' | ')} |
|---|${TYPES.map(() => '---|').join('')}
${[
  line('measured on', ({ date }) => date, text),
  line('weights on disk', ({ disk }) => disk, gigabytes),
  line('convert', ({ convert }) => convert, seconds),
  line('load', ({ load }) => load, seconds),
  line('look', ({ look }) => look, seconds),
  line('first sentence', ({ sentence }) => sentence, seconds),
  line('look and first sentence', ({ look, sentence }) => look + sentence, seconds),
  line('a further sentence', ({ further }) => further, seconds),
  line('reading it', ({ furtherRead }) => furtherRead, seconds),
  line('segmenting by it', ({ furtherSegment }) => furtherSegment, seconds),
  line('a further sentence, share of the first with its look', shareOf, percent),
  line('device memory, largest', ({ devicePeak }) => devicePeak, gigabytes),
  line('the same, as `flowseg inspect` predicts it', ({ devicePredicted }) => devicePredicted, gigabytes),
  line('host memory while loading, arrays and heap, largest', ({ hostPeak }) => hostPeak, gigabytes),
  line('the same, as `flowseg inspect` predicts it at most', ({ hostPredicted }) => hostPredicted, gigabytes),
  line('process, largest, the software adapter included', ({ processPeak }) => processPeak, gigabytes),
  line('event loop while loading, longest hold', ({ loopMs }) => loopMs, milliseconds),
  line('the same, of this thread alone', ({ loopOwnMs }) => loopOwnMs, milliseconds),
  line('answers, against those of the safetensors', ({ sameAnswers }) => sameAnswers, bits),
  line('converted to safetensors, tensors with the same bits', ({ sameTensors }) => sameTensors, String),
].join('\n')}

The checkpoint has every tensor of the config, those that no network reads included, but for a head of the language model
that is tied to the embedding.${tiedText(columns[0])}

The event loop is watched from the moment the device is open. A single call of the WebGPU implementation can't be cut:
reading the WGSL of a large kernel takes this thread some 10 ms on these cores, and opening lavapipe itself some 70 ms.

The project's own targets, and whether they are met:

${limitsTable(
  columns,
  TYPES.map((type) => TITLES[type]),
  loading,
)}

${loadingText(loading)}

Relative errors against PyTorch in float32 with the same weights, rounded alike where they are (\`exact\`), and against
PyTorch with the weights as stored (\`rounding\`: the price of fewer bits, on random weights, which have no outliers and
no redundancy).

${errorsTable(columns)}

${gpuText(measured.gpu)}
`
}

function cell(value, shown) {
  return value === undefined || Number.isNaN(value) ? DASH : shown(value)
}

/** A further sentence's share of the first one's time, the look included. */
function shareOf({ further, sentence, look }) {
  return further / (look + sentence)
}

/** A record of before the head was left out says nothing of it. */
function tiedText(stored) {
  const isCopied = stored && stored.headStored !== false
  return isCopied
    ? ` The bf16 column of ${stored.date} is of a checkpoint\nwith a copy of it, 0.78 GB more on disk.`
    : ''
}

function loadingText(loading) {
  if (!loading) return 'How much sooner stored int4 is loaded than rounded to at load has not been recorded.'
  const { date, adapter, rounding, stored, bytes, rates } = loading
  const rate = (value) =>
    value === undefined || value === null ? 'as rows, as they are stored' : `${Math.round(value)} MiB/s`
  return (
    `Loading, on ${date}, weights of the true widths with few layers, on ${adapter}: rounded to int4 at load ${seconds(rounding)},\n` +
    `stored in int4 ${seconds(stored)}, ${(rounding / stored).toFixed(1)} times as fast (at least ${LOADING_LIMIT}). Of its ` +
    `${Math.round(bytes / 2 ** 20)} MiB: read ${rate(rates.read)}, hashed ${rate(rates.hash)},\n` +
    `laid out and uploaded ${rate(rates.place)}.`
  )
}

const STAGES = {
  features: 'mask features',
  condition: 'C',
  seg: 'S',
  classes: 'class logits',
  scores: 'class scores',
  raw: 'mask logits',
  refined: 'refined mask logits',
}

/** The errors of each form: exact, and those of its rounding where it has any. */
function errorsTable(columns) {
  const compared = TYPES.flatMap((type, i) => [
    [`${TITLES[type]}: exact`, columns[i]?.exact],
    ...(type.startsWith('int') ? [[`${TITLES[type]}: rounding`, columns[i]?.rounding]] : []),
  ])
  const line = (name, value) =>
    `| ${name} | ${compared.map(([, x]) => (x ? (value(x) ?? DASH) : DASH)).join(' | ')} |`
  const other = ({ queries: [engine, theirs] }, text) =>
    text ?? (engine === theirs ? undefined : 'another query')
  return [
    `| | ${compared.map(([title]) => title).join(' | ')} |`,
    `|---|${compared.map(() => '---|').join('')}`,
    ...Object.entries(STAGES).map(([stage, name]) =>
      line(name, (x) => other(x, x.errors[stage] === undefined ? undefined : scientific(x.errors[stage]))),
    ),
    line('query: engine, PyTorch', ({ queries }) => queries.join(', ')),
    line('equal mask pixels', (x) =>
      other(x, x.errors.mask === undefined ? undefined : percent(x.errors.mask)),
    ),
    line('PyTorch, two threads', ({ seconds: s }) => `${Math.round(s)} s`),
  ].join('\n')
}

function gpuText(gpu) {
  if (!gpu) return 'Nothing has been measured yet.'
  return (
    `At the ceiling of a GPU of ${gpu.tflops} TFLOP/s, ${gpu.gbs} GB/s and ${gpu.launchUs} us a dispatch, the same dispatches would take ${seconds(gpu.look)} for a\n` +
    `look and ${Math.round(gpu.sentence)} ms for a sentence: predicted by the roofline model, not measured.`
  )
}
