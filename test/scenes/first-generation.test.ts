// The splits that published figures were measured on stay as they are, to the byte: objects, sentences, pixels and
// masks of 100 scenes of the test split, whose first 89 hold the 1,007 sentences of those figures, and some of the
// other two.

import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { datasetScene } from '../../src/scenes/dataset.ts'
import { makeScene, SPLIT_SEEDS, SPLITS, sceneSvg } from '../../src/scenes/scene.ts'

const HASHES = [
  ['train', 10, false, 'd28635b84bc2546d9daaf72228d415441353306c40c7c5575b150cb2646a94f9'],
  ['train', 10, true, 'd5ff8bb5cebc761632b47afbadb31f8ace392b5a2f3e47b2270b63f25547adcc'],
  ['val', 10, false, '87a4574671be0425f74f167a194b04e70f7c000b6681c7f4c97f1807d37816c4'],
  ['val', 10, true, 'a6f3a500f81fc5ef3097b1b4de06f43724f121decc50e2c558a64d4a3f966b8c'],
  ['test', 100, false, 'b5e21bc763fa64d6acc4cadb72d6f37d352ae9f5929c4eec14c1b71e6737b1ea'],
] as const

test.each(HASHES)('the first %s scenes, %i of them, every sentence: %s', (split, count, every, hash) => {
  const sum = createHash('sha256')
  let sentences = 0
  for (let i = 0; i < count; i++) {
    const { rgb, ids, ...record } = datasetScene(split, i, every)
    sum.update(JSON.stringify(record)).update(rgb).update(ids)
    if (i < 89) sentences += record.sentences.length
  }
  expect(sum.digest('hex')).toBe(hash)
  if (split === 'test') expect(sentences).toBe(1007)
})

test('no two splits share a seed or a scene', () => {
  expect(new Set(Object.values(SPLIT_SEEDS)).size).toBe(SPLITS.length)
  const drawn = SPLITS.filter((split) => split !== 'style2') // its icons are another file
  const svgs = drawn.flatMap((split) => Array.from({ length: 30 }, (_, i) => sceneSvg(makeScene(split, i))))
  expect(new Set(svgs).size).toBe(svgs.length)
})
