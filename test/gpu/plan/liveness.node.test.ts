// Memory layout: whatever the graph, tensors that are alive together never share a slot, and sharing pays.

import { expect, test } from 'vitest'
import { layOut } from '../../../src/gpu/plan/liveness.ts'
import { type RecordedDispatch, recordWith, type Storage } from '../../../src/gpu/recorder.ts'
import { textKernel as kernel } from '../../support.ts'

const BODY = `
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(1) fn main() { if (IN_PLACE) { y[0] = b[0]; } else { y[0] = a[0] + b[0]; } }
`

/** A generator of numbers in [0, n), the same for the same seed. */
function dice(seed: number): (n: number) => number {
  let state = seed * 2654435761
  return (n) => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0
    return Math.floor((state / 2 ** 32) * n)
  }
}

/** Dispatches that each read two earlier tensors and write a new one, or now and then an old one again. */
function randomGraph(seed: number): {
  dispatches: RecordedDispatch[]
  tensors: Storage[]
  outputs: Set<Storage>
} {
  const roll = dice(seed)
  const k = kernel('test-liveness', BODY, { IN_PLACE: false })
  const { recorder, result: tensors } = recordWith((r) => {
    const storages: Storage[] = []
    const input = r.input('x', 64)
    for (let i = 0; i < 3 + roll(25); i++) {
      const source = (): Storage =>
        storages.length === 0 || roll(8) === 0
          ? input
          : storages[storages.length - 1 - roll(Math.min(storages.length, 6))]!
      const [a, b] = [source(), source()]
      const again = storages[roll(storages.length + 1)]
      const rewrites = again && again !== a && again !== b && roll(6) === 0
      const y = rewrites ? again : r.intermediate(64 * (1 + roll(3)))
      if (!rewrites) storages.push(y)
      const wish = roll(2) === 0 ? { inPlace: { read: 'a', write: 'y' } } : {}
      r.record({ kernel: k, reads: { a, b }, writes: { y }, sizes: {}, workgroups: 1, flops: 1, ...wish })
    }
    return storages
  })
  const outputs = new Set(tensors.filter((_, i) => i === tensors.length - 1 || roll(10) === 0))
  return { dispatches: recorder.dispatches, tensors, outputs }
}

/** Dispatches that use a storage. */
function usesOf(dispatches: readonly RecordedDispatch[], storage: Storage): number[] {
  return dispatches.flatMap(({ reads, writes }, i) =>
    [...Object.values(reads), ...Object.values(writes)].includes(storage) ? [i] : [],
  )
}

test('tensors that are alive together never share a slot, in 500 random graphs', () => {
  let inPlaceSeen = 0
  let sharedSeen = 0
  for (let seed = 1; seed <= 500; seed++) {
    const { dispatches, tensors, outputs } = randomGraph(seed)
    const { slots, slotOf, inPlace } = layOut(dispatches, outputs)
    inPlaceSeen += inPlace.size

    for (const x of tensors) {
      const slot = slotOf.get(x)
      if (outputs.has(x)) expect(slot, 'outputs have buffers of their own').toBeUndefined()
      else expect(slots[slot!], 'a slot holds its tensors').toBeGreaterThanOrEqual(x.bytes)
    }
    for (const [i, x] of tensors.entries()) {
      for (const other of tensors.slice(i + 1)) {
        if (slotOf.get(x) === undefined || slotOf.get(x) !== slotOf.get(other)) continue
        sharedSeen++
        const [mine, theirs] = [usesOf(dispatches, x), usesOf(dispatches, other)]
        const [first, last] = Math.min(...mine) < Math.min(...theirs) ? [mine, theirs] : [theirs, mine]
        const gap = Math.min(...last) - Math.max(...first)
        // Side by side in one dispatch only where that dispatch runs in place, from the one to the other
        const joined =
          inPlace.has(Math.min(...last)) &&
          dispatches[Math.min(...last)]!.reads['a'] === (first === mine ? x : other)
        expect(
          gap > 0 || (gap === 0 && joined),
          `seed ${seed}: tensors ${i} and ${tensors.indexOf(other)}`,
        ).toBe(true)
      }
    }
    for (const i of inPlace) {
      const { reads, writes, inPlace: wish } = dispatches[i]!
      expect(wish).toBeDefined()
      expect(reads['a']!.bytes).toBe(writes['y']!.bytes)
      expect(reads['b'], 'the tensor written over is not read besides').not.toBe(reads['a'])
      expect(slotOf.get(reads['a']!)).toBe(slotOf.get(writes['y']!))
      expect(Math.max(...usesOf(dispatches, reads['a']!)), 'it is read for the last time').toBe(i)
    }
  }
  // The graphs do exercise what they claim to
  expect(inPlaceSeen).toBeGreaterThan(50)
  expect(sharedSeen).toBeGreaterThan(1000)
})

test('a chain needs two slots however long it is, one when it runs in place', () => {
  const chain = (inPlace: boolean) => {
    const k = kernel('test-liveness', BODY, { IN_PLACE: false })
    const { recorder, result } = recordWith((r) => {
      const input = r.input('x', 64)
      let x = input
      for (let i = 0; i < 20; i++) {
        const y = r.intermediate(64)
        const wish = inPlace ? { inPlace: { read: 'a', write: 'y' } } : {}
        r.record({
          kernel: k,
          reads: { a: x, b: input },
          writes: { y },
          sizes: {},
          workgroups: 1,
          flops: 1,
          ...wish,
        })
        x = y
      }
      return x
    })
    return layOut(recorder.dispatches, new Set([result]))
  }
  expect(chain(false).slots).toEqual([64, 64])
  expect(chain(true).slots).toEqual([64])
  expect(chain(true).inPlace.size).toBe(18) // all but the first, which reads an input, and the last, an output
})
