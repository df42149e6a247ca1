// Images that the command is given: files, web addresses, and `-`, which is standard input.
//
// Whatever it is, at most MAX_IMAGE_BYTES of it are read. Only regular files are opened: a named pipe may never say a
// word, and a device may never end.

import { basename, dirname, extname } from 'node:path'
import { ImageError, WeightsError } from '../errors.ts'
import { Busy, exchange, Silence, statusOf } from '../io/http/http.ts'
import { isHubPlace } from '../io/http/hub-place.ts'
import { decodeImage, type Image } from '../io/image/image.ts'
import { printable, reasonOf } from '../printable.ts'
import { expectRegularFile, FileProblem, readRegular } from '../regular-file.ts'
import { UsageError } from './args.ts'
import { isUrl, locationOf } from './files.ts'
import type { Terminal } from './output/terminal.ts'

/** Larger files are no photographs. */
const MAX_IMAGE_BYTES = 512 * 2 ** 20

/** The place of an image. */
export interface ImagePlace {
  /** How it is read: from disk, by a request, or from standard input once. */
  readonly kind: 'file' | 'url' | 'stdin'
  /** As it was typed. */
  readonly typed: string
  /** The image's name in messages. */
  readonly name: string
  /** A full path, or an address. */
  readonly location: string
}

/** @throws UsageError if it is an address that can't be read */
export function imagePlace(typed: string, { cwd }: Pick<Terminal, 'cwd'>): ImagePlace {
  if (typed.trim() === '')
    throw new UsageError('The path of an image is empty. Give a file, an address, or - for standard input.')
  const name = printable(typed)
  if (typed === '-') return { kind: 'stdin', typed, name: 'standard input', location: '-' }
  if (isHubPlace(typed)) {
    throw new UsageError(
      `${name} is a place on Hugging Face, from where weights are read. Give an image as a file or by its https: address; ` +
        `a file of this name is ./${name}.`,
    )
  }
  if (isUrl(typed)) {
    const url = URL.canParse(typed) ? new URL(typed) : undefined
    if (!url) throw new UsageError(`${name} is not an address. One looks like https://host/photo.jpg.`)
    if (url.username || url.password) {
      throw new UsageError(
        `The address of the image on ${printable(url.host)} holds a user's name or password, which is not sent. ` +
          'Download the image, and pipe it in as -.',
      )
    }
    return { kind: 'url', typed, name, location: url.href }
  }
  return { kind: 'file', typed, name, location: locationOf(typed, { cwd }) }
}

/**
 * 'photo' of 'A/photo.png': the beginning of an output's name. Nothing invisible in it, and no separator of any system.
 */
export function stemOf({ kind, location }: ImagePlace): string {
  if (kind === 'stdin') return 'stdin'
  const path = kind === 'url' ? new URL(location).pathname : location
  const name = basename(path, extname(path))
  return plainName(kind === 'url' ? decoded(name) : name) || (kind === 'url' ? sourceOf(location) : 'image')
}

/** 'A' of 'A/photo.png', or the host of an address: what tells images of one name apart. */
export function parentOf({ kind, location }: ImagePlace): string {
  if (kind === 'stdin') return ''
  return kind === 'url' ? sourceOf(location) : plainName(basename(dirname(location)))
}

function sourceOf(address: string): string {
  return plainName(new URL(address).hostname)
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function plainName(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}/\\:*?"<>|]+/gu, '-').replace(/^[-.]+/, '')
}

/**
 * Checks that an image can be read, as far as that is known without reading it.
 *
 * @throws ImageError
 */
export async function expectReadable(place: ImagePlace): Promise<void> {
  if (place.kind !== 'file') return
  await naming(place, expectRegularFile(place.location, MAX_IMAGE_BYTES))
}

/** @throws ImageError that names the image */
export async function readImage(place: ImagePlace, terminal: Terminal): Promise<Image> {
  const read = { file: readFile, url: download, stdin: readInput }[place.kind]
  return decodeImage(await read(place, terminal), { name: place.name, signal: terminal.signal })
}

function readFile(place: ImagePlace, { signal }: Terminal): Promise<Uint8Array> {
  return naming(place, readRegular(place.location, MAX_IMAGE_BYTES, signal))
}

async function naming<T>({ name, typed }: ImagePlace, task: Promise<T>): Promise<T> {
  try {
    return await task
  } catch (cause) {
    if (!(cause instanceof FileProblem)) throw cause
    if (cause.kind === 'missing') {
      const remedy = /[*?]/.test(typed) ? 'No file matches this pattern.' : 'Check the path.'
      throw new ImageError(`There is no image ${name}. ${remedy}`, { cause })
    }
    const hint = cause.kind === 'special' ? ' To pipe an image in, give - instead.' : ''
    throw new ImageError(`${name} ${cause.message}.${hint}`, { cause })
  }
}

function readInput(place: ImagePlace, { in: input, signal }: Terminal): Promise<Uint8Array> {
  if (!input || input.isTTY) {
    throw new UsageError('There is no image on standard input: pipe one in, as in `flowseg ... < photo.png`.')
  }
  return gather(place, input.read(signal), signal)
}

/**
 * An image from the web.
 *
 * @param silenceMs for tests
 * @throws ImageError if the server refuses, sends too much, or nothing for a while
 */
export async function download(
  place: ImagePlace,
  { signal }: Pick<Terminal, 'signal'>,
  silenceMs?: number,
): Promise<Uint8Array> {
  const { name, location } = place
  try {
    return await exchange({ url: location }, { signal, silenceMs }, async ({ response, pieces }) => {
      if (!response.ok) {
        throw new ImageError(`${name}: the server answers ${statusOf(response)}. Check the address.`)
      }
      const length = Number(response.headers.get('content-length') ?? 0)
      if (length > MAX_IMAGE_BYTES) throw tooLarge(name, length)
      return gather(place, pieces(), signal)
    })
  } catch (cause) {
    signal.throwIfAborted()
    if (cause instanceof ImageError) throw cause
    if (cause instanceof WeightsError) throw new ImageError(cause.message, { cause }) // a redirect that isn't followed
    throw new ImageError(
      cause instanceof Busy
        ? `${name}: the server answers ${cause.status}. Try again later.`
        : cause instanceof Silence
          ? `${name}: ${cause.message}. Try again later.`
          : `${name} can't be downloaded: ${reasonOf(cause)}. Check the address and the connection.`,
      { cause },
    )
  }
}

/** All bytes, unless they are too many. */
async function gather(
  { name }: ImagePlace,
  stream: AsyncIterable<unknown>,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  let length = 0
  for await (const piece of stream as AsyncIterable<Uint8Array>) {
    signal.throwIfAborted()
    length += piece.length
    if (length > MAX_IMAGE_BYTES) throw tooLarge(name)
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}

function tooLarge(name: string, bytes?: number): ImageError {
  if (bytes === undefined)
    return new ImageError(`${name} has more than the ${MAX_IMAGE_BYTES} bytes that an image may have.`)
  return new ImageError(`${name} has ${bytes} bytes; such a file may have ${MAX_IMAGE_BYTES}.`)
}
