// The distance of an image from those of training is that of training/flowseg/world.py, and a checkpoint that says
// nothing of its world takes no work for it.

import { describe, expect, test } from 'vitest'
import type { Image } from '../../../src/io/image/image.ts'
import { type Config, visionRows } from '../../../src/model/checkpoint/config.ts'
import { World } from '../../../src/model/knows/world.ts'
import { lookPlan } from '../../../src/model/plans.ts'
import { floats } from '../../../src/model/segmentation.ts'
import { upload } from '../../../src/tensor/tensor.ts'
import { expectGolden, goldenInput, loadGolden } from '../../fixtures/golden.ts'
import { adapters } from '../../support.ts'
import { assemble, freeAll, runOnce } from '../checkpoint/parts.ts'
import { picture, smallCheckpoint } from '../checkpoint/small-checkpoint.ts'
import { smallConfig } from '../networks/networks.ts'
import { cleanUp, files, load } from '../small-model.ts'

cleanUp()

const golden = loadGolden('world')
const KNOWS = {
  words: [],
  examples: [],
  world: { threshold: 2.2, rest: golden.facts['rest'] as number, axes: 5 },
}

/** A world whose mean is 0, and whose axes see all features. */
const LOADED = { knows: { world: { threshold: 1e3, rest: 4, axes: 3 } } }
const edit = (name: string, values: Float32Array): void => {
  if (name === 'world.mean') values.fill(0)
  if (name === 'world.axes') values.forEach((_, i) => (values[i] = Math.cos(i)))
  if (name === 'world.scale') values.set([1, 2, 4])
}

for (const gpu of await adapters()) {
  describe(`the world on ${gpu.name}`, () => {
    test('distances are those of the reference', async () => {
      const config: Config = { ...smallConfig(), knows: KNOWS }
      const { parts, cache, free } = await assemble(gpu, config, 3, 12)
      const host = new Map(
        ['mean', 'axes', 'scale'].map((name) => [`world.${name}`, goldenInput(golden, name)]),
      )
      const world = new World(config, host, visionRows(config))
      for (const name of ['faint', 'plain', 'harsh']) {
        const pixels = {
          sam: await upload(gpu, goldenInput(golden, `${name}.pixels`), [128, 128, 3], 'f32'),
          siglip: await upload(gpu, goldenInput(golden, `${name}.semantic`), [60, 60, 3], 'f32'),
        }
        const values = { inputs: { before: await parts.embed([3, 141, 59]) }, bound: { ...cache, ...pixels } }
        const { read, kept } = await runOnce(gpu, (inputs) => lookPlan(inputs, parts), values)
        const features = [...visionRows(config)].flatMap(([from, N]) => [
          ...floats(read, `world mean of ${from}`),
          ...floats(read, `world variance of ${from}`).map((v) => Math.sqrt((v * N) / (N - 1))),
        ])
        expectGolden(`${name}.features`, features, golden, 1e-4)
        const { distance, threshold, isKnown } = world.judge(read)
        expectGolden(`${name}.distance`, [distance], golden, 1e-4)
        expect([threshold, isKnown]).toEqual([2.2, name === 'plain'])
        freeAll(gpu, { ...pixels, ...kept })
      }
      free()
    })

    test('a scene has the distance of its image', async () => {
      const known = smallCheckpoint({ config: LOADED, edit })
      const model = await load(known, { gpu })
      expect(model.notes).toEqual([])
      const image = picture(40, 30)
      const scene = await model.look(image)
      const { distance = 0, ...rest } = scene.world ?? {}
      expect(rest).toEqual({ threshold: 1e3, isKnown: true })
      expect(distance).toBeGreaterThan(0)
      expect((await model.look(image)).world).toEqual(scene.world)
      const grey: Image = { width: 40, height: 30, rgb: new Uint8Array(40 * 30 * 3).fill(128) }
      expect((await model.look(grey)).world?.distance).not.toBeCloseTo(distance, 3)

      // One below the distance: the same image is foreign
      const strict = { knows: { world: { ...LOADED.knows.world, threshold: distance * 0.999 } } }
      const other = await load(smallCheckpoint({ config: strict, edit }), { gpu })
      expect((await other.look(image)).world).toEqual({
        ...scene.world,
        threshold: distance * 0.999,
        isKnown: false,
      })
    })

    test('without it nothing is measured', async () => {
      const [plain, described, measured] = [
        await load(files, { gpu }),
        await load(smallCheckpoint({ config: { knows: { domain: 'Noise.', words: ['noise'] } } }), { gpu }),
        await load(smallCheckpoint({ config: LOADED, edit }), { gpu }),
      ]
      const looks = [plain, described, measured].map((model) => {
        const info = model.plans().find(({ name }) => name === 'look')
        return info?.dispatches.map(({ kernel }) => kernel)
      })
      expect(looks[0]?.length).toBeGreaterThan(50)
      expect(looks[1]).toEqual(looks[0])
      expect(looks[2]?.length).toBe((looks[0]?.length ?? 0) + 8) // four for each encoder
      const scene = await plain.look(picture(40, 30))
      expect(scene.world).toBeUndefined()
      expect((await described.look(picture(40, 30))).world).toBeUndefined()
    })

    test('tensors that are missing, of another shape or not above 0 are refused', async () => {
      const without = smallCheckpoint().map((file, i) =>
        i > 0 ? file : smallCheckpoint({ config: LOADED })[0]!,
      )
      await expect(load(without, { gpu })).rejects.toThrow(
        /3 of the \d+ tensors that .* needs are missing: world\.mean/,
      )
      const axes = { knows: { world: { ...LOADED.knows.world, axes: 4 } } }
      const [config] = smallCheckpoint({ config: axes })
      const other = smallCheckpoint({ config: LOADED, edit }).map((file, i) => (i > 0 ? file : config!))
      await expect(load(other, { gpu })).rejects.toThrow('world.axes is [3, 256], expected [4, 256]')
      const flat = smallCheckpoint({
        config: LOADED,
        edit: (name, values) => (name === 'world.scale' ? values.set([1, 0, 1]) : edit(name, values)),
      })
      await expect(load(flat, { gpu })).rejects.toThrow('the value at [1] of world.scale is 0')
      const spoilt = smallCheckpoint({
        config: LOADED,
        edit: (name, values) => (name === 'world.mean' ? values.fill(Number.NaN, 7, 8) : edit(name, values)),
      })
      await expect(load(spoilt, { gpu })).rejects.toThrow(/"world\.mean": the value at \[7\] is NaN/)
    })
  })
}
