// Folders of RefCOCO, RefCOCO+ and RefCOCOg, as their tool `refer` has them:
//
//   refs(unc).p      or refs(unc).json: [{ref_id, ann_id, image_id, split, sentences: [{sent_id, sent}]}]
//   instances.json   {images: [{id, file_name, width, height}], annotations: [{id, image_id, area, segmentation}]}
//
// A sentence counts once per annotation, in whatever case it is written. Sentences about an image are in the order of
// their ids. The masks lie on pixels as the files store them. `kind` in a sentence, if it is there, is kept.
//
// Source: Yu et al. 2016, "Modeling Context in Referring Expressions", and the tool that they published with it.

import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { basename, dirname, extname, join, resolve } from 'node:path'
import { describe, isObject, listed } from '../check.ts'
import { printable } from '../printable.ts'
import { damagedData, Fault, Faults } from './faults.ts'
import { ListFiles } from './list-files.ts'
import { maskOf } from './mask-forms.ts'
import { type DataQuestion, type MaskSource, type OwnData, type Picture, truthOf } from './own-data.ts'
import { plainPickle } from './plain-pickle.ts'

const INSTANCES = 'instances.json'
const REFS = /^refs.*\.(p|json)$/

/** The choices that a folder leaves open. */
export interface RefcocoOptions {
  /** 'testA'; undefined where there is one split only. */
  readonly split: string | undefined
  /** The folder of the images; undefined to look where they usually are. */
  readonly images: string | undefined
}

/** True if a path is a folder in the layout of RefCOCO, or the file of references in one. */
export function looksLikeRefcoco(path: string): boolean {
  const folder = REFS.test(basename(path)) ? dirname(path) : path
  return existsSync(join(folder, INSTANCES))
}

/**
 * Lists the sentences of a split.
 *
 * @param path the folder, or its file of references where there are several
 * @param name the same as the user typed it
 * @throws FlowSegError 'ERR_DATASET'
 */
export async function listRefcoco(
  path: string,
  name: string,
  { split, images }: RefcocoOptions,
  signal: AbortSignal,
): Promise<OwnData> {
  const files = new ListFiles(name, signal)
  const refsPath = REFS.test(basename(path)) ? path : await findRefs(path, name)
  const folder = dirname(refsPath)
  const refs = await readRefs(files, refsPath, name)
  const chosen = inSplit(refs, split, name)
  const instances = await readInstances(
    files,
    join(folder, INSTANCES),
    name,
    new Set(chosen.map(({ image }) => image)),
  )

  const faults = new Faults(name)
  const pictures = new Map<
    number,
    Picture & { readonly questions: (DataQuestion & { readonly id: number })[] }
  >()
  const seen = new Set<string>()
  let repeated = 0
  let place: string | undefined
  for (const ref of chosen) {
    const at = `reference ${ref.id}`
    faults.take(at, () => {
      const image = instances.images.get(ref.image)
      if (!image) throw new Fault(`${INSTANCES} has no image ${ref.image}. Are both files of one data set?`)
      const objects = instances.annotations.get(ref.image) ?? []
      const object = objects.find(({ id }) => id === ref.annotation)
      if (!object) throw new Fault(`${INSTANCES} has no annotation ${ref.annotation} of image ${ref.image}.`)
      const truth = truthOf(maskIn(object, folder))
      place ??= placeOfImages(folder, images, image.file, name)
      let picture = pictures.get(ref.image)
      if (!picture) {
        picture = {
          name: image.file,
          path: join(place, image.file),
          isStored: true,
          size: { width: image.width, height: image.height },
          place: `image ${ref.image}`,
          questions: [],
          largest: largestOf(objects, folder),
        }
        pictures.set(ref.image, picture)
      }
      for (const { id, text, kind } of ref.sentences) {
        const key = `${ref.annotation} ${text.toLowerCase()}`
        if (seen.has(key)) repeated++
        else picture.questions.push({ id, sentence: text, kind, place: at, truth })
        seen.add(key)
      }
    })
  }
  faults.expectNone()
  for (const { questions } of pictures.values()) questions.sort((a, b) => a.id - b.id)
  const notes =
    repeated > 0 ? [`${repeated} sentences repeat another about the same object, and count once.`] : []
  const listing = [...pictures.values()].filter(({ questions }) => questions.length > 0)
  return {
    layout: 'RefCOCO',
    pictures: listing,
    fingerprint: `${files.fingerprint} ${split ?? chosen[0]?.split}`,
    notes,
    files: files.paths,
  }
}

/**
 * The mask of an annotation. COCO has polygons of one or two points beside good ones: they cover nothing, and are left
 * out.
 *
 * @throws Fault
 */
function maskIn({ id, segmentation }: Annotation, folder: string): MaskSource {
  const isPolygon = (one: unknown): boolean => !Array.isArray(one) || one.length >= 6
  const polygons: unknown[] = Array.isArray(segmentation) ? segmentation.filter(isPolygon) : []
  return maskOf(polygons.length > 0 ? polygons : segmentation, `the mask of annotation ${id}`, folder)
}

/** The mask of the largest object that has a sound one. */
function largestOf(objects: readonly Annotation[], folder: string): MaskSource | undefined {
  for (const object of objects.toSorted((a, b) => b.area - a.area)) {
    try {
      return maskIn(object, folder)
    } catch (error) {
      if (!(error instanceof Fault)) throw error
    }
  }
  return undefined
}

async function findRefs(folder: string, name: string): Promise<string> {
  const names = (await readdir(folder)).filter((file) => REFS.test(file)).sort()
  // The same references, converted: JSON is read faster
  const stems = [...new Set(names.map((file) => basename(file, extname(file))))]
  const [stem] = stems
  if (stem === undefined)
    throw damagedData(
      name,
      `${INSTANCES} has no references beside it: refs(unc).p, or refs(unc).json, is missing.`,
    )
  if (stems.length > 1) {
    throw damagedData(
      name,
      `it has several files of references: ${listed(names)}. Name one: flowseg eval "${printable(join(name, names[0] ?? ''))}".`,
    )
  }
  return join(folder, names.includes(`${stem}.json`) ? `${stem}.json` : `${stem}.p`)
}

/** The images' folder: the one that is named, or the first usual one that has this file. */
function placeOfImages(folder: string, images: string | undefined, file: string, name: string): string {
  if (images !== undefined) return images
  const usual = ['images', '.', '../images/mscoco/images/train2014', '../images/train2014', '../train2014']
  const place = usual.map((path) => resolve(folder, path)).find((path) => existsSync(join(path, file)))
  if (place !== undefined) return place
  throw damagedData(
    name,
    `there is no image ${printable(file)} in ${listed(usual.slice(0, 3), 'or')}. Name the folder of the images: --images DIR.`,
  )
}

// ---------------------------------------------------------------------------------------------------------
// References

interface Ref {
  readonly id: number
  readonly image: number
  readonly annotation: number
  readonly split: string
  readonly sentences: readonly {
    readonly id: number
    readonly text: string
    readonly kind: string | undefined
  }[]
}

async function readRefs(files: ListFiles, path: string, name: string): Promise<Ref[]> {
  const file = printable(basename(path))
  const root = path.endsWith('.p')
    ? await plainPickle(await files.bytes(path, file), (fault) => damagedData(name, `${file}: ${fault}`))
    : await files.json(path, file)
  if (!Array.isArray(root) || root.length === 0)
    throw damagedData(
      name,
      `${file} is ${Array.isArray(root) ? 'an empty list' : describe(root)}, expected a list of references.`,
    )
  const faults = new Faults(name)
  const refs = root.flatMap((value: unknown, i) => {
    const ref = faults.take(`entry ${i + 1} of ${file}`, () => refOf(value))
    return ref ? [ref] : []
  })
  faults.expectNone()
  return refs
}

/** @throws Fault */
function refOf(value: unknown): Ref {
  const ref = expectObject(value, 'it')
  const { split, sentences } = ref
  if (typeof split !== 'string')
    throw new Fault(`"split" is ${describe(split)}, expected a text such as "val".`)
  if (!Array.isArray(sentences)) throw new Fault(`"sentences" is ${describe(sentences)}, expected a list.`)
  return {
    id: idIn(ref, 'ref_id'),
    image: idIn(ref, 'image_id'),
    annotation: idIn(ref, 'ann_id'),
    split,
    sentences: sentences.map((one: unknown) => {
      const sentence = expectObject(one, 'a sentence')
      const { sent, kind } = sentence
      if (typeof sent !== 'string' || sent.trim() === '')
        throw new Fault(`"sent" of a sentence is ${describe(sent)}, expected its words.`)
      return { id: idIn(sentence, 'sent_id'), text: sent, kind: typeof kind === 'string' ? kind : undefined }
    }),
  }
}

/** 'testA' is the split of objects whose own split has an A, 'test' all that begin so, as in `refer`. */
function inSplit(refs: readonly Ref[], split: string | undefined, name: string): readonly Ref[] {
  const splits = [...new Set(refs.map((ref) => ref.split))]
  if (split === undefined && splits.length === 1) return refs
  const there = `It has ${listed(splits.slice(0, 12))}.`
  if (split === undefined) throw damagedData(name, `which split? ${there} Choose one with --split.`)
  const wanted = (own: string): boolean =>
    own === split ||
    (split === 'test' && own.includes('test')) ||
    (/^test[A-C]$/.test(split) && /^test[A-C]+$/.test(own) && own.slice(4).includes(split.slice(4)))
  const chosen = refs.filter((ref) => wanted(ref.split))
  if (chosen.length === 0) throw damagedData(name, `there is no split ${printable(split)}. ${there}`)
  return chosen
}

// ---------------------------------------------------------------------------------------------------------
// Instances

interface CocoInstances {
  readonly images: ReadonlyMap<
    number,
    { readonly file: string; readonly width: number; readonly height: number }
  >
  /** By image. */
  readonly annotations: ReadonlyMap<number, readonly Annotation[]>
}

interface Annotation {
  readonly id: number
  readonly area: number
  /** In any form of COCO; drawn only if a sentence means it. */
  readonly segmentation: unknown
}

/** @param wanted images; the others aren't looked at */
async function readInstances(
  files: ListFiles,
  path: string,
  name: string,
  wanted: ReadonlySet<number>,
): Promise<CocoInstances> {
  const root = await files.json(path, INSTANCES)
  const { images, annotations } = isObject(root) ? root : {}
  if (!Array.isArray(images) || !Array.isArray(annotations))
    throw damagedData(
      name,
      `${INSTANCES} lacks "images" or "annotations". It is that of \`refer\`, in COCO's form.`,
    )

  const faults = new Faults(name)
  const known = new Map<number, { file: string; width: number; height: number }>()
  for (const [i, value] of images.entries()) {
    faults.take(`image ${i + 1} of ${INSTANCES}`, () => {
      const image = expectObject(value, 'it')
      const id = idIn(image, 'id')
      if (!wanted.has(id)) return
      const { file_name: file } = image
      if (typeof file !== 'string' || file === '')
        throw new Fault(`"file_name" is ${describe(file)}, expected a name.`)
      known.set(id, { file, width: idIn(image, 'width'), height: idIn(image, 'height') })
    })
  }
  const byImage = new Map<number, Annotation[]>()
  for (const [i, value] of annotations.entries()) {
    faults.take(`annotation ${i + 1} of ${INSTANCES}`, () => {
      const annotation = expectObject(value, 'it')
      const image = idIn(annotation, 'image_id')
      if (!wanted.has(image)) return
      const { area, segmentation } = annotation
      if (typeof area !== 'number')
        throw new Fault(`"area" is ${describe(area)}, expected a number of pixels.`)
      const list = byImage.get(image) ?? []
      list.push({ id: idIn(annotation, 'id'), area, segmentation })
      byImage.set(image, list)
    })
  }
  faults.expectNone()
  return { images: known, annotations: byImage }
}

/** @throws Fault */
function expectObject(value: unknown, what: string): Record<string, unknown> {
  if (isObject(value)) return value
  throw new Fault(`${what} is ${describe(value)}, expected an object.`)
}

/** @throws Fault */
function idIn(value: Record<string, unknown>, key: string): number {
  const id = value[key]
  if (Number.isSafeInteger(id)) return Number(id)
  throw new Fault(`"${key}" is ${describe(id)}, expected a whole number.`)
}
