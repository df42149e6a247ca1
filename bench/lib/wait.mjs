// Two ways to wait for a promise of the device's. Dawn in Node looks for finished work on every turn of the event
// loop, as fast as it spins, and so takes a core from a software adapter that computes on the same cores. Sleeping a
// millisecond in each turn gives it back, but makes short work seem longer. Peers are timed both ways and keep
// the better one; our engine does its own waiting.

import { setImmediate as nextTurn } from 'node:timers/promises'

const cell = new Int32Array(new SharedArrayBuffer(4))

async function calm(promise) {
  const state = { pending: true }
  const done = () => {
    state.pending = false
  }
  promise.then(done, done)
  await Promise.resolve()
  while (state.pending) {
    Atomics.wait(cell, 0, 0, 1)
    await nextTurn()
  }
  return promise
}

export const WAITS = { calm, spin: (promise) => promise }
