// A plan's type knows the names of its outputs, and of its inputs where `build` says them. The compiler checks the
// comments below: `npm run typecheck` fails where it no longer refuses what follows one.

import { expect, test } from 'vitest'
import { add } from '../../src/ops/elementwise/elementwise.ts'
import { type Inputs, type Plan, plan } from '../../src/tensor/plan.ts'
import { release } from '../../src/tensor/tensor.ts'
import { anyGpu, uniform } from '../support.ts'

test('outputs have the names that build returned, without a question whether they are there', async () => {
  const gpu = await anyGpu()
  const ready = await plan(gpu, 'typed', ({ input }) => {
    const x = input('x', [4])
    const twice = add(x, x)
    return { read: { twice }, keep: { kept: add(twice, x) } }
  })
  const { read, kept } = await ready.run({ inputs: { x: uniform(4) } })
  expect(read.twice.length).toBe(4)
  expect(kept.kept.shape).toEqual([4])
  // @ts-expect-error: there is no output of this name
  expect(read.thrice).toBeUndefined()
  // @ts-expect-error: it is read, not kept
  expect(kept.twice).toBeUndefined()
  // Functions that don't depend on the names take any plan
  const any: Plan = ready
  any.release()
  release(gpu, kept.kept)
})

test('inputs that build names in its type are checked where the plan runs', async () => {
  const gpu = await anyGpu()
  const ready = await plan(gpu, 'named', ({ input, bound }: Inputs<'x', 'y'>) => {
    // @ts-expect-error: an input that the type doesn't name
    const wrong = () => input('z', [4])
    expect(wrong).toBeTypeOf('function')
    return { read: { sum: add(input('x', [4]), bound('y', [4])) } }
  })
  // @ts-expect-error: no array for x
  await expect(ready.run({ inputs: {} })).rejects.toThrow("input 'x' is missing")
  // @ts-expect-error: z is no input
  await expect(ready.run({ inputs: { x: uniform(4), z: uniform(4) } })).rejects.toThrow("no input 'z'")
  ready.release()
})

test('an async build, and an option that does not exist, are refused by the compiler as well', async () => {
  const gpu = await anyGpu()
  // @ts-expect-error: a promise is no table of outputs
  const asynchronous = plan(gpu, 'async', async ({ input }) => ({ read: { y: input('x', [4]) } }))
  await expect(asynchronous).rejects.toThrow('build returned a promise')
  // @ts-expect-error: the option is called `read`
  const misnamed = plan(gpu, 'misnamed', ({ input }) => ({ red: { y: input('x', [4]) } }))
  await expect(misnamed).rejects.toThrow("there is no option 'red'")
})
