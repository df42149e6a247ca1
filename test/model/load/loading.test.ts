// Kernels compile while weights stream, and what fails stops the rest and leaves nothing behind.

import { describe, expect, test, vi } from 'vitest'
import { WeightsError } from '../../../src/errors.ts'
import { FlowSeg } from '../../../src/model/flowseg.ts'
import { anyGpu, creations } from '../../support.ts'
import { picture, smallCheckpoint } from '../checkpoint/small-checkpoint.ts'
import { bytesOn, cleanUp, files, load } from '../small-model.ts'

cleanUp()

describe('loading', () => {
  /** Files of which the last byte of the weights comes only when it is let go. */
  function slow(from: File[]): { files: File[]; letGo: () => void; fail: (error: Error) => void } {
    let letGo = (): void => undefined
    let fail: (error: Error) => void = () => undefined
    const gate = new Promise<void>((resolve, reject) => {
      letGo = resolve
      fail = reject
    })
    gate.catch(() => undefined)
    const files = from.map((file) => {
      if (file.name !== 'model.safetensors') return file
      const slice = file.slice.bind(file)
      return Object.assign(file, {
        slice: (begin?: number, end?: number): Blob => {
          const part = slice(begin, end)
          if (end !== file.size) return part
          return Object.assign(part, { arrayBuffer: () => gate.then(() => slice(begin, end).arrayBuffer()) })
        },
      })
    })
    return { files, letGo, fail }
  }

  test('kernels compile while weights stream, those of sentences too', async () => {
    const gpu = await anyGpu()
    const { files: late, letGo } = slow(smallCheckpoint())
    const compiled = vi.spyOn(gpu.kernels, 'compile')
    const loading = load(late, { gpu })
    // Image (2), look, finish; read and segment of a short sentence and of a longer one
    await vi.waitFor(() => expect(compiled).toHaveBeenCalledTimes(8), 60_000)
    await Promise.all(compiled.mock.results.map(({ value }) => value as Promise<unknown>))
    expect(await Promise.race([loading, Promise.resolve('still streaming')])).toBe('still streaming')
    letGo()
    const model = await loading
    const created = creations(gpu)
    const scene = await model.look(picture(40, 30))
    for (const sentence of ['the lamp', 'the red mug left of the lamp']) await scene.segment(sentence)
    expect([...created.keys()].toSorted()).toEqual(['createBindGroup', 'createBuffer'])
  })

  test('what fails stops the rest and leaves nothing behind', async () => {
    const gpu = await anyGpu()
    const broken = slow(smallCheckpoint())
    const failing = FlowSeg.load(broken.files, { gpu })
    broken.fail(new WeightsError('the disk is gone'))
    await expect(failing).rejects.toThrow('the disk is gone')
    expect(bytesOn(gpu)).toBe(0)

    // The weights never come: what compiles must not wait for them to tell that it can't
    const reason = new Error('no compiler')
    vi.spyOn(gpu.kernels, 'compile').mockRejectedValueOnce(reason)
    await expect(FlowSeg.load(slow(smallCheckpoint()).files, { gpu })).rejects.toBe(reason)
    expect(bytesOn(gpu)).toBe(0)
  })

  test('kernels that sentences need and that fail are told to whoever asks', async () => {
    const gpu = await anyGpu()
    const compile = gpu.kernels.compile.bind(gpu.kernels)
    const reason = new Error('no compiler')
    let calls = 0
    vi.spyOn(gpu.kernels, 'compile').mockImplementation(async (wanted, ...args) => {
      // Those of an image and of look are awaited, and a look makes plans for the image's size
      const isImage = wanted.every(({ name }) => name.startsWith('image/resample'))
      if (++calls > 3 && !isImage) throw reason
      return compile(wanted, ...args)
    })
    const model = await load(files, { gpu })
    const scene = await model.look(picture(40, 30))
    await expect(scene.segment('a dog')).rejects.toBe(reason)
  })
})
