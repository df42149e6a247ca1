// The test split that the recorded evaluation is of, written in the layouts of data of one's own, is read back as the
// split itself: the same pixels, sentences in the same order, kinds, masks, and largest objects. What a model answers
// to them is then the same (test/e2e/evaluation/own-data.node.test.ts).

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test, vi } from 'vitest'
import { readPicture } from '../../src/datasets/check-files.ts'
import { openOwnData } from '../../src/datasets/open-own-data.ts'
import { LISTING, type SceneLayout, writeScenesAs } from '../../src/datasets/write-scenes.ts'
import { datasetScene } from '../../src/scenes/dataset.ts'
import { ROOT } from '../e2e/cli-harness.ts'

const folder = mkdtempSync(join(tmpdir(), 'flowseg-scenes-'))
afterAll(() => rmSync(folder, { recursive: true }))
vi.setConfig({ testTimeout: 120_000 })

const recorded = JSON.parse(readFileSync(join(ROOT, 'weights/flowseg-nano/evaluation.json'), 'utf8')) as {
  scenes: number
  all: { sentences: number }
}
const { signal } = new AbortController()

test.each<[SceneLayout, string]>([
  ['refcoco', ''],
  ['lines', LISTING.lines],
])('the recorded test split as %s', async (layout, file) => {
  await writeScenesAs(layout, join(folder, layout), { split: 'test', count: recorded.scenes })
  const options = { split: undefined, images: undefined }
  const data = await openOwnData(join(folder, layout, file), layout, options, signal)
  expect(data!.pictures).toHaveLength(recorded.scenes)
  let sentences = 0
  for (const [i, picture] of data!.pictures.entries()) {
    const { rgb, ids, objects, sentences: own } = datasetScene('test', i)
    const image = await readPicture(picture, signal)
    expect(Buffer.compare(image.rgb, rgb), `pixels of scene ${i}`).toBe(0)
    const asked = picture.questions.map(({ sentence, kind }) => ({ text: sentence, kind }))
    expect(asked).toEqual(own.map(({ text, kind }) => ({ text, kind })))
    const isSame = (mask: Uint8Array, object: number): boolean =>
      mask.length === ids.length && mask.every((pixel, k) => pixel === (ids[k] === object + 1 ? 1 : 0))
    for (const [k, { truth }] of picture.questions.entries()) {
      const { mask, ignored } = await truth.read(image, signal)
      expect(isSame(mask, own[k]!.target), `mask ${k} of scene ${i}`).toBe(true)
      expect(ignored).toBeUndefined()
    }
    const areas = objects.map(({ area }) => area)
    const largest = await picture.largest?.read(image, signal)
    if (layout === 'refcoco') expect(isSame(largest!, areas.indexOf(Math.max(...areas)))).toBe(true)
    else expect(largest).toBeUndefined()
    sentences += own.length
  }
  expect(sentences).toBe(recorded.all.sentences)
})
