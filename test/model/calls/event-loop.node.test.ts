// A server goes on answering while a photograph of 12 megapixels is decoded and looked at, and whoever gives up needn't
// wait.

import { pbkdf2 } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { decodeImage } from '../../../src/io/image/image.ts'
import { FlowSeg } from '../../../src/model/flowseg.ts'
import { type PhotographFormat, photograph } from '../../io/image/photograph.ts'
import { noise } from '../../io/image/pixels.ts'
import { anyGpu } from '../../support.ts'

vi.setConfig({ testTimeout: 400_000, hookTimeout: 400_000 })

const SCHEDULED = '/proc/thread-self/schedstat'

/** Two clocks, in milliseconds. */
interface Clocks {
  /** What this thread has computed. */
  readonly thread: number
  /** What went by, but for the time that this thread could have gone on and other processes had the processors. */
  readonly clock: number
}

/** Where the system doesn't tell what a thread computes, both are what went by. */
function now(): Clocks {
  const clock = performance.now()
  if (!existsSync(SCHEDULED)) return { thread: clock, clock }
  const [computed = 0, waited = 0] = readFileSync(SCHEDULED, 'utf8').split(' ').map(Number)
  return { thread: computed / 1e6, clock: clock - waited / 1e6 }
}

/** The longest time between two turns of the event loop. */
type Hold = Clocks

/**
 * The thread's is what is promised: 50 ms of its own work. The clock also counts what it waited for, other threads and
 * locks of the library, which may have been starved themselves: on a busy machine of two cores, the best of three runs
 * was 69 ms for an AVIF, whose thread computed for 8 (December 2026).
 */
const LIMIT: Hold = { thread: 50, clock: 250 }

async function longestHold(work: () => unknown): Promise<Hold> {
  let [thread, clock, isOver, last] = [0, 0, false, now()]
  const turn = (): void => {
    const next = now()
    thread = Math.max(thread, next.thread - last.thread)
    clock = Math.max(clock, next.clock - last.clock)
    last = next
    if (!isOver) setImmediate(turn)
  }
  setImmediate(turn)
  await work()
  await new Promise((done) => setImmediate(done))
  isOver = true
  return { thread, clock }
}

const isShort = ({ thread, clock }: Hold): boolean => thread < LIMIT.thread && clock < LIMIT.clock

/**
 * Works once to be warm, and once to be measured. If that holds the loop for too long, then twice more, and neither
 * may: memory is collected once in a while, and what this thread waits for may not get a busy machine's processors;
 * work that holds the loop does it again.
 */
async function expectFree(work: () => Promise<unknown>): Promise<void> {
  await work()
  const first = await longestHold(work)
  if (isShort(first)) return
  const holds = [await longestHold(work), await longestHold(work)]
  const three = [first, ...holds].map(({ thread, clock }) => `${thread.toFixed(1)} (${clock.toFixed(1)})`)
  const message = `the longest hold of three runs, in ms of the thread's work (by the clock): ${three.join(', ')}`
  expect(holds.filter(isShort), message).toHaveLength(2)
}

const FORMATS = ['JPEG', 'progressive JPEG', 'PNG', 'interlaced PNG', 'WebP', 'AVIF'] as const
const files = new Map<PhotographFormat, Uint8Array<ArrayBuffer>>()
let model: FlowSeg
const gpu = await anyGpu()
beforeAll(async () => {
  for (const format of FORMATS) files.set(format, await photograph(format))
  model = await FlowSeg.load('weights/flowseg-nano', { gpu })
  // Compiles what any image and sentence need
  const scene = await model.look({ width: 9, height: 9, rgb: noise(9, 9) })
  await scene.segment('the dotted shape')
  scene.close()
})
afterAll(() => model.close())

test('what computes holds the event loop by both clocks, and what waits by one', async () => {
  const computing = await longestHold(() => {
    const until = now().thread + 1.2 * LIMIT.clock
    while (now().thread < until) Math.random()
  })
  expect(computing.thread).toBeGreaterThan(LIMIT.clock)
  expect(computing.clock).toBeGreaterThan(LIMIT.clock)
  const waiting = await longestHold(() => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1.2 * LIMIT.clock)
  })
  expect(waiting.clock).toBeGreaterThan(LIMIT.clock)
})

test.each(FORMATS)(
  'decoding a %s of 12 megapixels holds the event loop for less than 50 ms of work, and 250 ms by the clock',
  async (format) => {
    await expectFree(() => decodeImage(files.get(format)!))
  },
)

test(`and so does looking at the JPEG on ${gpu.name}`, async () => {
  await expectFree(async () => (await model.look(files.get('JPEG')!)).close())
})

/** Milliseconds until giving up takes effect. */
const AT_ONCE = 200

type Start = (signal: AbortSignal) => Promise<unknown>

/**
 * Starts work and gives it up after some time.
 *
 * @returns milliseconds from there to its end; undefined if it was faster
 */
async function giveUp(start: Start, after: number): Promise<number | undefined> {
  const controller = new AbortController()
  const reason = new Error('enough')
  let abortedAt = Number.POSITIVE_INFINITY
  const timer = setTimeout(() => {
    abortedAt = performance.now()
    controller.abort(reason)
  }, after)
  const end = await start(controller.signal).then(
    () => undefined,
    (error: unknown) => error,
  )
  clearTimeout(timer)
  if (!controller.signal.aborted) return undefined
  const taken = performance.now() - abortedAt
  expect(end).toBe(reason)
  return taken
}

const WORK: [what: string, start: Start][] = [
  ...FORMATS.map((format): [string, Start] => [
    `decoding a ${format}`,
    (signal) => decodeImage(files.get(format)!, { signal }),
  ]),
  [
    `looking at a JPEG on ${gpu.name}`,
    async (signal) => (await model.look(files.get('JPEG')!, { signal })).close(),
  ],
]

test.each(WORK)('giving up %s takes effect within 200 ms', async (_, start) => {
  const taken: number[] = []
  for (const after of [0, 20, 60, 150]) {
    const ms = await giveUp(start, after)
    if (ms === undefined) break
    taken.push(ms)
  }
  expect(taken.length).toBeGreaterThan(0)
  expect(Math.max(...taken)).toBeLessThan(AT_ONCE)
})

test.each(WORK)('and giving up %s while all other threads are busy', async (_, start) => {
  const threads = Number(process.env['UV_THREADPOOL_SIZE'] ?? 4)
  const busy = Array.from({ length: threads }, () =>
    promisify(pbkdf2)('a password', 'salt', 1_000_000, 64, 'sha512'),
  )
  expect(await giveUp(start, 20)).toBeLessThan(AT_ONCE)
  await Promise.all(busy)
})
