// The engine's answer, stage by stage, with what it was asked: training/full_size.py compares the file with PyTorch's.

import { performance } from 'node:perf_hooks'
import { entryOf } from '../../src/check.ts'
import { predictSeconds } from '../../src/cli/bench/roofline.ts'
import type { Gpu } from '../../src/gpu/gpu.ts'
import type { PlanInfo } from '../../src/gpu/plan/plan.ts'
import { openFolder, readJson } from '../../src/io/folder.ts'
import { openCheckpoint } from '../../src/io/open-checkpoint.ts'
import { type TensorData, writeSafetensors } from '../../src/io/safetensors.ts'
import type { Quantized } from '../../src/kernels/quantize.ts'
import { callScene } from '../../src/model/calls.ts'
import { parseConfig } from '../../src/model/checkpoint/config.ts'
import { storedQuantized } from '../../src/model/checkpoint/stored.ts'
import { captureImage } from '../../src/model/input/image-input.ts'
import { buildPrompt } from '../../src/model/input/prompt.ts'
import { type LoadedModel, loadModel } from '../../src/model/load.ts'
import { closeScene, look } from '../../src/model/look.ts'
import { deviceFootprint, hostFootprint } from '../../src/model/memory/footprint.ts'
import { decode } from '../../src/model/tasks/decode.ts'
import { segment } from '../../src/model/tasks/sentence.ts'
import { sliceRows } from '../../src/ops/layout/layout.ts'
import { plan } from '../../src/tensor/plan.ts'
import { firstDim, reshape, rowsOf, type Tensor } from '../../src/tensor/tensor.ts'
import { type HostUse, watchHost } from './watch-host.ts'

/** Side of the image that is asked about: square, so that PyTorch's side needs no crop. */
const SIDE = 512
const SENTENCES = ['the red mug to the left of the laptop', 'the second bottle from the right'] as const

/** As `flowseg bench` predicts for. */
const GPU = { tflops: 20, gbs: 500, launchUs: 5 }
const MACHINE = {
  flopsPerSecond: GPU.tflops * 1e12,
  bytesPerSecond: GPU.gbs * 1e9,
  dispatchSeconds: GPU.launchUs * 1e-6,
}

/** The measurements of a run, in milliseconds and bytes. */
export interface Measured extends HostUse {
  readonly adapter: string
  readonly load: number
  readonly look: number
  /** The first sentence, its plans included, and a further one, of another length, whose plans are ready. */
  readonly sentence: number
  readonly further: number
  /** Times of the further sentence: the language model's part, and the rest. */
  readonly furtherRead: number
  readonly furtherSegment: number
  readonly deviceBytes: number
  readonly devicePeak: number
  /** As `flowseg inspect` predicts it. */
  readonly devicePredicted: number
  /** As `flowseg inspect` predicts it. */
  readonly hostPredicted: number
  /** The same dispatches at the ceiling of a GPU like this, in milliseconds. */
  readonly gpu: typeof GPU & { readonly look: number; readonly sentence: number }
  /** Memory of the whole process; on a software adapter it includes the device's. */
  readonly processPeak: number
  readonly query: number
  readonly score: number
}

/** Loads the model of a folder, asks it about one image, the same every time, and returns the stages as a file. */
export async function answer(
  gpu: Gpu,
  folder: string,
  quantize: Quantized | undefined,
): Promise<{ measured: Measured; file: Uint8Array }> {
  const predicted = await predictMemory(gpu, folder, quantize)
  const watch = watchHost()
  const [loadMs, model] = await timed(() => loadModel(folder, { gpu, ...(quantize ? { quantize } : {}) }))
  const host = watch()
  try {
    const image = { width: SIDE, height: SIDE, rgb: picture() }
    const [lookMs, scene] = await timed(() => look(model, image, {}))
    const [first, second] = SENTENCES
    const [sentenceMs, result] = await timed(() => segment(model, scene, first, {}))
    const millisecondsOf = (plans: readonly PlanInfo[]): number =>
      1000 * plans.reduce((sum, { dispatches }) => sum + predictSeconds(dispatches, MACHINE), 0)
    const onGpu = {
      ...GPU,
      look: millisecondsOf([model.look.info]),
      sentence: millisecondsOf(model.plans.infos()),
    }
    await segment(model, scene, second, {}) // its plans
    const [further, { times }] = await timed(() => segment(model, scene, second, {}))
    const { bytes, peakBytes } = gpu.memory()

    // The stages of the first one, for which it is read again: copies of them would count as the model's memory above
    const prompt = buildPrompt(model.tokenizer, first, model.parts.config)
    const { before, after, spans, seg } = prompt
    const span = entryOf(spans, 0)
    const rows = span[1] - span[0]
    const { logits, language } = await callScene(model, scene, {}, () =>
      decode(model, scene, prompt, { task: 'referring' }, {}),
    )
    const stages: TensorData[] = [
      ...(await preprocessed(model, image)),
      f32('features', await read(gpu, tensorOf(scene.image, 'mask features'))),
      f32('condition', await read(gpu, language.condition, rows)),
      f32('seg', await read(gpu, language.seg)),
      f32('classes', logits),
      f32('scores', Float32Array.from(byQuery(result.candidates))),
      f32('refined', result.logits.refined),
      f32('raw', result.logits.raw),
      u32('before', before),
      u32('after', after),
      u32('span', [span[0], span[1], seg]),
      u32('query', [result.query]),
      { name: 'mask', dtype: 'U8', shape: [SIDE, SIDE], bytes: result.mask.data },
    ]
    closeScene(model, scene)
    return {
      measured: {
        adapter: gpu.name,
        load: loadMs,
        look: lookMs,
        sentence: sentenceMs,
        further,
        furtherRead: times.read,
        furtherSegment: times.segment,
        deviceBytes: bytes,
        devicePeak: peakBytes,
        ...predicted,
        ...host,
        gpu: onGpu,
        processPeak: process.resourceUsage().maxRSS * 1024,
        query: result.query,
        score: result.score,
      },
      file: writeSafetensors(stages),
    }
  } finally {
    model.release()
  }
}

async function predictMemory(
  gpu: Gpu,
  folder: string,
  quantize: Quantized | undefined,
): Promise<Pick<Measured, 'devicePredicted' | 'hostPredicted'>> {
  const files = openFolder(folder)
  const config = parseConfig(await readJson(files, 'config.json'), 'config.json')
  const checkpoint = await openCheckpoint(files)
  try {
    const devicePredicted = await deviceFootprint(gpu, checkpoint, config, { quantize })
    const isQuantized = quantize !== undefined || storedQuantized(checkpoint).size > 0
    return { devicePredicted, hostPredicted: hostFootprint(config, isQuantized ? 'quantized' : 'stored') }
  } finally {
    await checkpoint.close()
  }
}

/** Smooth waves of three lengths, a value for each byte: neither noise nor flat. */
function picture(): Uint8Array {
  return Uint8Array.from({ length: 3 * SIDE * SIDE }, (_, i) => {
    const [x, y, channel] = [Math.floor(i / 3) % SIDE, Math.floor(i / 3 / SIDE), i % 3]
    return 127 + 100 * Math.sin((x + 2 * channel * y) / (9 + 7 * channel)) * Math.cos((y - x) / 31)
  })
}

/** The pixels that the encoders see, channels last. */
async function preprocessed(
  { gpu, preprocessor }: LoadedModel,
  image: { width: number; height: number; rgb: Uint8Array },
): Promise<TensorData[]> {
  const captured = captureImage(image, gpu)
  try {
    const pixels = await preprocessor.run(await captured.open(), {})
    const stages: TensorData[] = []
    for (const [name, x] of Object.entries(pixels)) stages.push(f32(`${name} pixels`, await read(gpu, x)))
    return stages
  } finally {
    captured.close()
  }
}

function byQuery(candidates: readonly { readonly query: number; readonly score: number }[]): number[] {
  return [...candidates].sort((a, b) => a.query - b.query).map(({ score }) => score)
}

function tensorOf(tensors: Readonly<Record<string, Tensor>> | undefined, name: string): Tensor {
  const x = tensors?.[name]
  if (!x) throw new Error(`full-size: the model kept no '${name}'`)
  return x
}

/** The first rows of a tensor on the device. */
async function read(
  gpu: Gpu,
  x: Tensor,
  rows = firstDim(reshape(x, [rowsOf(x), x.size / rowsOf(x)])),
): Promise<Float32Array> {
  const flat: [number, number] = [rowsOf(x), x.size / rowsOf(x)]
  const copy = await plan(gpu, 'read back', ({ bound }) => ({
    read: { y: sliceRows(bound('x', flat), 0, rows) },
  }))
  try {
    const { read: result } = await copy.run({ bound: { x: reshape(x, flat) } })
    return result.y as Float32Array
  } finally {
    copy.release()
  }
}

function f32(name: string, values: Float32Array): TensorData {
  return { name, dtype: 'F32', shape: [values.length], bytes: bytesOf(values) }
}

function u32(name: string, values: Iterable<number>): TensorData {
  const words = Uint32Array.from(values)
  return { name, dtype: 'U32', shape: [words.length], bytes: bytesOf(words) }
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength)
}

async function timed<T>(work: () => Promise<T>): Promise<[ms: number, result: T]> {
  const started = performance.now()
  const result = await work()
  return [performance.now() - started, result]
}
