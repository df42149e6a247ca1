// JSON Lines of image, sentence and mask: a line per sentence. docs/evaluation.md describes it for its writers.
//
//   {"image": "photos/1.jpg", "sentence": "the red mug", "mask": "masks/1.png", "kind": "colour"}
//
// Paths begin in the folder of the file. `kind` and `ignore`, a mask of pixels that don't count, may be missing; other
// names are left to their owner. Sentences about one image are asked together, wherever their lines are.

import { dirname, resolve } from 'node:path'
import { describe, isObject } from '../check.ts'
import { printable, quoted, reasonOf } from '../printable.ts'
import { Fault, Faults } from './faults.ts'
import { ListFiles } from './list-files.ts'
import { maskOf } from './mask-forms.ts'
import { type DataQuestion, type OwnData, type Picture, truthOf } from './own-data.ts'

/** The longest name of a kind: it is a row of a table. */
const MAX_KIND = 60

/**
 * Lists a JSON Lines file.
 *
 * @param name the file, as the user typed it
 * @throws FlowSegError 'ERR_DATASET' naming the lines with faults
 */
export async function listJsonLines(path: string, name: string, signal: AbortSignal): Promise<OwnData> {
  const files = new ListFiles(name, signal)
  const folder = dirname(path)
  const faults = new Faults(name)
  const questions = new Map<string, DataQuestion[]>()
  const pictures: Picture[] = []
  const masks: string[] = []
  const places = new Map<string, string>()
  for (const [i, line] of (await files.text(path, 'the file')).split('\n').entries()) {
    if (line.trim() === '') continue
    const place = `line ${i + 1}`
    faults.take(place, () => {
      const { image, identity, masks: maskFiles, ...question } = entryIn(line, place, folder)
      const full = resolve(folder, image)
      const same = places.get(identity)
      if (same !== undefined)
        throw new Fault(`it is the same as ${same}. Remove one of them, or it counts twice.`)
      places.set(identity, place)
      masks.push(...maskFiles)
      const others = questions.get(full)
      if (others) others.push(question)
      else {
        const own = [question]
        questions.set(full, own)
        const picture = { name: image, path: full, place, questions: own }
        pictures.push({ ...picture, isStored: false, size: undefined, largest: undefined })
      }
    })
  }
  faults.expectNone()
  if (pictures.length === 0) {
    faults.add(
      'the file',
      'it has no line. Each looks like {"image": "1.jpg", "sentence": "the red mug", "mask": "1.png"}.',
    )
    faults.expectNone()
  }
  const { fingerprint, paths } = files
  return { layout: 'JSON Lines', pictures, fingerprint, notes: [], files: [...paths, ...masks] }
}

interface Entry extends DataQuestion {
  readonly image: string
  /** The identity of a line, which no two lines may share. */
  readonly identity: string
  /** The full paths of its masks' files. */
  readonly masks: readonly string[]
}

/** @throws Fault */
function entryIn(line: string, place: string, folder: string): Entry {
  let entry: unknown
  try {
    entry = JSON.parse(line)
  } catch (cause) {
    throw new Fault(
      `it is no JSON: ${reasonOf(cause)}. Each line is an object with "image", "sentence" and "mask".`,
    )
  }
  if (!isObject(entry))
    throw new Fault(`it is ${describe(entry)}, expected an object with "image", "sentence" and "mask".`)
  const { kind, mask, ignore } = entry
  const image = textIn(entry, 'image')
  const sentence = textIn(entry, 'sentence')
  if (
    kind !== undefined &&
    kind !== null &&
    (typeof kind !== 'string' || kind.trim() === '' || kind.length > MAX_KIND)
  )
    throw new Fault(`"kind" is ${describe(kind)}, expected a word or two of your own, or nothing.`)
  const truth = truthOf(
    maskOf(mask, '"mask"', folder),
    ignore === undefined || ignore === null ? undefined : maskOf(ignore, '"ignore"', folder),
  )
  const identity = JSON.stringify([resolve(folder, image), sentence, mask, ignore])
  const masks = [mask, ignore].filter((one) => typeof one === 'string').map((path) => resolve(folder, path))
  return { image, sentence, kind: kind ?? undefined, place, truth, identity, masks }
}

/** @throws Fault */
function textIn(entry: Record<string, unknown>, key: string): string {
  const value = entry[key]
  if (typeof value === 'string' && value.trim() !== '') return value
  if (value !== undefined) throw new Fault(`"${key}" is ${describe(value)}, expected a text.`)
  const names = Object.keys(entry).slice(0, 8)
  const there = names.length > 0 ? names.map((name) => quoted(name, 40)).join(', ') : 'nothing'
  throw new Fault(`"${key}" is missing: there is ${printable(there)}. Add it.`)
}
