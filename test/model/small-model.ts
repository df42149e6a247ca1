// A model of a small checkpoint of random weights, for tests of the API, and what they compare.

import { afterEach, expect, vi } from 'vitest'
import type { Gpu } from '../../src/gpu/gpu.ts'
import type { Folder } from '../../src/io/folder.ts'
import { FlowSeg, type LoadOptions, type Segmentation } from '../../src/model/flowseg.ts'
import { adapters, expectSameBits } from '../support.ts'
import { smallCheckpoint } from './checkpoint/small-checkpoint.ts'

export const files: File[] = smallCheckpoint()

/** Compares all that must be the same when a sentence is asked again. */
export function expectSame(a: Segmentation, b: Segmentation): void {
  expectSameBits(a.logits.raw, b.logits.raw)
  expectSameBits(a.logits.refined, b.logits.refined)
  expect(a.mask).toEqual(b.mask)
  const ranked = ({ candidates }: Segmentation) => candidates.map(({ query, score }) => ({ query, score }))
  expect(ranked(a)).toEqual(ranked(b))
}

export function bytesOn(gpu: Gpu): number {
  return gpu.memory().bytes
}

/** |a - b| / |b| */
export function relative(a: Float32Array, b: Float32Array): number {
  const norm = (x: Float32Array) => Math.sqrt(x.reduce((sum, v) => sum + v * v, 0))
  return norm(a.map((v, i) => v - b[i]!)) / norm(b)
}

const models: FlowSeg[] = []

/** A model that is closed after the test, whatever comes of it. */
export async function load(from: File[] | Folder, options: LoadOptions): Promise<FlowSeg> {
  const model = await FlowSeg.load(from, options)
  models.push(model)
  return model
}

/** After each test of a file: closes its models, and frees what a failed test left. */
export function cleanUp(): void {
  // The first test on a device waits for its kernels: half a minute on a software adapter, more on a busy machine
  vi.setConfig({ testTimeout: 400_000 })
  afterEach(async () => {
    vi.restoreAllMocks()
    for (const model of models.splice(0)) model.close()
    for (const gpu of await adapters()) gpu.buffers.releaseAll()
  })
}
