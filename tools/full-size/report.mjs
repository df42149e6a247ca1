// bench/results/full-size.md from what was recorded.

const TITLES = { stored: 'bf16, as stored', int8: 'int8', int4: 'int4' }

const gigabytes = (bytes) => `${(bytes / 1e9).toFixed(2)} GB`
const seconds = (ms) => (ms < 10_000 ? `${(ms / 1000).toFixed(2)} s` : `${Math.round(ms / 1000)} s`)
const scientific = (x) => (x === undefined ? 'another query' : x.toExponential(1))
const percent = (x) => (x === undefined ? 'another query' : `${(100 * x).toFixed(2)} %`)

/** @param recorded what tools/full-size.mjs measured: a row per form of the weights */
export function report({ config, rows }) {
  const line = (name, cell) => `| ${name} | ${rows.map(cell).join(' | ')} |`
  const [{ adapter, gpu }] = rows
  return `# The model at its true size

${config}, random weights, on ${adapter}. Written by \`npm run full-size\`; a column is of one run.

| | ${rows.map(({ type }) => TITLES[type]).join(' | ')} |
|---|${rows.map(() => '---|').join('')}
${[
  line('measured on', ({ date }) => date),
  line('weights on disk', ({ disk }) => gigabytes(disk)),
  line('convert', ({ convert }) => (convert === undefined ? '' : seconds(convert))),
  line('load', ({ load }) => seconds(load)),
  line('look', ({ look }) => seconds(look)),
  line('first sentence', ({ sentence }) => seconds(sentence)),
  line('look and first sentence', ({ look, sentence }) => seconds(look + sentence)),
  line('a further sentence', ({ further }) => seconds(further)),
  line('reading it', ({ furtherRead }) => (furtherRead === undefined ? '' : seconds(furtherRead))),
  line('segmenting by it', ({ furtherSegment }) =>
    furtherSegment === undefined ? '' : seconds(furtherSegment),
  ),
  line('a further sentence, share of the first with its look', ({ further, sentence, look }) =>
    percent(further / (look + sentence)),
  ),
  line('device memory, largest', ({ devicePeak }) => gigabytes(devicePeak)),
  line('the same, as `flowseg inspect` predicts it', ({ devicePredicted }) =>
    devicePredicted === undefined ? '' : gigabytes(devicePredicted),
  ),
  line('host memory while loading, arrays and heap, largest', ({ hostPeak }) => gigabytes(hostPeak)),
  line('the same, as `flowseg inspect` predicts it at most', ({ hostPredicted }) =>
    hostPredicted === undefined ? '' : gigabytes(hostPredicted),
  ),
  line('process, largest, the software adapter included', ({ processPeak }) => gigabytes(processPeak)),
  line('event loop while loading, longest hold', ({ loopMs }) => `${Math.round(loopMs)} ms`),
  line('the same, of this thread alone', ({ loopOwnMs }) =>
    loopOwnMs === undefined ? '' : `${Math.round(loopOwnMs)} ms`,
  ),
].join('\n')}

The event loop is watched from the moment the device is open. A single call of the WebGPU implementation can't be cut:
reading the WGSL of a large kernel takes this thread some 10 ms on these cores, and opening lavapipe itself some 70 ms.

Relative errors against PyTorch in float32 with the same weights, rounded alike where they are (\`exact\`), and against
PyTorch with the weights as stored (\`rounding\`: the price of fewer bits, on random weights, which have no outliers and
no redundancy).

| | ${rows.flatMap(({ type, rounding }) => [`${TITLES[type]}: exact`, ...(rounding ? [`${TITLES[type]}: rounding`] : [])]).join(' | ')} |
|---|${rows.map(({ rounding }) => (rounding ? '---|---|' : '---|')).join('')}
${['features', 'condition', 'seg', 'scores', 'raw', 'refined']
  .map((stage) => errorsLine(NAMES[stage], rows, ({ errors }) => scientific(errors[stage])))
  .concat([
    errorsLine('query: engine, PyTorch', rows, ({ queries }) => queries.join(', ')),
    errorsLine('equal mask pixels', rows, ({ errors }) => percent(errors.mask)),
    errorsLine('PyTorch, two threads', rows, ({ seconds: s }) => `${Math.round(s)} s`),
  ])
  .join('\n')}

At the ceiling of a GPU of ${gpu.tflops} TFLOP/s, ${gpu.gbs} GB/s and ${gpu.launchUs} us a dispatch, the same dispatches would take ${seconds(gpu.look)} for a
look and ${Math.round(gpu.sentence)} ms for a sentence: predicted by the roofline model, not measured.
`
}

const NAMES = {
  features: 'mask features',
  condition: 'C',
  seg: 'S',
  scores: 'class scores',
  raw: 'mask logits',
  refined: 'refined mask logits',
}

function errorsLine(name, rows, cell) {
  const cells = rows.flatMap(({ exact, rounding }) => [cell(exact), ...(rounding ? [cell(rounding)] : [])])
  return `| ${name} | ${cells.join(' | ')} |`
}
