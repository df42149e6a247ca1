// Folders of ReasonSeg: photo.jpg and photo.json side by side.
//
//   {"text": ["the part that ..."], "is_sentence": true, "shapes": [{"label": "target", "points": [[x, y], ...]}]}
//
// Each question of `text` is a sentence. Shapes are painted from the largest to the smallest, so that a small one that
// is to be ignored stays on a large target; "flag" shapes mean nothing. Photographs without a target are left out.
//
// Source: Lai et al. 2024, "LISA: Reasoning Segmentation via Large Language Model", and the data's own description.

import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, isObject } from '../check.ts'
import { printable } from '../printable.ts'
import { damagedData, Fault, Faults } from './faults.ts'
import { ListFiles } from './list-files.ts'
import { isCoordinate } from './mask-forms.ts'
import { fillOutline } from './outline.ts'
import type { OwnData, Picture, TruthSource } from './own-data.ts'

/** True if a folder has a photograph with a JSON file of the same name beside it. */
export function looksLikeReasonSeg(folder: string): boolean {
  return readdirSync(folder).some((file) => file.endsWith('.json') && existsSync(join(folder, photoOf(file))))
}

/**
 * Lists the questions of a folder, in the order of its files' names.
 *
 * @param name the folder, as the user typed it
 * @throws FlowSegError 'ERR_DATASET' naming the files with faults
 */
export async function listReasonSeg(folder: string, name: string, signal: AbortSignal): Promise<OwnData> {
  const files = new ListFiles(name, signal)
  const faults = new Faults(name)
  const pictures: Picture[] = []
  let empty = 0
  const listings = readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .sort()
  for (const file of listings) {
    const place = printable(file)
    const json = await files.json(join(folder, file), place, ['windows-1252']) // some files are of Windows
    faults.take(place, () => {
      const { texts, kind, shapes } = listingOf(json)
      if (!shapes.some(({ isIgnored }) => !isIgnored)) {
        empty++
        return
      }
      const truth = paintedTruth(shapes)
      const photo = photoOf(file)
      const questions = texts.map((sentence) => ({ sentence, kind, place, truth }))
      const path = join(folder, photo)
      pictures.push({
        name: photo,
        path,
        isStored: false,
        size: undefined,
        place,
        questions,
        largest: undefined,
      })
    })
  }
  faults.expectNone()
  if (pictures.length === 0) throw damagedData(name, 'no photograph in it has a question with a target.')
  const notes =
    empty > 0 ? [`${empty} of ${listings.length} photographs have no target, and are left out.`] : []
  return { layout: 'ReasonSeg', pictures, fingerprint: files.fingerprint, notes, files: files.paths }
}

function photoOf(file: string): string {
  return file.replace(/json$/, 'jpg')
}

interface LabelledShape {
  readonly isIgnored: boolean
  readonly points: readonly (readonly [x: number, y: number])[]
}

/** @throws Fault */
function listingOf(json: unknown): { texts: string[]; kind: string | undefined; shapes: LabelledShape[] } {
  if (!isObject(json))
    throw new Fault(`it is ${describe(json)}, expected an object with "text" and "shapes".`)
  const { text, is_sentence: isSentence, shapes } = json
  const texts: unknown[] = Array.isArray(text) ? text : [text]
  const isText = (one: unknown): one is string => typeof one === 'string' && one.trim() !== ''
  if (texts.length === 0 || !texts.every(isText))
    throw new Fault(`"text" is ${describe(text)}, expected a list of questions.`)
  if (!Array.isArray(shapes)) throw new Fault(`"shapes" is ${describe(shapes)}, expected a list.`)
  const kind = typeof isSentence === 'boolean' ? (isSentence ? 'sentence' : 'phrase') : undefined
  return { texts, kind, shapes: shapes.flatMap((shape: unknown, i) => shapeOf(shape, `shape ${i + 1}`)) }
}

/** @throws Fault */
function shapeOf(value: unknown, what: string): LabelledShape[] {
  const { label, points } = isObject(value) ? value : {}
  if (typeof label !== 'string')
    throw new Fault(`the "label" of ${what} is ${describe(label)}, expected a text.`)
  const word = label.toLowerCase()
  if (word === 'flag') return []
  const isPoint = (point: unknown): boolean =>
    Array.isArray(point) && point.length === 2 && point.every(isCoordinate)
  if (!Array.isArray(points) || points.length === 0 || !points.every(isPoint))
    throw new Fault(`the "points" of ${what} are ${describe(points)}, expected [[x, y], ...].`)
  return [{ isIgnored: word.includes('ignore'), points: points as [number, number][] }]
}

/** Painted anew per image size: the areas that decide their order are those inside the image. */
function paintedTruth(shapes: readonly LabelledShape[]): TruthSource {
  return {
    sizes: async () => [],
    read: async (size) => {
      const painted = shapes.map(({ isIgnored, points }) => {
        const pixels = fillOutline(points, size)
        return { isIgnored, pixels, area: pixels.reduce((sum, pixel) => sum + pixel, 0) }
      })
      // If two are as large, the later one is painted first
      const order = painted.toSorted((a, b) => a.area - b.area).toReversed()
      const mask = new Uint8Array(size.width * size.height)
      const ignored = new Uint8Array(mask.length)
      for (const { isIgnored, pixels } of order) {
        for (const [i, pixel] of pixels.entries()) {
          if (pixel === 0) continue
          mask[i] = isIgnored ? 0 : 1
          ignored[i] = isIgnored ? 1 : 0
        }
      }
      return { mask, ignored }
    },
  }
}
