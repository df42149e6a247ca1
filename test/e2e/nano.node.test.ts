// The embedded checkpoint finds what it is asked for, and asking on and on costs no memory.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { metricsOf, overlap } from '../../src/cli/metrics.ts'
import { decodeImage } from '../../src/io/image/image.ts'
import { FlowSeg, type LoadOptions } from '../../src/model/flowseg.ts'
import { datasetScene } from '../../src/scenes/dataset.ts'
import { SIZE } from '../../src/scenes/scene.ts'
import { collect, thorough } from '../runtime.ts'
import { anyGpu } from '../support.ts'
import { NANO } from './cli-harness.ts'
import { pixelsOf, reference } from './reference.ts'

const scenes = [...new Set(reference.map(({ scene }) => scene))]

test.each(scenes)('the picture and the sentences of scene %i are those that are drawn', async (index) => {
  const drawn = datasetScene('test', index)
  const { width, height, rgb } = await decodeImage(readFileSync(`test/fixtures/nano/${index}.png`))
  expect([width, height]).toEqual([SIZE, SIZE])
  expect(Buffer.compare(rgb, drawn.rgb)).toBe(0)
  const asked = reference.filter(({ scene }) => scene === index).map(({ sentence }) => sentence)
  expect(asked).toEqual(drawn.sentences.map(({ text }) => text))
})

// That the engine answers like the reference, pixel by pixel and in every runtime, is shown by nano.test.ts
test('the reference finds what it is asked for', () => {
  const overlaps = scenes.flatMap((index) => {
    const { sentences, ids } = datasetScene('test', index)
    const answers = reference.filter(({ scene }) => scene === index)
    return sentences.map(({ target }, i) => {
      const truth = ids.map((id) => (id === target + 1 ? 1 : 0))
      return overlap(pixelsOf(answers[i]!), truth)
    })
  })
  const { cIoU, half } = metricsOf(overlaps)
  expect(cIoU).toBeGreaterThanOrEqual(0.65)
  expect(half).toBeGreaterThanOrEqual(0.8)
})

/** The queries that answer scene 0, and the memory of the weights. */
async function answers(options: LoadOptions): Promise<{ queries: number[]; bytes: number }> {
  const { rgb, sentences } = datasetScene('test', 0)
  const model = await FlowSeg.load(NANO, { gpu: await anyGpu(), ...options })
  const bytes = model.memory().byOwner['weights']!
  const scene = await model.look({ width: SIZE, height: SIZE, rgb })
  const queries = []
  for (const { text } of sentences) queries.push((await scene.segment(text)).query)
  model.close()
  return { queries, bytes }
}

test('in int8 and int4 it finds the same, in less memory', async () => {
  const full = await answers({})
  // Of the matrices alone: vectors, tables and convolutions stay as they are stored, and textures are filled up
  for (const [quantize, same, memory] of [
    ['int8', 0.97, 0.8],
    ['int4', 0.85, 0.7],
  ] as const) {
    const quantized = await answers({ quantize })
    const agreeing = quantized.queries.filter((query, i) => query === full.queries[i]).length
    expect(agreeing / full.queries.length, quantize).toBeGreaterThanOrEqual(same)
    expect(quantized.bytes, quantize).toBeLessThan(memory * full.bytes)
  }
})

test('what it can be quantised to is told', async () => {
  const load = FlowSeg.load(NANO, { gpu: await anyGpu(), quantize: 'int2' as 'int4' })
  await expect(load).rejects.toThrow("FlowSeg.load: quantize is \"int2\", expected 'int8' or 'int4'.")
})

test('hundreds of sentences leave memory as it was', async () => {
  const gpu = await anyGpu()
  const model = await FlowSeg.load(NANO, { gpu })
  const { rgb, sentences } = datasetScene('test', 0)
  const scene = await model.look({ width: SIZE, height: SIZE, rgb })
  const askOn = async (times: number): Promise<{ gpu: number; resident: number }> => {
    for (let i = 0; i < times; i++) await scene.segment(sentences[i % sentences.length]!.text)
    collect?.()
    return { gpu: gpu.memory().bytes, resident: process.memoryUsage().rss }
  }

  const before = await askOn(40)
  const after = await askOn(thorough ? 200 : 80)
  expect(after.gpu).toBe(before.gpu)
  expect(after.resident).toBeLessThan(1.05 * before.resident)
  scene.close()
  model.close()
})
