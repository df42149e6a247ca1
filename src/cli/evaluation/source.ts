// The data that `flowseg eval` measures on, whatever they are: scenes of the test split, a folder that `flowseg scenes`
// wrote, or data of the user's own. All come as items, in one order, which shards divide among themselves.

import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { checkFiles, readPicture } from '../../datasets/check-files.ts'
import { damagedData, Fault, Faults } from '../../datasets/faults.ts'
import { openOwnData } from '../../datasets/open-own-data.ts'
import type { OwnData, Picture, TruthMask } from '../../datasets/own-data.ts'
import { FlowSegError, PromptError } from '../../errors.ts'
import type { Image } from '../../io/image/image.ts'
import { printable, reasonOf } from '../../printable.ts'
import { readRegular } from '../../regular-file.ts'
import { type DatasetScene, datasetScene, readDataset, readManifest } from '../../scenes/dataset.ts'
import { type Given, UsageError } from '../args.ts'
import { locationOf } from '../files.ts'
import type { KeptPaths } from '../output/outputs.ts'
import type { ProgressLine } from '../output/progress-line.ts'
import type { Terminal } from '../output/terminal.ts'

/** Sentences of the test split, at least. */
export const SENTENCES = 1000
const TEST_SPLIT = 'test split'

/** The files of a folder of scenes. */
const DATASET_FILES = ['scenes.json', 'scenes.jsonl', 'images.u8', 'ids.u8']
const DATASET_FOLDERS = ['images', 'ids']

/** Sixty sentences per scene are some 10 kB. */
const MAX_LIST_BYTES = 2 ** 31

/** An image, and the sentences about it. */
export interface Item {
  /** The number that the answers go by. */
  readonly scene: number
  /** The image's file, of data that have one. */
  readonly image: string | undefined
  /** The sentences, in the order of the data. */
  readonly questions: readonly ItemQuestion[]
  /** The image's pixels, read or drawn anew by each call. */
  read(signal: AbortSignal): Promise<Image>
  /** The mask of the largest object; undefined where objects aren't listed. */
  readonly largest: ((image: Image, signal: AbortSignal) => Promise<Uint8Array>) | undefined
}

/** A sentence about an image. */
export interface ItemQuestion {
  /** The sentence. */
  readonly text: string
  /** The data's own word for sentences of this sort; undefined if they have none. */
  readonly kind: string | undefined
  /** The pixels that it means, in the size of the image. */
  truth(image: Image, signal: AbortSignal): Promise<TruthMask>
}

/** The data to measure on. */
export interface EvaluationData {
  /** As the user typed it, or 'test split'. */
  readonly name: string
  /** Distinguishes the data from others. */
  readonly fingerprint: string
  /** All images, those of other shards included; pixels are read later. */
  readonly scenes: AsyncIterable<Item>
  /** It ends with the scene that brings this many sentences. */
  readonly wanted: number
  /** The share that is done, in [0, 1]. */
  readonly share: (scenes: number, sentences: number) => number
  /** Things that a person should know. */
  readonly notes: readonly string[]
  /** The files and folders that no output may touch. */
  readonly kept: KeptPaths
  /** The data ask questions that must be thought about. */
  readonly isReasoning: boolean
  /**
   * Checks the images and masks of a shard, and all sentences, before anything runs.
   *
   * @throws FlowSegError 'ERR_DATASET' naming the places of the first faults
   */
  check(
    expectSentence: (sentence: string) => void,
    shard: EvaluationShard,
    progress: ProgressLine,
    signal: AbortSignal,
  ): Promise<void>
}

/** Every `of`th image, beginning with the one at `index`. */
export interface EvaluationShard {
  /** The shard's number, from 0. */
  readonly index: number
  /** The number of shards. */
  readonly of: number
}

/** The shard of a whole. */
export const WHOLE: EvaluationShard = { index: 0, of: 1 }

/** True if the image with this ordinal belongs to the shard. */
export function isIn({ index, of }: EvaluationShard, ordinal: number): boolean {
  return ordinal % of === index
}

/** The options that say how much of the data to take. */
export interface Amount {
  /** Sentences. */
  readonly count?: number | undefined
  /** Images. */
  readonly limit?: number | undefined
}

/**
 * The data that a command line names.
 *
 * @throws FlowSegError 'ERR_DATASET', of its scenes too
 * @throws UsageError for options that the data don't take
 */
export async function sourceOf(
  name: string | undefined,
  amount: Amount,
  args: Pick<Given, 'text'>,
  { cwd, signal }: Pick<Terminal, 'cwd' | 'signal'>,
): Promise<EvaluationData> {
  const isStored = args.text('exif') === 'ignore'
  if (name === undefined) {
    expectNoLayout(args, 'the test split')
    expectNoExif(isStored)
    return scenesSource(
      TEST_SPLIT,
      TEST_SPLIT,
      testSplit(),
      { count: SENTENCES, ...withoutUndefined(amount) },
      Infinity,
      { files: [], folders: [] },
    )
  }
  const path = locationOf(name, { cwd })
  if (existsSync(join(path, 'scenes.json'))) {
    expectNoLayout(args, 'scenes')
    expectNoExif(isStored)
    const manifest = await readManifest(path).catch((cause: unknown) => {
      throw damaged(name, cause)
    })
    const hash = createHash('sha256') // of a file that can't be read its name: readDataset says what is wrong
    for (const file of ['scenes.json', 'scenes.jsonl'])
      hash.update(await readRegular(join(path, file), MAX_LIST_BYTES, signal).catch(() => file))
    const scenes = folderScenes(path, name)
    return scenesSource(name, hash.digest('hex'), scenes, amount, manifest.count, keptScenes(path))
  }
  const images = args.text('images')
  const options = {
    split: args.text('split'),
    images: images === undefined ? undefined : resolve(cwd, images),
  }
  const data = await openOwnData(path, name, options, signal)
  if (data) {
    if (data.layout !== 'RefCOCO') expectNoLayout(args, data.layout)
    const pictures = isStored ? data.pictures.map((picture) => ({ ...picture, isStored })) : data.pictures
    return ownSource({ ...data, pictures }, name, amount)
  }
  const finding = existsSync(path)
    ? `There is no dataset in ${printable(name)}: scenes.json is missing. \`flowseg scenes ${printable(name)}\` writes one. `
    : `There is nothing at ${printable(name)}. Check the path; \`flowseg scenes DIR\` writes a dataset. `
  throw new FlowSegError(
    'ERR_DATASET',
    finding +
      'Data of your own are a JSON Lines file, or a folder of RefCOCO (instances.json) or ReasonSeg (1.jpg, 1.json); see docs/evaluation.md.',
  )
}

function expectNoLayout(args: Pick<Given, 'text'>, what: string): void {
  for (const option of ['split', 'images']) {
    if (args.text(option) !== undefined)
      throw new UsageError(`--${option} is for folders of RefCOCO, and ${what} takes none. Leave it out.`)
  }
}

function expectNoExif(isStored: boolean): void {
  if (isStored) throw new UsageError('--exif is for photographs, and scenes are drawn upright. Leave it out.')
}

function withoutUndefined({ count, limit }: Amount): Amount {
  return { ...(count !== undefined && { count }), ...(limit !== undefined && { limit }) }
}

// ---------------------------------------------------------------------------------------------------------
// Scenes

function scenesSource(
  name: string,
  fingerprint: string,
  scenes: AsyncIterable<DatasetScene>,
  { count, limit = Infinity }: Amount,
  total: number,
  kept: KeptPaths,
): EvaluationData {
  const wanted = count ?? Number.POSITIVE_INFINITY
  const images = Math.min(total, limit)
  return {
    name,
    fingerprint,
    scenes: itemsOf(scenes, limit),
    wanted,
    share: (done, sentences) => Math.max(sentences / wanted, done / images),
    notes: [],
    kept,
    isReasoning: false,
    check: async () => undefined,
  }
}

async function* itemsOf(scenes: AsyncIterable<DatasetScene>, limit: number): AsyncGenerator<Item> {
  let left = limit
  for await (const scene of scenes) {
    yield itemOf(scene)
    if (--left <= 0) return
  }
}

function itemOf({ index, objects, sentences, rgb, ids }: DatasetScene): Item {
  const side = Math.sqrt(ids.length)
  const areas = objects.map(({ area }) => area)
  return {
    scene: index,
    image: undefined,
    questions: sentences.map(({ text, kind, target }) => ({
      text,
      kind,
      truth: async () => ({ mask: bitsOf(ids, target), ignored: undefined }),
    })),
    read: async () => ({ width: side, height: side, rgb }),
    largest: async () => bitsOf(ids, areas.indexOf(Math.max(...areas))),
  }
}

function bitsOf(ids: Uint8Array, object: number): Uint8Array {
  return ids.map((id) => (id === object + 1 ? 1 : 0))
}

async function* testSplit(): AsyncGenerator<DatasetScene> {
  for (let index = 0; ; index++) yield datasetScene('test', index)
}

/**
 * The scenes of a folder.
 *
 * @param name as the user typed it
 * @throws FlowSegError 'ERR_DATASET' if they are damaged
 */
export async function* folderScenes(path: string, name: string): AsyncGenerator<DatasetScene> {
  try {
    yield* readDataset(path)
  } catch (cause) {
    throw damaged(name, cause)
  }
}

/** The files and folders of a folder of scenes that no output may touch. */
export function keptScenes(path: string): KeptPaths {
  const what = 'the dataset itself'
  return {
    files: DATASET_FILES.map((file) => ({ path: join(path, file), what })),
    folders: DATASET_FOLDERS.map((folder) => ({ path: join(path, folder), what })),
  }
}

/** The error of a folder of scenes that can't be read. @param folder as the user typed it */
export function damaged(folder: string, cause: unknown): FlowSegError {
  return new FlowSegError(
    'ERR_DATASET',
    `The dataset in ${printable(folder)} is damaged: ${reasonOf(cause)}. Write it again.`,
    {
      cause,
    },
  )
}

// ---------------------------------------------------------------------------------------------------------
// Data of the user's own

function ownSource(data: OwnData, name: string, { count, limit = Infinity }: Amount): EvaluationData {
  const wanted = count ?? Number.POSITIVE_INFINITY
  const pictures: Picture[] = []
  for (let sentences = 0, i = 0; sentences < wanted && i < limit; i++) {
    const picture = data.pictures[i]
    if (!picture) break
    pictures.push(picture)
    sentences += picture.questions.length
  }
  return {
    name,
    fingerprint: data.fingerprint,
    scenes: ownItems(pictures, name),
    wanted,
    share: (done) => done / pictures.length,
    notes: data.notes,
    kept: {
      folders: [],
      files: [
        ...data.files.map((path) => ({ path, what: 'the data set itself' })),
        ...pictures.map((picture) => ({ path: picture.path, what: 'an image of the data set' })),
      ],
    },
    isReasoning: data.layout === 'ReasonSeg',
    async check(expectSentence, shard, progress, signal) {
      const faults = new Faults(name)
      for (const { questions } of pictures) {
        for (const { sentence, place } of questions) {
          faults.take(place, () => {
            try {
              expectSentence(sentence)
            } catch (error) {
              if (error instanceof PromptError) throw new Fault(error.message, { cause: error })
              throw error
            }
          })
        }
      }
      faults.expectNone()
      const own = pictures.filter((_, i) => isIn(shard, i))
      await checkFiles(
        own,
        name,
        (i, picture) => progress.show('check', i / own.length, picture.name),
        signal,
      )
      progress.clear()
    },
  }
}

async function* ownItems(pictures: readonly Picture[], name: string): AsyncGenerator<Item> {
  for (const [scene, picture] of pictures.entries()) {
    const naming = async <T>(place: string, work: Promise<T>): Promise<T> =>
      work.catch((cause: unknown) => {
        if (cause instanceof Fault) throw damagedData(name, `${place}: ${cause.message}`, { cause })
        throw cause
      })
    const { largest } = picture
    yield {
      scene,
      image: picture.name,
      questions: picture.questions.map(({ sentence, kind, place, truth }) => ({
        text: sentence,
        kind,
        truth: (size, signal) => naming(place, truth.read(size, signal)),
      })),
      read: (signal) => naming(picture.place, readPicture(picture, signal)),
      largest: largest && ((size, signal) => naming(picture.place, largest.read(size, signal))),
    }
  }
}
