// The places that answers go to. Names are chosen, and refused, before anything runs: an output is never an input,
// another output, a folder, or part of a model; and a name that was derived rather than given never replaces a file.

import { constants, existsSync } from 'node:fs'
import { access, realpath, stat } from 'node:fs/promises'
import { basename, dirname, extname, join, resolve } from 'node:path'
import { entryOf } from '../../check.ts'
import { FlowSegError } from '../../errors.ts'
import { isFolder } from '../../make-folders.ts'
import { printable, slug } from '../../printable.ts'
import { UsageError } from '../args.ts'
import { fitted } from '../files.ts'
import { type ImagePlace, parentOf, stemOf } from '../image-files.ts'
import type { Terminal } from './terminal.ts'

/** The options of the user. */
export interface Wanted {
  /** --out: a PNG, or a folder. */
  readonly overlay: string | undefined
  /** --mask: a file, or a folder. */
  readonly mask: string | undefined
  /** The end of the names of masks; '.png' by default. */
  readonly maskExtension?: string
  /** --flow: a folder. */
  readonly flow: string | undefined
}

/** The outputs of one image and one sentence. */
export interface Names {
  /** The picture of the answer, which is always written. */
  readonly overlay: OutputName
  /** The file of the masks; undefined without --mask. */
  readonly mask: OutputName | undefined
  /** The folder of the decoder's pictures; undefined without --flow. */
  readonly flow: string | undefined
}

/** The name of an output file. */
export interface OutputName {
  /** Relative to the user's folder, or absolute. */
  readonly path: string
  /** Derived from the image and the sentence: no file had it, and none is replaced. */
  readonly isDerived: boolean
}

const FULL = 10_000

/**
 * Names for every image and sentence, `[image][sentence]`.
 *
 * @throws UsageError if one file is named for several answers, or for another type than is written
 */
export function namesFor(
  images: readonly ImagePlace[],
  sentences: readonly string[],
  wanted: Wanted,
  { cwd }: Pick<Terminal, 'cwd'>,
): readonly (readonly Names[])[] {
  const isOne = images.length * sentences.length === 1
  const place = (option: string, path: string | undefined, extension: string): Place | undefined =>
    path === undefined
      ? undefined
      : placeOf(option, path, extension, isOne, images.length * sentences.length, cwd)
  const { maskExtension = '.png' } = wanted
  const out: Place = place('out', wanted.overlay, '.png') ?? { folder: '' }
  const mask = place('mask', wanted.mask, maskExtension)
  /** The longest end of a name. */
  const maskEnd = `-mask${maskExtension}`
  const flowOf = (name: string): string | undefined =>
    wanted.flow === undefined ? undefined : isOne ? wanted.flow : join(wanted.flow, name)

  const taken = new Set<string>()
  const labels = labelsOf(images)
  return images.map((_, i) =>
    sentences.map((sentence) => {
      const namesOf = (name: string): Names => ({
        overlay: nameIn(out, `${name}.png`),
        mask: mask && nameIn(mask, `${name}${maskEnd}`),
        flow: flowOf(name),
      })
      const isFree = ({ overlay, mask, flow }: Names): boolean =>
        [overlay, mask, isOne || flow === undefined ? undefined : { path: flow, isDerived: true }].every(
          (one) => !one?.isDerived || (!taken.has(folded(one.path)) && !existsSync(resolve(cwd, one.path))),
        )
      const words = slug(sentence)
      for (let n = 1; n < FULL; n++) {
        const names = namesOf(fitted(entryOf(labels, i), `-${words}${n > 1 ? `-${n}` : ''}`, maskEnd))
        if (!isFree(names)) continue
        for (const one of [names.overlay.path, names.mask?.path, names.flow]) if (one) taken.add(folded(one))
        return names
      }
      throw new FlowSegError(
        'ERR_OUTPUT',
        `There are ${FULL} answers of this name already. Choose another folder with --out.`,
      )
    }),
  )
}

type Place = { readonly file: string } | { readonly folder: string }

function nameIn(place: Place, name: string): OutputName {
  return 'file' in place
    ? { path: place.file, isDerived: false }
    : { path: join(place.folder, name), isDerived: true }
}

/** A file for one answer, a folder for several, or for one if it is there or ends with a slash. */
function placeOf(
  option: string,
  path: string,
  extension: string,
  isOne: boolean,
  count: number,
  cwd: string,
): Place {
  const shown = printable(path)
  if (isFolder(resolve(cwd, path)) || /[/\\]$/.test(path)) return { folder: path }
  if (path.toLowerCase().endsWith(extension)) {
    if (isOne) return { file: path }
    throw new UsageError(
      `--${option} ${shown} is one file, and there are ${count} answers. Give a folder: --${option} ${printable(basename(path, extname(path)))}/`,
    )
  }
  if (isOne || looksLikeFile(path)) {
    const what = extension === '.png' ? 'only PNG is written' : `--${option} writes a file of another format`
    const others = option === 'mask' ? '; --format writes other formats' : ''
    throw new UsageError(`${shown}: ${what}. Let it end in ${extension}, or in / for a folder${others}.`)
  }
  return { folder: path }
}

function looksLikeFile(path: string): boolean {
  return /\.(jpe?g|webp|avif|gif|bmp|tiff?|json|geojson|svg|txt)$/i.test(path)
}

/** 'photo', or 'A-photo' and 'B-photo' where two have one name. */
function labelsOf(images: readonly ImagePlace[]): string[] {
  const stems = images.map(stemOf)
  const count = (stem: string): number => stems.filter((other) => folded(other) === folded(stem)).length
  return images.map((image, i) => {
    const parent = parentOf(image)
    return count(entryOf(stems, i)) > 1 && parent ? `${parent}-${stems[i]}` : entryOf(stems, i)
  })
}

/** Many file systems take names that differ in case, or in how accents are written, for the same. */
function folded(path: string): string {
  return resolve('/', path).normalize('NFC').toLowerCase()
}

/** A file or folder, and what it is: 'the image itself'. */
export interface Known {
  /** Relative to the user's folder, or absolute. */
  readonly path: string
  /** A name for people, as messages have it behind 'would overwrite'. */
  readonly what: string
}

/** Files and folders that no output may touch. */
export interface KeptPaths {
  /** Not to be overwritten. */
  readonly files: readonly Known[]
  /** Not to be written into. */
  readonly folders: readonly Known[]
}

/**
 * Refuses outputs that are an input, or each other, whatever names and links they go by; that are folders, or can't be;
 * and those in protected folders.
 *
 * @throws UsageError, or FlowSegError 'ERR_OUTPUT' where writing isn't allowed
 */
export async function expectApart(
  { files, folders }: KeptPaths,
  outputs: readonly string[],
  { cwd }: Pick<Terminal, 'cwd'>,
): Promise<void> {
  const seen = new Map<string, string>()
  for (const { path, what } of files) seen.set(await identity(resolve(cwd, path)), what)
  const forbidden = new Map<string, string>()
  for (const { path, what } of folders) forbidden.set(await identity(resolve(cwd, path)), what)

  const byPath = new Map<string, string>()
  for (const output of outputs) byPath.set(await realPath(resolve(cwd, output)), output)
  const places = new Map<string, string>()
  for (const output of outputs) {
    const path = resolve(cwd, output)
    const place = await identity(path)
    const other = seen.get(place)
    if (other) throw new UsageError(`${printable(output)} would overwrite ${other}. Choose another name.`)
    seen.set(place, `${printable(output)}, which is also written`)
    const twin = places.get(folded(place))
    if (twin !== undefined) {
      throw new UsageError(
        `${printable(twin)} and ${printable(output)} differ in case only: on many systems they are one file. Choose another name.`,
      )
    }
    places.set(folded(place), output)
    await expectWritable(path, output)
    for (const folder of ancestors(await realPath(path))) {
      const what = forbidden.get(await identity(folder))
      if (what) {
        throw new UsageError(`${printable(output)} would be written into ${what}. Choose another folder.`)
      }
      const file = byPath.get(folder)
      if (file !== undefined) {
        throw new UsageError(
          `${printable(file)} would be a file, and the folder of ${printable(output)}. Choose another name.`,
        )
      }
    }
  }
}

function* ancestors(path: string): Generator<string> {
  for (let at = path; at !== dirname(at); ) {
    at = dirname(at)
    yield at
  }
}

/** Without links, as far as it is there. */
async function realPath(path: string): Promise<string> {
  return realpath(path).catch(async () =>
    path === dirname(path) ? path : join(await realPath(dirname(path)), basename(path)),
  )
}

/** As far as is known before anything is made. */
async function expectWritable(path: string, output: string): Promise<void> {
  const status = await stat(path).catch(() => undefined)
  if (status?.isDirectory()) {
    throw new UsageError(`${printable(output)} is a folder. Choose another name for the file.`)
  }
  // A finished file is moved to its place: that would be the end of a device
  if (status && !status.isFile()) {
    throw new UsageError(
      `${printable(output)} is a device or a pipe, and not replaced by a file. Choose another name.`,
    )
  }
  let folder = dirname(path)
  while (!existsSync(folder) && folder !== dirname(folder)) folder = dirname(folder)
  if (!isFolder(folder)) {
    throw new UsageError(
      `${printable(output)} can't be written: ${printable(folder)} is no folder. Choose another name.`,
    )
  }
  await access(folder, constants.W_OK).catch((cause: unknown) => {
    throw new FlowSegError(
      'ERR_OUTPUT',
      `${printable(output)} can't be written: ${printable(folder)} may not be written to. Choose another folder.`,
      { cause },
    )
  })
}

/**
 * Links, hard links and names that differ in case may be one file: device and inode tell. What isn't there yet
 * is a name in its folder, which may go by several names too.
 */
async function identity(path: string): Promise<string> {
  return stat(path, { bigint: true }).then(
    ({ dev, ino }) => `${dev} ${ino}`,
    async () => (path === dirname(path) ? path : join(await identity(dirname(path)), basename(path))),
  )
}
