// Writes scenes in the layouts that data of one's own have: a JSON Lines file, or a folder of RefCOCO. What `flowseg
// eval` finds on them is what it finds on the scenes themselves.

import { open, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { entryOf } from '../check.ts'
import { encodePng } from '../io/image/image.ts'
import { makeFolders } from '../make-folders.ts'
import { encodeRle, type Rle } from '../masks/rle.ts'
import { SHAPES, SPRITE_NAMES } from '../scenes/catalogue.ts'
import { type DatasetOptions, type DatasetScene, datasetScene } from '../scenes/dataset.ts'
import { SIZE } from '../scenes/scene.ts'

/** The layouts that scenes can be written in. */
export type SceneLayout = 'lines' | 'refcoco'

/** The file that lists a folder of each layout; it is the last to come. */
export const LISTING: Readonly<Record<SceneLayout, string>> = {
  lines: 'scenes.lines.jsonl',
  refcoco: 'instances.json',
}

const CATEGORIES: readonly string[] = [...SHAPES, ...SPRITE_NAMES]

/** Writes scenes `start` to `start + count - 1` of a split into `folder`. */
export async function writeScenesAs(
  layout: SceneLayout,
  folder: string,
  { split, count, start = 0, every = false, onProgress, signal }: Omit<DatasetOptions, 'raw'>,
): Promise<void> {
  makeFolders(join(folder, 'images'))
  await rm(join(folder, LISTING[layout]), { force: true })
  const writer = layout === 'lines' ? new LinesWriter() : new RefcocoWriter(split)
  for (let i = 0; i < count; i++) {
    signal?.throwIfAborted()
    const scene = datasetScene(split, start + i, every)
    const image = `${String(start + i).padStart(6, '0')}.png`
    await writeFile(join(folder, 'images', image), encodePng({ width: SIZE, height: SIZE, rgb: scene.rgb }))
    writer.add(scene, image)
    onProgress?.({ phase: 'run', what: folder, loaded: i + 1, total: count })
  }
  for (const [name, pieces] of writer.files()) {
    const file = await open(join(folder, name), 'w')
    try {
      for (const piece of pieces) await file.appendFile(piece)
    } finally {
      await file.close()
    }
  }
}

/** The visible part of an object, down the columns as COCO has it. */
function rleOf({ ids }: DatasetScene, object: number): Rle {
  return encodeRle({ width: SIZE, height: SIZE, data: ids.map((id) => (id === object + 1 ? 1 : 0)) })
}

class LinesWriter {
  readonly #lines: string[] = []

  add(scene: DatasetScene, image: string): void {
    for (const { text, kind, target } of scene.sentences) {
      const line = { image: `images/${image}`, sentence: text, mask: rleOf(scene, target), kind }
      this.#lines.push(`${JSON.stringify(line)}\n`)
    }
  }

  files(): [string, Iterable<string>][] {
    return [[LISTING.lines, this.#lines]]
  }
}

class RefcocoWriter {
  readonly #split: string
  readonly #refs: object[] = []
  readonly #images: object[] = []
  readonly #annotations: object[] = []
  #sentences = 0

  constructor(split: string) {
    this.#split = split
  }

  add(scene: DatasetScene, image: string): void {
    const first = this.#annotations.length
    this.#images.push({ id: scene.index, file_name: image, width: SIZE, height: SIZE })
    for (const [i, { category, box, area }] of scene.objects.entries()) {
      const [left, top, right, bottom] = box
      this.#annotations.push({
        id: first + i,
        image_id: scene.index,
        category_id: CATEGORIES.indexOf(category),
        segmentation: rleOf(scene, i),
        area,
        bbox: [left, top, right - left, bottom - top],
        iscrowd: 0,
      })
    }
    // A reference per object that is meant, with all of its sentences; their ids keep the order in which they came
    const sentences = scene.sentences.map(({ text, kind, target }) => ({
      target,
      sentence: { sent_id: this.#sentences++, sent: text, raw: text, tokens: text.split(' '), kind },
    }))
    for (const target of new Set(sentences.map((one) => one.target))) {
      const own = sentences.filter((one) => one.target === target).map(({ sentence }) => sentence)
      this.#refs.push({
        ref_id: this.#refs.length,
        ann_id: first + target,
        image_id: scene.index,
        category_id: CATEGORIES.indexOf(entryOf(scene.objects, target).category),
        split: this.#split,
        file_name: image,
        sent_ids: own.map(({ sent_id: id }) => id),
        sentences: own,
      })
    }
  }

  files(): [string, Iterable<string>][] {
    const categories = CATEGORIES.map((name, id) => ({ id, name, supercategory: '' }))
    return [
      ['refs(flowseg).json', [JSON.stringify(this.#refs)]],
      [
        LISTING.refcoco,
        [JSON.stringify({ images: this.#images, annotations: this.#annotations, categories })],
      ],
    ]
  }
}
