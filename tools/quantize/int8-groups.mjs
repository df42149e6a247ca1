// Would int8 gain from a scale per group of 32 values, in place of one per row? The error of both on rows of random
// values and on the matrices of the packaged checkpoint, and what the scales cost: docs/quantized.md has the answer.
//
//   node tools/quantize/int8-groups.mjs
//
// The error is ||W - rounded W|| / ||W||, which is also that of W x for an x of independent values.

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const GROUP = 32
const ROWS = 512
const COLUMNS = 2560
const NANO = fileURLToPath(new URL('../../weights/flowseg-nano/', import.meta.url))
/** Matrices that are held in few bits (src/model/checkpoint/stored.ts). */
const ROUNDED =
  /^(vision_encoder|segmentor\.encoder|llm\.model\.layers|visual_projector|seg_projector)\..*weight$/

/** Squared error and squared norm of rounding `values` in runs of `length`, each with its own scale. */
function rounding(values, length, asBf16) {
  let [error, norm] = [0, 0]
  for (let begin = 0; begin < values.length; begin += length) {
    const run = values.subarray(begin, begin + length)
    let most = 0
    for (const x of run) most = Math.max(most, Math.abs(x))
    const scale = asBf16 ? bf16(most / 127) : Math.fround(most / 127)
    for (const x of run) {
      const code = scale === 0 ? 0 : Math.max(-127, Math.min(127, Math.round(x / scale)))
      error += (x - code * scale) ** 2
      norm += x * x
    }
  }
  return [error, norm]
}

const word = new Uint32Array(1)
const single = new Float32Array(word.buffer)

/** To the nearest bfloat16. */
function bf16(x) {
  single[0] = x
  word[0] = (word[0] + 0x7fff + ((word[0] >>> 16) & 1)) & 0xffff0000
  return single[0]
}

/** Relative errors per row and per group, of rows of one or more matrices. */
function errorsOf(matrices) {
  const sums = { row: [0, 0], group: [0, 0] }
  let [values, rows, groups] = [0, 0, 0]
  for (const { data, K } of matrices) {
    for (let begin = 0; begin < data.length; begin += K) {
      const row = data.subarray(begin, begin + K)
      for (const [kind, length] of [
        ['row', K],
        ['group', GROUP],
      ]) {
        const [error, norm] = rounding(row, length, kind === 'group')
        sums[kind][0] += error
        sums[kind][1] += norm
      }
      rows++
      groups += Math.ceil(K / GROUP)
      values += K
    }
  }
  const relative = ([error, norm]) => Math.sqrt(error / norm)
  const more = (2 * groups - 4 * rows) / (values + 4 * rows)
  return { row: relative(sums.row), group: relative(sums.group), more }
}

let state = 1
/** Uniform in (0, 1), the same every time. */
function uniform() {
  state = (Math.imul(state, 1664525) + 1013904223) | 0
  return ((state >>> 8) + 0.5) / 2 ** 24
}

function normal() {
  return Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform())
}

/** Student's t with 3 degrees of freedom: one value in 500 is beyond ten. */
function heavyTailed() {
  return normal() / Math.sqrt((normal() ** 2 + normal() ** 2 + normal() ** 2) / 3)
}

function randomMatrix(draw) {
  return [{ data: Float32Array.from({ length: ROWS * COLUMNS }, (_, i) => draw(i % COLUMNS)), K: COLUMNS }]
}

/** The matrices of the packaged checkpoint that int8 holds. */
function nano() {
  const file = readFileSync(`${NANO}model.safetensors`)
  const length = Number(file.readBigUInt64LE(0))
  const header = JSON.parse(file.toString('utf8', 8, 8 + length))
  return Object.entries(header).flatMap(([name, { dtype, shape, data_offsets: [begin, end] = [] }]) => {
    if (!ROUNDED.test(name) || shape.length !== 2 || shape[1] % 4 !== 0) return []
    const bytes = file.subarray(8 + length + begin, 8 + length + end)
    return [{ data: floats(bytes, dtype), K: shape[1] }]
  })
}

function floats(bytes, dtype) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (dtype === 'F32')
    return Float32Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true))
  if (dtype === 'F16')
    return Float32Array.from({ length: bytes.length / 2 }, (_, i) => half(view.getUint16(2 * i, true)))
  if (dtype !== 'BF16') throw new Error(`int8-groups reads F32, F16 and BF16, not ${dtype}.`)
  const bits = Uint32Array.from({ length: bytes.length / 2 }, (_, i) => view.getUint16(2 * i, true) << 16)
  return new Float32Array(bits.buffer)
}

function half(bits) {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023]
  const size = exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15)
  return bits & 0x8000 ? -size : size
}

const cases = {
  'normal values': randomMatrix(normal),
  "Student's t, 3 degrees of freedom": randomMatrix(heavyTailed),
  'normal, and a value of 30 in each row': randomMatrix((column) => (column === 0 ? 30 : normal())),
  'flowseg-nano': nano(),
}
console.log('matrices | error per row | error per group of 32 | bytes more')
for (const [name, matrices] of Object.entries(cases)) {
  const { row, group, more } = errorsOf(matrices)
  console.log(
    [name, row.toExponential(1), group.toExponential(1), `${(100 * more).toFixed(1)} %`].join(' | '),
  )
}
