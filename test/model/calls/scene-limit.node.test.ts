// As many scenes as half of the model's memory holds: a crowd waits, a single caller and those who keep scenes don't;
// and maxScenes is strict, but nobody waits for ever without a word.

import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { BusyError } from '../../../src/errors.ts'
import { type Counted, SceneLimit } from '../../../src/model/scene-limit.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const scene = (): Counted => ({ bytes: 10, lookMs: 500, idle: false })

/** A model of 64 bytes without scenes. */
function limited(maxScenes?: number) {
  const limit: SceneLimit = new SceneLimit(maxScenes, () => 64 + 10 * limit.open.size)
  return limit
}

test('half of what the model takes without scenes, one until their size is known', () => {
  const limit = limited()
  expect([limit.limit, limit.hold(false)]).toEqual([1, 0])
  const open = [scene(), scene(), scene()]
  for (const one of open) {
    expect(limit.hold(false)).toBe(0)
    limit.opened(one)
    expect(limit.limit).toBe(3)
  }
  expect(limit.hold(false)).toBe(500) // as long as a look takes
  expect(limit.hold(true)).toBe(0) //    nobody else waits
  limit.closed(open[1]!)
  expect(limit.hold(false)).toBe(0)

  // A scene larger than that is one at a time
  const small = new SceneLimit(undefined, () => 12)
  small.opened(scene())
  expect([small.limit, small.hold(false) > 0]).toEqual([1, true])
})

test('scenes that nobody asks for as long as a look takes no longer count, until they are asked again', () => {
  const limit = limited()
  const open = [scene(), scene(), scene()]
  for (const one of open) limit.opened(one)
  vi.advanceTimersByTime(400)
  limit.used(open[0]!)
  expect(limit.hold(false)).toBe(500)
  vi.advanceTimersByTime(500)
  expect(limit.hold(false)).toBe(0)
  const next = scene()
  limit.opened(next)
  expect(limit.hold(false)).toBe(0) // one of three
  limit.used(open[0]!)
  limit.used(open[1]!)
  expect(limit.hold(false)).toBe(500)
})

test('maxScenes is strict, and says so when nobody uses them any more', () => {
  const limit = limited(2)
  expect(limit.limit).toBe(2)
  const open = [scene(), scene()]
  for (const one of open) limit.opened(one)
  expect(limit.hold(true)).toBe(30_000)
  vi.advanceTimersByTime(29_999)
  expect(limit.hold(true)).toBe(1)
  limit.used(open[0]!)
  vi.advanceTimersByTime(29_999)
  expect(limit.hold(false)).toBe(1)
  vi.advanceTimersByTime(1)
  expect(() => limit.hold(false)).toThrow(BusyError)
  expect(() => limit.hold(true)).toThrow(
    'As many scenes are open as maxScenes allows (2), and none was used for 30 seconds.',
  )
  limit.closed(open[0]!)
  expect(limit.hold(false)).toBe(0)
})
