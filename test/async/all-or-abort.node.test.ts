// Tasks side by side end together: the first failure stops the others, and it is what the caller gets.

import { expect, test } from 'vitest'
import { allOrAbort } from '../../src/async/all-or-abort.ts'

const ended: string[] = []
/** A task that ends when it is told to stop. */
const patient = async (stop: AbortSignal): Promise<void> => {
  await new Promise((resolve) => stop.addEventListener('abort', resolve))
  ended.push('patient')
  stop.throwIfAborted()
}

test('all succeed', async () => {
  const done: number[] = []
  await allOrAbort(
    undefined,
    async () => void done.push(1),
    async () => void done.push(2),
  )
  expect(done).toEqual([1, 2])
})

test('one fails: the others are stopped and waited for', async () => {
  const reason = new Error('broken')
  const failing = async (): Promise<void> => Promise.reject(reason)
  ended.length = 0
  await expect(allOrAbort(undefined, patient, failing, patient)).rejects.toBe(reason)
  expect(ended).toEqual(['patient', 'patient'])
})

test('the caller gives up, before, meanwhile or at the end', async () => {
  const reason = new Error('enough')
  await expect(allOrAbort(AbortSignal.abort(reason), async () => undefined)).rejects.toBe(reason)
  const controller = new AbortController()
  const giveUp = async (): Promise<void> => controller.abort(reason)
  await expect(allOrAbort(controller.signal, patient, giveUp)).rejects.toBe(reason)
  const late = new AbortController()
  await expect(allOrAbort(late.signal, async () => late.abort(reason))).rejects.toBe(reason)
})
