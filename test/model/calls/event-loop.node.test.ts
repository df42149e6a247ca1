// A server goes on answering while a photograph of 12 megapixels is decoded and looked at, and whoever gives up needn't
// wait.

import { existsSync, readFileSync } from 'node:fs'
import sharp from 'sharp'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { decodeImage } from '../../../src/io/image/image.ts'
import { FlowSeg } from '../../../src/model/flowseg.ts'
import { noise } from '../../io/image/pixels.ts'
import { anyGpu } from '../../support.ts'

const SCHEDULED = '/proc/thread-self/schedstat'

/** Milliseconds that this thread has computed; where the system doesn't tell, those that went by. */
function threadMs(): number {
  if (!existsSync(SCHEDULED)) return performance.now()
  return Number(readFileSync(SCHEDULED, 'utf8').split(' ')[0]) / 1e6
}

/** @returns the longest time between two turns of the event loop, not counting what other processes took */
async function longestHold(work: () => Promise<unknown>): Promise<number> {
  let [longest, last, isOver] = [0, threadMs(), false]
  const turn = (): void => {
    const now = threadMs()
    longest = Math.max(longest, now - last)
    last = now
    if (!isOver) setImmediate(turn)
  }
  setImmediate(turn)
  await work()
  await new Promise((done) => setImmediate(done))
  isOver = true
  return longest
}

/** Milliseconds. */
const LIMIT = 50

/**
 * The longest hold of up to three times, until one is short enough: something may be compiled, or collected, but not
 * each time.
 */
async function bestHold(work: () => Promise<unknown>): Promise<number> {
  let best = Number.POSITIVE_INFINITY
  for (let i = 0; i < 3 && best >= LIMIT; i++) best = Math.min(best, await longestHold(work))
  return best
}

let jpeg: Uint8Array
let png: Uint8Array
let model: FlowSeg
const gpu = await anyGpu()
beforeAll(async () => {
  const [width, height] = [4000, 3000]
  const small = sharp(noise(400, 300), { raw: { width: 400, height: 300, channels: 3 } })
  const large = small.resize(width, height)
  jpeg = new Uint8Array(await large.clone().jpeg({ quality: 90 }).toBuffer())
  png = new Uint8Array(await large.clone().png({ compressionLevel: 1 }).toBuffer())
  model = await FlowSeg.load('weights/flowseg-nano', { gpu })
  // Compiles what any image and sentence need
  const scene = await model.look({ width: 9, height: 9, rgb: noise(9, 9) })
  await scene.segment('the dotted shape')
  scene.close()
})
afterAll(() => model.close())

test('decoding a JPEG of 12 megapixels holds the event loop for less than 50 ms', async () => {
  expect(await bestHold(() => decodeImage(jpeg))).toBeLessThan(LIMIT)
})

test('and so does a PNG', async () => {
  expect(await bestHold(() => decodeImage(png))).toBeLessThan(LIMIT)
})

test(`and so does looking at the JPEG on ${gpu.name}`, async () => {
  const look = async () => (await model.look(jpeg)).close()
  expect(await bestHold(look)).toBeLessThan(LIMIT)
})

test(`giving up takes effect within 200 ms on ${gpu.name}`, async () => {
  for (const start of [
    (signal: AbortSignal) => decodeImage(jpeg, { signal }),
    (signal: AbortSignal) => model.look(jpeg, { signal }),
  ]) {
    const taken: number[] = []
    for (const after of [0, 20, 60, 150]) {
      const controller = new AbortController()
      const reason = new Error('enough')
      const work = start(controller.signal)
      const begun = new Promise<number>((done) =>
        setTimeout(() => {
          controller.abort(reason)
          done(performance.now())
        }, after),
      )
      await expect(work).rejects.toBe(reason)
      taken.push(performance.now() - (await begun))
    }
    // The machine may be busy with something else once
    expect(taken.sort((a, b) => a - b).at(-2)).toBeLessThan(200)
  }
})
