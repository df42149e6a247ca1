// Masks that stay on the device hold the same pixels as those of host memory, and belong to the caller.

import { describe, expect, test } from 'vitest'
import type { MaskBuffer, MaskTexture } from '../../src/model/flowseg.ts'
import { rawDevice } from '../gpu/devices.ts'
import { adapterNames, anyGpu, expectSameBits } from '../support.ts'
import { picture } from './checkpoint/small-checkpoint.ts'
import { bytesOn, cleanUp, files, load } from './small-model.ts'

cleanUp()

describe('masks that stay on the device', () => {
  /** Bytes of a buffer or of a texture's rows, each cut to the mask's width. */
  async function bytesOf(
    device: GPUDevice,
    { width, height, ...mask }: MaskTexture | MaskBuffer,
  ): Promise<Uint8Array> {
    const bytesPerRow = Math.ceil(width / 256) * 256
    const size = bytesPerRow * height
    const copy = device.createBuffer({ size, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ })
    const encoder = device.createCommandEncoder()
    if ('texture' in mask) {
      encoder.copyTextureToBuffer({ texture: mask.texture }, { buffer: copy, bytesPerRow }, [width, height])
    } else {
      expect(mask.bytesPerRow).toBe(bytesPerRow)
      encoder.copyBufferToBuffer(mask.buffer, 0, copy, 0, size)
    }
    device.queue.submit([encoder.finish()])
    await copy.mapAsync(GPUMapMode.READ)
    const rows = new Uint8Array(copy.getMappedRange().slice(0))
    copy.destroy()
    return Uint8Array.from(
      { length: width * height },
      (_, i) => rows[Math.floor(i / width) * bytesPerRow + (i % width)]!,
    )
  }

  test.each(adapterNames())('are those of host memory, on a device of the caller: %s', async (name) => {
    const { device, free } = await rawDevice(name)
    const model = await load(files, { gpu: { device } })
    const owners = () => Object.keys(model.memory().byOwner).filter((owner) => owner.startsWith('mask'))
    const pairs: { data: Uint8Array; mask: MaskTexture | MaskBuffer }[] = []
    for (const [width, height] of [
      [83, 47],
      [256, 31],
      [3, 300],
    ] as const) {
      const scene = await model.look(picture(width, height))
      const plain = await scene.segment('a dog')
      for (const output of ['texture', 'buffer'] as const) {
        const answer = await scene.segment('a dog', { output })
        expect(answer.mask).toMatchObject({ width, height })
        expect(answer.query).toBe(plain.query)
        expectSameBits(answer.logits.refined, plain.logits.refined)
        pairs.push({ data: plain.mask.data, mask: answer.mask })
        for (const i of [3, 7]) {
          const { data } = await plain.candidates[i]!.mask()
          pairs.push({ data, mask: await answer.candidates[i]!.mask({ output }) })
        }
      }
    }
    // They are the caller's: not on the ledger, and there when the model is gone
    expect(owners()).toEqual([])
    model.close()
    let share = 0
    for (const { data, mask } of pairs) {
      expect(await bytesOf(device, mask)).toEqual(data.map((bit) => 255 * bit))
      share += data.reduce((sum, bit) => sum + bit, 0) / data.length / pairs.length
      if ('texture' in mask) mask.texture.destroy()
      else mask.buffer.destroy()
    }
    // Neither all nor nothing
    expect(Math.abs(share - 0.5)).toBeLessThan(0.45)
    free()
  })

  test('one too large for a texture is refused, and a word for nowhere', async () => {
    const gpu = await anyGpu()
    const model = await load(files, { gpu })
    const scene = await model.look(picture(1, gpu.device.limits.maxTextureDimension2D + 1))
    const first = await scene.segment('a dog', { output: 'buffer' })
    const before = bytesOn(gpu)
    await expect(scene.segment('a dog', { output: 'texture' })).rejects.toThrow(
      /^A mask of 1 x \d+ pixels is larger than a texture .* Ask for \{ output: 'buffer' \}/,
    )
    expect(bytesOn(gpu)).toBe(before)
    first.mask.buffer.destroy()
    const output = 'canvas' as 'texture'
    const failure = expect.objectContaining({
      code: 'ERR_USAGE',
      message: expect.stringContaining('"canvas"'),
    })
    await expect(scene.segment('a dog', { output })).rejects.toEqual(failure)
    await expect(first.candidates[0]!.mask({ output })).rejects.toEqual(failure)
  })
})
