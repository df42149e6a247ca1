// Datasets as folders (Node): what training and evaluation read.
//
//   scenes.json    {split, start, count, size, images, categories, colours, kinds}
//   scenes.jsonl   a line a scene: {index, objects: [...], sentences: [{text, kind, target}]}; with `every`,
//                  sentences also have the steps to their answer: mentions: [{end, objects}], what the first
//                  `end` characters have named, and those of an order counted: [...], the first, the second ...
//                  up to the one they mean. The second generation (train2, val2, test2, style2) has asks: [...] as
//                  well, see asks/ask.ts, and of a picture of something else its kind, foreign
//   images/000000.png, ids/000000.png     or, with `raw`,
//   images.u8 [count, 256, 256, 3] and ids.u8 [count, 256, 256]
//
// Sentences count objects from 0, ids from 1: id 0 is the background. Files grow scene by scene, so a reader
// may start on the first rows while later ones are still being written. scenes.json is the first to go when a
// folder is written again and the last to come: where it is, everything is.

import { type FileHandle, open, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { decode, encode } from 'fast-png'
import { isObject } from '../check.ts'
import { makeFolders } from '../make-folders.ts'
import type { TaskOptions } from '../progress.ts'
import { FileProblem, openRegular, readRegular } from '../regular-file.ts'
import type { Ask } from './asks/ask.ts'
import { everyAsk } from './asks/every.ts'
import { COLOUR_NAMES, SHAPES, SPRITE_NAMES } from './catalogue.ts'
import { rasteriseScene } from './rasterise.ts'
import { isSecond, makeScene, type SceneObject, SIZE, type Split } from './scene.ts'
import { everySentence, SENTENCE_KINDS, type Sentence, writeSentences } from './sentences.ts'

/** manifest.json of a data set: where its scenes begin and how many there are. */
export interface DatasetManifest {
  /** The split that all of its scenes are of. */
  readonly split: Split
  /** Index of the first scene. */
  readonly start: number
  /** Number of scenes; scenes.jsonl has a line for each. */
  readonly count: number
  /** Pixels of each side of a picture: SIZE. */
  readonly size: number
  /** The layout of the pixels: a PNG per picture and per id map, or two files with all of them in a row. */
  readonly images: 'png' | 'raw'
  /** All categories that scenes can show, whether or not these do. */
  readonly categories: readonly string[]
  /** All colours of shapes. */
  readonly colours: readonly string[]
  /** All kinds of sentences. */
  readonly kinds: readonly string[]
}

/** A scene as scenes.jsonl has it: objects and sentences, without pixels. */
export interface SceneRecord {
  /** The scene's number in its split, from which it can be made again. */
  readonly index: number
  /** In painting order; asks and sentences mean them by their index here. */
  readonly objects: readonly ObjectRecord[]
  /** Each means exactly one object. */
  readonly sentences: readonly Sentence[]
  /** The second generation: all that it is asked besides. */
  readonly asks?: readonly Ask[]
  /** The kind of picture, of one that shows nothing of the world. */
  readonly foreign?: string
}

/** Box and area are those of the visible part, from the id map. */
export type ObjectRecord = Pick<
  SceneObject,
  'kind' | 'category' | 'group' | 'colour' | 'pattern' | 'size' | 'box' | 'area'
>

/** A scene with its pixels. */
export interface DatasetScene extends SceneRecord {
  /** [SIZE, SIZE, 3] */
  readonly rgb: Uint8Array
  /** [SIZE, SIZE]: 0 is background, i + 1 is object i. */
  readonly ids: Uint8Array
}

/** The scenes that a data set is made of. */
export interface DatasetOptions extends TaskOptions {
  /** The split to take them from. */
  readonly split: Split
  /** Number of scenes. */
  readonly count: number
  /** Index of the first scene; 0 by default. */
  readonly start?: number
  /** Pixels one after the other in two files, for training, rather than as PNGs. */
  readonly raw?: boolean
  /** Every sentence that was found, some sixty a scene, rather than 8 to 14. */
  readonly every?: boolean
}

/** One scene with its sentences and pixels. */
export function datasetScene(split: Split, index: number, every = false): DatasetScene {
  const scene = makeScene(split, index)
  const { rgb, ids, visible } = rasteriseScene(scene)
  const objects = scene.objects.map(({ kind, category, group, colour, pattern, size }, i) => {
    const { box, area } = visible[i] as (typeof visible)[number]
    return { kind, category, group, colour, pattern, size, box, area }
  })
  const explained = every || isSecond(split) ? everySentence(scene) : []
  const sentences = every ? explained : writeSentences(scene)
  const { foreign } = scene
  const more = isSecond(split) ? { asks: everyAsk(scene, explained, { objects, ids }) } : {}
  return { index, objects, sentences, ...more, ...(foreign ? { foreign } : {}), rgb, ids }
}

/** Writes scenes `start` to `start + count - 1` of a split into `folder`. */
export async function writeDataset(folder: string, options: DatasetOptions): Promise<DatasetManifest> {
  const { split, count, start = 0, raw = false, every = false, onProgress, signal } = options
  if (split === 'style2') (await import('./world/second-style.ts')).addSecondStyle()
  makeFolders(folder)
  await rm(join(folder, 'scenes.json'), { force: true })
  if (!raw) for (const name of ['images', 'ids']) makeFolders(join(folder, name))

  // 1. Scene by scene
  const files: FileHandle[] = []
  const create = async (name: string) => {
    const file = await open(join(folder, name), 'w')
    files.push(file)
    return file
  }
  try {
    const lines = await create('scenes.jsonl')
    const images = raw ? await create('images.u8') : null
    const masks = raw ? await create('ids.u8') : null
    for (let i = 0; i < count; i++) {
      signal?.throwIfAborted()
      const { rgb, ids, ...record } = datasetScene(split, start + i, every)
      if (images && masks) {
        await images.writeFile(rgb)
        await masks.writeFile(ids)
      } else {
        await writeFile(join(folder, imagePath('images', i)), png(rgb, 3))
        await writeFile(join(folder, imagePath('ids', i)), png(ids, 1))
      }
      await lines.writeFile(`${JSON.stringify(record)}\n`)
      onProgress?.({ phase: 'run', what: folder, loaded: i + 1, total: count })
    }
  } finally {
    await Promise.all(files.map((file) => file.close()))
  }

  // 2. The manifest says that all of it is there
  const manifest: DatasetManifest = {
    split,
    start,
    count,
    size: SIZE,
    images: raw ? 'raw' : 'png',
    categories: [...SHAPES, ...SPRITE_NAMES],
    colours: COLOUR_NAMES,
    kinds: SENTENCE_KINDS,
  }
  await writeFile(join(folder, 'scenes.json'), `${JSON.stringify(manifest, null, 2)}\n`)
  return manifest
}

/** Bytes of scenes.json and of one image at most. */
const MAX_FILE_BYTES = 16 * 2 ** 20

/** @throws RangeError, FileProblem naming the file, or SyntaxError */
export async function readManifest(folder: string): Promise<DatasetManifest> {
  const text = new TextDecoder().decode(await read(folder, 'scenes.json'))
  const manifest = JSON.parse(text) as DatasetManifest
  const { count, size } = manifest
  if (!Number.isSafeInteger(count) || count < 0 || size !== SIZE) {
    throw new RangeError(`readDataset: scenes.json must have a "count" of scenes and a "size" of ${SIZE}`)
  }
  return manifest
}

/**
 * The scenes of a folder, one at a time.
 *
 * @throws RangeError if they are not as many as the manifest says, before the first: whoever works on them for
 *   hours should not hear of it with the last
 */
export async function* readDataset(folder: string): AsyncGenerator<DatasetScene> {
  const manifest = await readManifest(folder)
  const isRaw = manifest.images === 'raw'
  const pixels = SIZE ** 2
  const lines = async () => (await openIn(folder, 'scenes.jsonl')).readLines()
  let count = 0
  for await (const _ of await lines()) count++
  if (count !== manifest.count) {
    throw new RangeError(
      `readDataset: scenes.jsonl has ${count} lines, scenes.json counts ${manifest.count} scenes`,
    )
  }
  const files: FileHandle[] = []
  const openRaw = async (name: string) => {
    const file = await openIn(folder, name)
    files.push(file)
    return file
  }
  try {
    const images = isRaw ? await openRaw('images.u8') : null
    const masks = isRaw ? await openRaw('ids.u8') : null
    let i = 0
    for await (const line of await lines()) {
      const record = recordIn(line, i)
      const rgb = images
        ? await readRow(images, i, pixels * 3)
        : await readPng(folder, imagePath('images', i), pixels * 3)
      const ids = masks ? await readRow(masks, i, pixels) : await readPng(folder, imagePath('ids', i), pixels)
      yield { ...record, rgb, ids }
      i++
    }
  } finally {
    await Promise.all(files.map((file) => file.close()))
  }
}

function recordIn(line: string, row: number): SceneRecord {
  const record = JSON.parse(line) as SceneRecord
  const isSentence = ({ text, target }: Sentence) => typeof text === 'string' && Number.isInteger(target)
  if (!Array.isArray(record?.objects) || !record.sentences?.every(isSentence)) {
    throw new RangeError(
      `readDataset: line ${row + 1} of scenes.jsonl lacks objects, or sentences with a target`,
    )
  }
  const { asks, objects } = record
  if (asks !== undefined && !(Array.isArray(asks) && asks.every((ask) => isAsk(ask, objects.length)))) {
    throw new RangeError(`readDataset: line ${row + 1} of scenes.jsonl has asks that are none`)
  }
  return record
}

/** True if a task has what it is asked with, and its targets are among the objects. */
function isAsk(ask: unknown, objects: number): ask is Ask {
  if (!isObject(ask)) return false
  const { task, kind, text, targets, names, gesture, target, answer } = ask
  const isTarget = (one: unknown): boolean =>
    Number.isInteger(one) && Number(one) >= 0 && Number(one) < objects
  const areTargets = (all: unknown): boolean => Array.isArray(all) && all.every(isTarget)
  const isText = (one: unknown): boolean => typeof one === 'string'
  if (!isText(kind)) return false
  switch (task) {
    case 'phrase':
      return isText(text) && areTargets(targets)
    case 'categories':
      return (
        Array.isArray(names) &&
        names.every(isText) &&
        Array.isArray(targets) &&
        targets.length === names.length &&
        targets.every(areTargets)
      )
    case 'region':
      return isObject(gesture) && (target === null || isTarget(target))
    case 'chat':
      return isText(text) && isText(answer)
    case 'grounded':
      return isText(answer) && areTargets(targets)
    default:
      return false
  }
}

async function openIn(folder: string, name: string): Promise<FileHandle> {
  return (await naming(name, openRegular(join(folder, name)))).file
}

async function read(folder: string, name: string): Promise<Uint8Array> {
  return naming(name, readRegular(join(folder, name), MAX_FILE_BYTES))
}

async function naming<T>(name: string, work: Promise<T>): Promise<T> {
  return work.catch((cause: unknown) => {
    if (!(cause instanceof FileProblem)) throw cause
    throw new FileProblem(cause.kind, `${name} ${cause.message}`, { cause })
  })
}

function imagePath(kind: 'images' | 'ids', i: number): string {
  return join(kind, `${String(i).padStart(6, '0')}.png`)
}

function png(data: Uint8Array, channels: number): Uint8Array {
  return encode({ width: SIZE, height: SIZE, data, channels, depth: 8 })
}

async function readPng(folder: string, name: string, bytes: number): Promise<Uint8Array> {
  const { data } = decode(await read(folder, name))
  if (data.length !== bytes) {
    throw new RangeError(`readDataset: ${name} has ${data.length} values, expected ${bytes}`)
  }
  return new Uint8Array(data)
}

async function readRow(file: FileHandle, row: number, bytes: number): Promise<Uint8Array> {
  const data = new Uint8Array(bytes)
  const { bytesRead } = await file.read(data, 0, bytes, row * bytes)
  if (bytesRead !== bytes) {
    throw new RangeError(
      `readDataset: scene ${row} has ${bytesRead} of ${bytes} bytes: the folder is incomplete`,
    )
  }
  return data
}
