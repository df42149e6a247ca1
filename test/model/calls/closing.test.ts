// Whatever is closed or given up, at any step, leaves the device as it was.

import { describe, expect, test, vi } from 'vitest'
import { FlowSegError } from '../../../src/errors.ts'
import { FlowSeg, type LoadOptions } from '../../../src/model/flowseg.ts'
import { adapterNames, anyGpu } from '../../support.ts'
import { picture } from '../checkpoint/small-checkpoint.ts'
import { bytesOn, cleanUp, expectSame, files, load } from '../small-model.ts'

cleanUp()

describe('memory', () => {
  test('closing a scene and a model frees what they held; the Gpu of the caller lives on', async () => {
    const gpu = await anyGpu()
    expect(bytesOn(gpu)).toBe(0)
    const model = await load(files, { gpu })
    const loaded = bytesOn(gpu)
    const { weights = 0, 'plan look': look = 0 } = model.memory().byOwner
    expect([weights > 0, look > 0, weights + look]).toEqual([true, true, loaded])

    const scene = await model.look(picture(40, 30))
    const { scene: seen = 0, ...rest } = model.memory().byOwner
    expect(seen).toBeGreaterThan(0)
    // The memory that an image is uploaded to stays for the next one of its size
    const image = ['image', 'plan image rows', 'plan image columns'].map((owner) => rest[owner] ?? 0)
    const kept = image.reduce((sum, bytes) => sum + bytes)
    expect(Math.min(...image)).toBeGreaterThan(0)
    expect(bytesOn(gpu)).toBe(loaded + kept + seen)
    scene.close()
    scene.close()
    expect(scene.closed).toBe(true)
    expect(bytesOn(gpu)).toBe(loaded + kept)

    const another = await model.look(picture(40, 30))
    await another.segment('a dog')
    expect(model.plans().map(({ name }) => name)).toEqual([
      'image rows',
      'image columns',
      'look',
      'read',
      'segment',
      'finish',
    ])
    model.close() // and the scene with it
    model.close()
    expect(another.closed).toBe(true)
    expect(gpu.memory()).toMatchObject({ bytes: 0, buffers: 0, byOwner: {} })

    const next = await load(files, { gpu })
    expect(next.memory().byOwner['weights']).toBe(weights)
  })

  test('stays flat, whatever the sentences', async () => {
    const gpu = await anyGpu()
    const model = await load(files, { gpu })
    const scene = await model.look(picture(40, 30))
    // The cuts of dispatches depend on the measured speed of the device, and so do the plans' sizes, by some bytes
    vi.spyOn(gpu.rate, 'flopsPerSecond', 'get').mockReturnValue(5e9)
    const round = async () => {
      const peaks: number[] = []
      for (const length of [1, 5, 17, 30, 47, 60, 80]) {
        const answer = await scene.segment('x'.repeat(length), { flow: length % 2 === 0 })
        await answer.candidates[1]!.mask()
        peaks.push(bytesOn(gpu))
      }
      return peaks
    }
    await round()
    const second = await round()
    expect(await round()).toEqual(second)
    expect(model.plans().length).toBeLessThanOrEqual(11)
    // C and S, one of each for each padded length: 16 to 96 rows of C, as these sentences are letters
    expect(model.memory().byOwner['sentence']).toBeLessThan(100_000)
    model.close()
    expect(bytesOn(gpu)).toBe(0)
  })

  test('a model with a Gpu of its own closes it', async () => {
    const adapter = adapterNames()[0]!
    const model = await load(files, { gpu: adapter ? { adapter } : {} })
    expect(bytesOn(model.gpu)).toBeGreaterThan(0)
    model.close()
    expect(bytesOn(model.gpu)).toBe(0)
    await expect(model.gpu.idle()).rejects.toThrow('This Gpu was closed')
  })
})

describe('what was closed', () => {
  const closed = (what: string) =>
    expect.objectContaining({ code: 'ERR_CLOSED', message: expect.stringContaining(what) })

  test('says so', async () => {
    const gpu = await anyGpu()
    const model = await load(files, { gpu })
    const scene = await model.look(picture(9, 9))
    const { candidates } = await scene.segment('a dog')
    scene.close()
    await expect(scene.segment('a dog')).rejects.toEqual(closed('This scene was closed'))
    await expect(candidates[0]!.mask()).rejects.toEqual(closed('This scene was closed'))

    const other = await model.look(picture(9, 9))
    model.close()
    await expect(model.look(picture(9, 9))).rejects.toEqual(closed('This model was closed'))
    await expect(other.segment('a dog')).rejects.toEqual(closed('This model was closed'))
    await expect(candidates[0]!.mask()).rejects.toBeInstanceOf(FlowSegError)
    expect(bytesOn(gpu)).toBe(0)
  })

  test('finishes what is under way, begins nothing that waits, and frees memory then', async () => {
    const gpu = await anyGpu()
    const model = await load(files, { gpu })
    const loaded = bytesOn(gpu)
    const scene = await model.look(picture(9, 9))
    const expected = await scene.segment('a dog')
    const running = scene.segment('a dog')
    const waiting = scene.segment('a cat')
    await Promise.resolve()
    await Promise.resolve()
    scene.close()
    await expect(waiting).rejects.toEqual(closed('This scene was closed')) // at once
    expectSame(await running, expected)
    await new Promise((resolve) => setTimeout(resolve))
    expect(model.memory().byOwner).not.toHaveProperty('scene')
    expect(bytesOn(gpu)).toBeGreaterThan(loaded) // plans

    const looking = model.look(picture(9, 9))
    await Promise.resolve()
    await Promise.resolve()
    model.close()
    await expect(looking).rejects.toEqual(closed('This model was closed'))
    await new Promise((resolve) => setTimeout(resolve))
    expect(bytesOn(gpu)).toBe(0)
    await gpu.check() // no complaint about buffers that were used after they were freed
  })
})

describe('giving up', () => {
  const reason = new Error('enough')

  test('before it begins', async () => {
    const gpu = await anyGpu()
    const signal = AbortSignal.abort(reason)
    await expect(FlowSeg.load(files, { gpu, signal })).rejects.toBe(reason)
    expect(bytesOn(gpu)).toBe(0)

    const model = await load(files, { gpu })
    const loaded = bytesOn(gpu)
    await expect(model.look(picture(9, 9), { signal })).rejects.toBe(reason)
    expect(bytesOn(gpu)).toBe(loaded)
    const scene = await model.look(picture(9, 9))
    const looked = bytesOn(gpu)
    await expect(scene.segment('a dog', { signal })).rejects.toBe(reason)
    expect(bytesOn(gpu)).toBe(looked)
    const { candidates } = await scene.segment('a dog')
    await expect(candidates[1]!.mask({ signal })).rejects.toBe(reason)
  })

  test('a load, at any step', async () => {
    const gpu = await anyGpu()
    const givingUpAt = async (step: (controller: AbortController) => LoadOptions['onProgress']) => {
      const controller = new AbortController()
      const options = { gpu, signal: controller.signal, onProgress: step(controller) }
      await expect(FlowSeg.load(files, options)).rejects.toBe(reason)
      expect(gpu.memory()).toMatchObject({ bytes: 0, buffers: 0 })
      await gpu.check()
    }
    await givingUpAt((controller) => () => controller.abort(reason)) // the first upload
    await givingUpAt((controller) => ({ phase, loaded, total }) => {
      if (phase === 'upload' && loaded === total) controller.abort(reason) // the last one
    })
    await givingUpAt((controller) => {
      const compile = gpu.kernels.compile.bind(gpu.kernels)
      vi.spyOn(gpu.kernels, 'compile').mockImplementationOnce((...args) => {
        controller.abort(reason)
        return compile(...args)
      })
      return undefined
    })
  })

  test('a look or a sentence, at any step', async () => {
    const gpu = await anyGpu()
    const model = await load(files, { gpu })
    const scene = await model.look(picture(40, 30))
    const expected = await scene.segment('a dog')
    const before = bytesOn(gpu)
    // So slow a device that it is waited for after every dispatch: there is always a moment to give up in
    const rate = vi.spyOn(gpu.rate, 'flopsPerSecond', 'get').mockReturnValue(1)

    /** Gives up at the n-th report of progress. @returns how many there were */
    const after = async (n: number, start: (options: object) => Promise<unknown>): Promise<number> => {
      const controller = new AbortController()
      let seen = 0
      const onProgress = () => {
        if (++seen === n) controller.abort(reason)
      }
      await expect(start({ onProgress, signal: controller.signal })).rejects.toBe(reason)
      expect(bytesOn(gpu)).toBe(before)
      return seen
    }
    for (const n of [1, 2, 20]) {
      expect(await after(n, (options) => model.look(picture(40, 30), options))).toBe(n)
      expect(await after(n, (options) => scene.segment('a dog', options))).toBe(n)
    }
    // In the last plan of a sentence, and while waiting behind another
    const dispatches = model.plans().map((plan) => plan.dispatches.length)
    const [, , , read = 0, segment = 0] = dispatches
    await after(read + segment + 2, (options) => scene.segment('a dog', options))
    rate.mockRestore()

    const controller = new AbortController()
    const first = scene.segment('a dog')
    const behind = scene.segment('a dog', { signal: controller.signal })
    expect(model.pending).toBe(2)
    controller.abort(reason)
    await expect(behind).rejects.toBe(reason)
    expect(model.pending).toBe(1) // it left the queue at once
    expectSame(await first, expected)

    // A look that is given up when all its work is done leaves no scene either
    const late = new AbortController()
    const onProgress = ({ loaded, total }: { loaded: number; total: number }) => {
      if (loaded === total) late.abort(reason)
    }
    await expect(model.look(picture(40, 30), { onProgress, signal: late.signal })).rejects.toBe(reason)
    expect(bytesOn(gpu)).toBe(before)
    expectSame(await scene.segment('a dog'), expected)
    model.close()
    expect(bytesOn(gpu)).toBe(0)
  })
})
