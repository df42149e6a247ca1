// A few plans are kept, those used last; the others are released, each once.

import { expect, test } from 'vitest'
import { PlanCache } from '../../src/model/plan-cache.ts'
import { plan } from '../../src/tensor/plan.ts'
import type { Tensor } from '../../src/tensor/tensor.ts'
import { anyGpu } from '../support.ts'

test('the plan that was not used for longest is released', async () => {
  const gpu = await anyGpu()
  const before = gpu.memory().bytes
  const cache = new PlanCache(2)
  const made: string[] = []
  const get = (name: string) =>
    cache.get(name, () => {
      made.push(name)
      return plan(gpu, name, ({ input }): { read: Record<string, Tensor> } => ({
        read: { x: input('x', [4]) },
      }))
    })
  const names = (): string[] => cache.infos().map(({ name }) => name)

  const first = await get('a')
  const second = await get('b')
  expect(await get('a')).toBe(first)
  await get('c')
  expect(names()).toEqual(['a', 'c'])
  const inputs = { x: new Float32Array(4) }
  await expect(second.run({ inputs })).rejects.toThrow('Plan b was released')
  await expect(first.run({ inputs })).resolves.toBeDefined()

  // A plan that can't be made takes nobody's place
  await expect(cache.get('d', () => Promise.reject(new Error('no memory')))).rejects.toThrow('no memory')
  expect(names()).toEqual(['a', 'c'])
  expect(made).toEqual(['a', 'b', 'c'])

  cache.clear()
  expect(names()).toEqual([])
  expect(gpu.memory().bytes).toBe(before)
})
