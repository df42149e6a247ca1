// Scenes are pure functions of (split, index), show enough of every object, and keep the held-out
// combinations out of train and val.

import { describe, expect, test } from 'vitest'
import { HELD_OUT_SHAPES, isHeldOutPair, isHeldOutShape, SPRITE_NAMES } from '../../src/scenes/catalogue.ts'
import { icon } from '../../src/scenes/icons.ts'
import { rasteriseScene } from '../../src/scenes/rasterise.ts'
import { covers, makeScene, SIZE, type Split, type SyntheticScene, sceneSvg } from '../../src/scenes/scene.ts'

const scenes = (split: Split, count: number) => Array.from({ length: count }, (_, i) => makeScene(split, i))

const pairs = ({ objects }: SyntheticScene) =>
  objects.flatMap((a, i) => objects.slice(i + 1).map((b) => [a, b] as const))

test('the same scene every time, and another one for every split and index', () => {
  expect(sceneSvg(makeScene('train', 17))).toBe(sceneSvg(makeScene('train', 17)))
  const svgs = (['train', 'val', 'test'] as const).flatMap((split) => scenes(split, 20).map(sceneSvg))
  expect(new Set(svgs).size).toBe(60)
})

test('every object keeps at least 45 % and 150 pixels in sight, inside the picture', () => {
  for (const scene of [...scenes('train', 40), ...scenes('test', 40)]) {
    expect(scene.objects.length).toBeGreaterThanOrEqual(4)
    expect(scene.objects.length).toBeLessThanOrEqual(9)
    const { visible, whole } = rasteriseScene(scene)
    for (const [i, { area, box }] of visible.entries()) {
      const where = `${scene.split} ${scene.index}, object ${i}`
      expect(area, where).toBeGreaterThanOrEqual(150)
      expect(area, where).toBeGreaterThanOrEqual(0.45 * (whole[i] as number))
      expect(Math.min(...box), where).toBeGreaterThanOrEqual(0)
      expect(Math.max(...box), where).toBeLessThanOrEqual(SIZE)
    }
  }
})

test('the id map is the topmost silhouette almost everywhere', () => {
  // Silhouettes are 48 x 48, so only rims may differ: 97 % of an average object's pixels agree
  let [agreeing, counted] = [0, 0]
  for (const scene of scenes('train', 10)) {
    const { ids } = rasteriseScene(scene)
    for (let y = 0; y < SIZE; y++) {
      for (let x = 0; x < SIZE; x++) {
        const top = scene.objects.findLastIndex((o) => covers(o, x + 0.5, y + 0.5)) + 1
        const id = ids[y * SIZE + x] as number
        if (top === 0 && id === 0) continue
        counted++
        if (top === id) agreeing++
      }
    }
  }
  expect(agreeing / counted).toBeGreaterThan(0.97)
})

test('every object of one flat colour has that colour under its mask', () => {
  for (const scene of scenes('train', 20)) {
    const { rgb, ids } = rasteriseScene(scene)
    for (const [i, object] of scene.objects.entries()) {
      if (object.pattern !== 'plain') continue
      let [same, total] = [0, 0]
      for (let p = 0; p < ids.length; p++) {
        if (ids[p] !== i + 1) continue
        total++
        const paint = [1, 3, 5].map((c) => Number.parseInt((object.paint as string).slice(c, c + 2), 16))
        if (paint.every((v, c) => Math.abs(v - (rgb[3 * p + c] as number)) <= 2)) same++
      }
      expect(same / total).toBeGreaterThan(0.8) // the rest is the rim
    }
  }
})

describe('held-out combinations', () => {
  test.each(['train', 'val'] as const)('never occur in %s', (split) => {
    for (const scene of scenes(split, 120)) {
      for (const o of scene.objects) expect(isHeldOutShape(o.colour ?? '', o.category)).toBe(false)
      for (const [a, b] of pairs(scene)) expect(isHeldOutPair(a.category, b.category)).toBe(false)
    }
  })

  test('all occur in test, at their natural share', () => {
    const all = scenes('test', 150)
    const shapes = all.flatMap(({ objects }) => objects.filter((o) => o.kind === 'shape'))
    const heldOut = shapes.filter((o) => isHeldOutShape(o.colour as string, o.category))
    expect(new Set(heldOut.map((o) => o.category)).size).toBe(HELD_OUT_SHAPES.length)
    expect(heldOut.length / shapes.length).toBeGreaterThan(0.05) // 8 of 72 is 11 %
    expect(heldOut.length / shapes.length).toBeLessThan(0.2)
    expect(all.some((scene) => pairs(scene).some(([a, b]) => isHeldOutPair(a.category, b.category)))).toBe(
      true,
    )
  })
})

test('every sprite of the catalogue is baked', () => {
  for (const name of SPRITE_NAMES) expect(icon(name).body.length).toBeGreaterThan(0)
  expect(() => icon('unicorn')).toThrow('there is no sprite "unicorn"')
})
