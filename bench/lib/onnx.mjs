// ONNX models, written byte by byte: a protobuf message is a run of (field number, wire type, value), and ONNX needs
// a dozen fields of it. Source: onnx.proto3 of ONNX 1.17.

const TYPES = { f32: 1, u8: 2, i32: 6, i64: 7, bool: 9, f16: 10 }

/**
 * @typedef {object} Node
 * @property {string} op
 * @property {string} [domain]
 * @property {string[]} reads
 * @property {string[]} writes
 * @property {Record<string, unknown>} [attributes]
 * @typedef {{ shape: readonly number[], type: keyof typeof TYPES }} Value
 *
 * @param {object} graph
 * @param {Node[]} graph.nodes
 * @param {Record<string, Value>} graph.inputs
 * @param {Record<string, Value>} graph.outputs
 * @param {Record<string, Value & { data: ArrayBufferView }>} graph.weights
 * @param {number} [opset]
 * @returns {Uint8Array}
 */
export function onnxModel({ nodes, inputs, outputs, weights }, opset = 21) {
  const graph = [
    ...nodes.map((node, i) => bytes(1, nodeProto(node, i))),
    text(2, 'bench'),
    ...Object.entries(weights).map(([name, value]) => bytes(5, tensorProto(name, value))),
    ...Object.entries(inputs).map(([name, value]) => bytes(11, valueInfo(name, value))),
    ...Object.entries(outputs).map(([name, value]) => bytes(12, valueInfo(name, value))),
  ]
  return join([
    int(1, 10), // ir_version
    bytes(7, join(graph)),
    bytes(8, join([text(1, ''), int(2, opset)])),
    bytes(8, join([text(1, 'com.microsoft'), int(2, 1)])),
  ])
}

function nodeProto({ op, domain = '', reads, writes, attributes = {} }, index) {
  return join([
    ...reads.map((name) => text(1, name)),
    ...writes.map((name) => text(2, name)),
    text(3, `${op}${index}`),
    text(4, op),
    ...Object.entries(attributes).map(([name, value]) => bytes(5, attributeProto(name, value))),
    text(7, domain),
  ])
}

/** Whole numbers are ints, strings strings, arrays ints; a float is written { float: 1 }. */
function attributeProto(name, value) {
  const parts = [text(1, name)]
  if (typeof value === 'string') parts.push(text(4, value), int(20, 3))
  else if (Array.isArray(value)) parts.push(...value.map((n) => int(8, n)), int(20, 7))
  else if (typeof value === 'object') parts.push(float(2, value.float), int(20, 1))
  else parts.push(int(3, value), int(20, 2))
  return join(parts)
}

function tensorProto(name, { shape, type, data }) {
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  return join([...shape.map((n) => int(1, n)), int(2, TYPES[type]), text(8, name), bytes(9, raw)])
}

function valueInfo(name, { shape, type }) {
  const dims = shape.map((n) => bytes(1, int(1, n)))
  const tensorType = join([int(1, TYPES[type]), bytes(2, join(dims))])
  return join([text(1, name), bytes(2, bytes(1, tensorType))])
}

// ---------------------------------------------------------------------------------------------------------
// Protobuf

function varint(value) {
  const result = []
  let rest = BigInt.asUintN(64, BigInt(value))
  do {
    const low = Number(rest & 0x7fn)
    rest >>= 7n
    result.push(rest > 0n ? low | 0x80 : low)
  } while (rest > 0n)
  return result
}

const int = (field, value) => Uint8Array.from([...varint(field << 3), ...varint(value)])
const text = (field, value) => bytes(field, new TextEncoder().encode(value))
const bytes = (field, value) =>
  join([Uint8Array.from([...varint((field << 3) | 2), ...varint(value.length)]), value])

function float(field, value) {
  const four = new Uint8Array(Float32Array.of(value).buffer)
  return join([Uint8Array.from(varint((field << 3) | 5)), four])
}

function join(parts) {
  const result = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    result.set(part, at)
    at += part.length
  }
  return result
}
