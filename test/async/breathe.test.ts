// Several that work side by side on one thread let others in as often as one alone would: between two turns there is
// one long step, not one of each.

import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { breathe, nextTask } from '../../src/breathe.ts'

/** A clock that only steps move on. It never goes back, as what was noted by it stays. */
const clock = {
  now: performance.now(),
  pass(ms: number): void {
    this.now += ms
  },
}
beforeEach(() => {
  vi.spyOn(performance, 'now').mockImplementation(() => clock.now)
})
afterEach(() => vi.restoreAllMocks())

/** Runs workers side by side, and returns how long each turn of this thread was by the clock that their steps move. */
async function turnsOf(
  workers: number,
  work: (pass: (ms: number) => void) => Promise<void>,
): Promise<number[]> {
  const turns = [0]
  const state = { isOver: false }
  const others = (async () => {
    while (!state.isOver) {
      await nextTask()
      turns.push(0)
    }
  })()
  const pass = (ms: number): void => {
    clock.pass(ms)
    turns.push((turns.pop() ?? 0) + ms)
  }
  await Promise.all(Array.from({ length: workers }, () => work(pass)))
  state.isOver = true
  await others
  return turns
}

test.each([1, 2, 30])('%i with a long step: one of them in a turn', async (workers) => {
  const turns = await turnsOf(workers, async (pass) => {
    for (let i = 0; i < 5; i++) {
      await breathe()
      pass(20)
    }
  })
  expect(Math.max(...turns)).toBe(20)
  expect(turns.reduce((sum, ms) => sum + ms, 0)).toBe(workers * 5 * 20)
})

test.each([1, 2, 30])('%i with short steps: as many in a turn as there is time for', async (workers) => {
  const turns = await turnsOf(workers, async (pass) => {
    for (let i = 0; i < 50; i++) {
      await breathe()
      pass(1)
    }
  })
  expect(Math.max(...turns)).toBeLessThanOrEqual(10)
  // And no more turns than it takes: a step that need not wait doesn't
  expect(turns.filter((ms) => ms > 0).length).toBeLessThanOrEqual(Math.ceil((workers * 50) / 8))
})

test('who gave up hears its reason, and those behind it go on', async () => {
  await breathe()
  clock.pass(20)
  const stop = new AbortController()
  const heard = Promise.allSettled([breathe(), breathe(stop.signal), breathe()])
  stop.abort(new Error('enough'))
  expect((await heard).map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  await expect(breathe(AbortSignal.abort(new Error('before')))).rejects.toThrow('before')
})
