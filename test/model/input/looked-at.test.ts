// An image is looked at as it is when look is called, and pixels in any form are the same look.

import { describe, expect, test } from 'vitest'
import { ImageError } from '../../../src/errors.ts'
import { encodePng, type Image } from '../../../src/io/image/image.ts'
import type { Scene } from '../../../src/model/flowseg.ts'
import { anyGpu } from '../../support.ts'
import { picture } from '../checkpoint/small-checkpoint.ts'
import { bytesOn, cleanUp, expectSame, files, load } from '../small-model.ts'

cleanUp()

describe('an image is read before look returns its promise', () => {
  test('pixels and textures that are overwritten in the same tick, at once and behind another look', async () => {
    const gpu = await anyGpu()
    const model = await load(files, { gpu })
    const [width, height] = [40, 30]
    const before = bytesOn(gpu)
    const maskOf = async (looking: Promise<Scene>) => {
      const scene = await looking
      const { mask, score } = await scene.segment('a dog')
      scene.close()
      return { mask: Array.from(mask.data), score }
    }
    const expected = await maskOf(model.look(picture(width, height)))
    const other = await maskOf(model.look({ width, height, rgb: new Uint8Array(width * height * 3) }))
    expect(other).not.toEqual(expected)

    const { rgb } = picture(width, height)
    const rgba = Uint8Array.from({ length: width * height * 4 }, (_, i) =>
      i % 4 === 3 ? 255 : rgb[Math.floor(i / 4) * 3 + (i % 4)]!,
    )
    const texture = gpu.device.createTexture({
      size: [width, height],
      format: 'rgba8unorm',
      usage: GPUTextureUsage.COPY_DST | GPUTextureUsage.COPY_SRC,
    })
    const write = (data: Uint8Array<ArrayBuffer>) =>
      gpu.device.queue.writeTexture({ texture }, data, { bytesPerRow: width * 4 }, [width, height])

    for (const waits of [false, true]) {
      const ahead = waits ? model.look(picture(9, 9)) : undefined
      const pixels = { width, height, rgb: rgb.slice() }
      const fromPixels = model.look(pixels)
      pixels.rgb.fill(0)
      write(rgba)
      const fromTexture = model.look(texture)
      write(new Uint8Array(rgba.length))
      const scenes = [await fromPixels, await fromTexture]
      for (const scene of scenes) expect(await maskOf(Promise.resolve(scene))).toEqual(expected)
      ;(await ahead)?.close()
    }

    // The copy of a texture that nobody looks at in the end is freed, and a destroyed one is refused
    const controller = new AbortController()
    const ahead = model.look(picture(9, 9))
    const givenUp = model.look(texture, { signal: controller.signal })
    controller.abort(new Error('enough'))
    await expect(givenUp).rejects.toThrow('enough')
    ;(await ahead).close()
    texture.destroy()
    await expect(model.look(texture)).rejects.toBeInstanceOf(ImageError)
    expect(gpu.memory().byOwner['scene'] ?? 0).toBe(0)
    const { image = 0 } = gpu.memory().byOwner
    await model.look(picture(9, 9)).then((scene) => scene.close())
    expect(gpu.memory().byOwner['image']).toBe(image)
    model.close()
    expect(bytesOn(gpu)).toBe(0)
    expect(before).toBeGreaterThan(0)
  })
})

describe('inputs', () => {
  test('a PNG file is its pixels', async () => {
    const model = await load(files, { gpu: await anyGpu() })
    const image = picture(21, 13)
    const [a, b] = [await model.look(image), await model.look(encodePng(image))]
    expectSame(await b.segment('a dog'), await a.segment('a dog'))
  })

  test('pixels in any form are the same look', async () => {
    const gpu = await anyGpu()
    const model = await load(files, { gpu })
    const image = picture(21, 13)
    const { width, height, rgb } = image
    const expected = await (await model.look(image)).segment('a dog')
    const rgba = Uint8Array.from({ length: width * height * 4 }, (_, i) =>
      i % 4 === 3 ? i & 255 : rgb[Math.floor(i / 4) * 3 + (i % 4)]!,
    )
    const { COPY_DST, COPY_SRC } = GPUTextureUsage
    const texture = gpu.device.createTexture({
      size: [width, height],
      format: 'rgba8unorm',
      usage: COPY_DST | COPY_SRC,
    })
    gpu.device.queue.writeTexture({ texture }, rgba, { bytesPerRow: width * 4 }, [width, height])
    const data = { width, height, data: new Uint8ClampedArray(rgba), colorSpace: 'srgb' } as ImageData
    const file = new Blob([Uint8Array.from(encodePng(image))])
    const scenes: Scene[] = []
    for (const input of [{ width, height, rgba }, data, texture, file]) scenes.push(await model.look(input))
    for (const scene of scenes) expectSame(await scene.segment('a dog'), expected)
    texture.destroy()
    await expect(model.look('photo.jpg' as unknown as Image)).rejects.toThrow('look was given "photo.jpg"')
  })
})
