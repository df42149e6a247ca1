// The best that this adapter can do, in raw WGSL without our engine: the figures that a kernel's rate is a share of.
//
// Shaders whose point is how far they are unrolled are written by functions (shaders.mjs). Every rate is the median
// of five, each long enough that waiting for it doesn't count, and best over the variants named beside it.

import { installNavigator } from '../lib/device.mjs'
import { uniform } from '../lib/random.mjs'
import { median } from '../lib/statistics.mjs'
import { WAITS } from '../lib/wait.mjs'
import { copyShader, emptyShader, loadShader, multiplyAddShader, productShader } from './shaders.mjs'

const RUNS = 5
const SHORTEST_MS = 60

let gpu
let device
let lanes

export async function open(adapterName) {
  gpu = installNavigator(adapterName)
  const adapter = await gpu.requestAdapter()
  const { limits, features, info } = adapter
  device = await adapter.requestDevice({
    requiredFeatures: ['subgroups'].filter((name) => features.has(name)),
    requiredLimits: {
      maxBufferSize: limits.maxBufferSize,
      maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
    },
  })
  lanes = features.has('subgroups') ? info.subgroupMinSize : 0
  return { note: `subgroups of ${lanes}` }
}

/** In the order of the report. */
export async function measure() {
  return {
    'multiply-add from registers': await multiplyAdd(),
    ...(await loads()),
    ...(await copies()),
    ...(await overheads()),
    ...(lanes > 0 ? await products() : {}),
  }
}

// ---------------------------------------------------------------------------------------------------------

async function multiplyAdd() {
  const [threads, steps] = [64 * 256, 512]
  return best([4, 8, 12, 16], 'GFLOP/s', async (accumulators) => {
    const y = buffer(threads * 4)
    const x = buffer(Float32Array.of(0.999, 0.001))
    const run = await prepare(multiplyAddShader(accumulators, steps), [x, y], [threads / 64])
    const ms = await time(run)
    return {
      label: `${accumulators} accumulators`,
      value: (2 * accumulators * steps * 8 * threads) / ms / 1e6,
    }
  })
}

/** A working set that stays in the nearest cache, so that it is load instructions that count. */
async function loads() {
  const BYTES = 16 * 1024
  const [threads, steps] = [64 * 128, 64]
  const results = {}
  for (const kind of ['storage scalar', 'storage vec4', 'texture rgba32float', 'workgroup vec4']) {
    const elements = BYTES / (kind === 'storage scalar' ? 4 : 16)
    const values = uniform(kind, BYTES / 4)
    const source = kind.startsWith('texture') ? texture(values, 64, elements / 64) : buffer(values)
    const run = await prepare(
      loadShader(kind, elements, steps),
      [source, buffer(threads * 4)],
      [threads / 64],
    )
    const value = (threads * steps * 8 * (BYTES / elements)) / (await time(run)) / 1e6
    results[`loads, ${kind}`] = { value, unit: 'GB/s' }
  }
  return results
}

/** Bytes count twice: read and written, as in the table of ops. */
async function copies() {
  const bytes = 2 ** 24
  const [from, to] = [buffer(uniform('copied', bytes / 4)), buffer(bytes)]
  const rate = (ms) => (2 * bytes) / ms / 1e6
  const byShader = (Elem, size) =>
    best([4, 8, 16], 'GB/s', async (each) => {
      const run = await prepare(copyShader(Elem, each), [from, to], [bytes / size / 64 / each])
      return { label: `${each} a thread`, value: rate(await time(run)) }
    })
  const whole = (encoder) => encoder.copyBufferToBuffer(from, 0, to, 0, bytes)
  return {
    'copy, a scalar a step': await byShader('f32', 4),
    'copy, a vec4 a step': await byShader('vec4f', 16),
    'copy, copyBufferToBuffer': { value: rate(await time(whole)), unit: 'GB/s' },
  }
}

async function overheads() {
  const y = buffer(64)
  const one = await pipelineFor(emptyShader(), [y])
  const many = (count) => (encoder) => {
    const pass = encoder.beginComputePass()
    pass.setPipeline(one.pipeline)
    pass.setBindGroup(0, one.bindGroup)
    for (let i = 0; i < count; i++) pass.dispatchWorkgroups(1)
    pass.end()
  }
  // Of several differences, as one moment of other work on the machine is more than all dispatches take
  const each = []
  for (let i = 0; i < 5; i++) each.push(-(await time(many(500))) + (await time(many(2500))))

  // Waiting as the engine does would add its naps: here we spin
  const submit = many(1)
  const latencies = []
  const readbacks = []
  const host = device.createBuffer({ size: 64, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST })
  for (let i = 0; i < 50; i++) {
    let started = performance.now()
    encode(submit)
    await device.queue.onSubmittedWorkDone()
    latencies.push(performance.now() - started)
    started = performance.now()
    encode((encoder) => {
      submit(encoder)
      encoder.copyBufferToBuffer(y, 0, host, 0, 64)
    })
    await host.mapAsync(GPUMapMode.READ)
    host.getMappedRange().slice(0)
    host.unmap()
    readbacks.push(performance.now() - started)
  }
  return {
    'a dispatch in a pass': { value: (median(each) / 2000) * 1000, unit: 'us' },
    'submit and wait': { value: median(latencies) * 1000, unit: 'us' },
    'submit and read 64 bytes': { value: median(readbacks) * 1000, unit: 'us' },
  }
}

/**
 * The best design of a product known before this engine had one: both operands packed beforehand in groups of as
 * many rows as a subgroup has lanes, four values of K together; a subgroup computes a tile of several groups, each
 * lane the rows of its number, and columns are spread by broadcast.
 */
async function products() {
  const isWide = lanes >= 8
  const designs = isWide
    ? [
        { source: 'texture', I: 4, J: 4 },
        { source: 'texture', I: 4, J: 6 },
        { source: 'buffer', I: 4, J: 4 },
      ]
    : [
        { source: 'buffer', I: 2, J: 2 },
        { source: 'buffer', I: 4, J: 2 },
        { source: 'texture', I: 2, J: 2 },
      ]
  const shapes = [
    [1024, 1024, 1024],
    [729, 1152, 4304],
    [200, 256, 256],
  ]
  const results = {}
  for (const [M, K, N] of shapes) {
    if (!isWide && M * K * N > 2e9) continue
    const [a, b] = [uniform('a', M * K), uniform('b', N * K)]
    results[`packed product ${M}x${K}x${N}`] = await best(designs, 'GFLOP/s', async ({ source, I, J }) => {
      const tiles = [Math.ceil(M / (lanes * I)), Math.ceil(N / (lanes * J))]
      const place = (values, rows, groups) => {
        const packed = pack(values, rows, groups, K)
        return source === 'texture' ? texture(packed, (K / 4) * lanes, groups) : buffer(packed)
      }
      const y = buffer(M * N * 4)
      const inputs = [place(a, M, tiles[0] * I), place(b, N, tiles[1] * J), y]
      const run = await prepare(productShader({ source, lanes, I, J, M, N, K }), inputs, tiles)
      const ms = await time(run)
      await expectProduct(y, a, b, [M, K, N])
      for (const one of inputs) one.destroy()
      const label = `${lanes * I} x ${lanes * J} outputs a subgroup, ${source}s`
      return { label, value: (2 * M * K * N) / ms / 1e6 }
    })
  }
  return results
}

/** [rows, K] as [group, K / 4, lane, 4], rows past the end 0. */
function pack(values, rows, groups, K) {
  const packed = new Float32Array(groups * lanes * K)
  for (let r = 0; r < rows; r++) {
    const [group, lane] = [Math.floor(r / lanes), r % lanes]
    for (let k = 0; k < K; k++) {
      packed[((group * (K / 4) + (k >> 2)) * lanes + lane) * 4 + (k & 3)] = values[r * K + k]
    }
  }
  return packed
}

async function expectProduct(y, a, b, [M, K, N]) {
  const values = await read(y)
  for (let i = 0; i < 64; i++) {
    const place = i === 0 ? M * N - 1 : Math.floor((M * N * i) / 64)
    const [m, n] = [Math.floor(place / N), place % N]
    let sum = 0
    for (let k = 0; k < K; k++) sum += a[m * K + k] * b[n * K + k]
    if (!(Math.abs(values[place] - sum) < 1e-3)) {
      throw new Error(`packed product is ${values[place]} at [${m}, ${n}], expected ${sum}`)
    }
  }
}

// ---------------------------------------------------------------------------------------------------------

/** The best of several variants; one that an adapter can't run is left out. */
async function best(variants, unit, rateOf) {
  const rates = []
  for (const variant of variants) {
    try {
      rates.push(await rateOf(variant))
    } catch (error) {
      rates.push({ label: `failed: ${error.message.split('\n')[0]}`, value: 0 })
    }
  }
  const top = rates.reduce((a, b) => (b.value > a.value ? b : a))
  return { value: top.value, unit, best: top.label, variants: rates }
}

async function pipelineFor(code, resources) {
  device.pushErrorScope('validation')
  const pipeline = await device.createComputePipelineAsync({
    layout: 'auto',
    compute: { module: device.createShaderModule({ code }) },
  })
  const bindGroup = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: resources.map((one, binding) => ({
      binding,
      resource: one instanceof GPUBuffer ? { buffer: one } : one.createView(),
    })),
  })
  const error = await device.popErrorScope()
  if (error) throw new Error(error.message)
  return { pipeline, bindGroup }
}

async function prepare(code, resources, grid) {
  const { pipeline, bindGroup } = await pipelineFor(code, resources)
  return (encoder) => {
    const pass = encoder.beginComputePass()
    pass.setPipeline(pipeline)
    pass.setBindGroup(0, bindGroup)
    pass.dispatchWorkgroups(...grid)
    pass.end()
  }
}

function encode(record) {
  const encoder = device.createCommandEncoder()
  record(encoder)
  device.queue.submit([encoder.finish()])
}

/** @returns milliseconds of one, the median of several measurements */
async function time(record) {
  const once = async (repeat) => {
    const started = performance.now()
    encode((encoder) => {
      for (let i = 0; i < repeat; i++) record(encoder)
    })
    await WAITS.calm(device.queue.onSubmittedWorkDone())
    return (performance.now() - started) / repeat
  }
  await once(1)
  const repeat = Math.max(1, Math.min(200, Math.ceil(SHORTEST_MS / (await once(1)))))
  const times = []
  for (let i = 0; i < RUNS; i++) times.push(await once(repeat))
  return median(times)
}

/** A storage buffer of so many bytes, or with these contents. */
function buffer(contents) {
  const size = typeof contents === 'number' ? contents : contents.byteLength
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC
  const resource = device.createBuffer({ size, usage })
  if (typeof contents !== 'number') device.queue.writeBuffer(resource, 0, contents)
  return resource
}

function texture(values, width, height) {
  const usage = GPUTextureUsage.STORAGE_BINDING | GPUTextureUsage.COPY_DST
  const resource = device.createTexture({ size: [width, height], format: 'rgba32float', usage })
  device.queue.writeTexture({ texture: resource }, values, { bytesPerRow: width * 16 }, [width, height])
  return resource
}

async function read(source) {
  const host = device.createBuffer({
    size: source.size,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  })
  encode((encoder) => encoder.copyBufferToBuffer(source, 0, host, 0, source.size))
  await WAITS.calm(host.mapAsync(GPUMapMode.READ))
  const copy = new Float32Array(host.getMappedRange().slice(0))
  host.destroy()
  return copy
}
