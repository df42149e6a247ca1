// Checks the files of a data set before anything runs: whether each image is there, can be read, and is as large as its
// masks. Headers have all of it; faults behind them are reported when an image's turn comes.

import { ImageError } from '../errors.ts'
import { decodeOwn, decodeStored, type Image, sizeOfImage } from '../io/image/image.ts'
import type { Size } from '../io/image/image-kind.ts'
import { printable } from '../printable.ts'
import { FileProblem, readRegular } from '../regular-file.ts'
import { Fault, Faults } from './faults.ts'
import type { Picture } from './own-data.ts'

/** Larger files are no photographs. */
const MAX_IMAGE_BYTES = 512 * 2 ** 20

/**
 * Checks the files of pictures.
 *
 * @param name the data set, as the user typed it
 * @param onPicture is called before each
 * @throws FlowSegError 'ERR_DATASET' naming the places of the first faults
 */
export async function checkFiles(
  pictures: readonly Picture[],
  name: string,
  onPicture: (index: number, picture: Picture) => void,
  signal: AbortSignal,
): Promise<void> {
  const faults = new Faults(name)
  for (const [i, picture] of pictures.entries()) {
    onPicture(i, picture)
    const size = await faulty(faults, picture.place, () => sizeOfPicture(picture, signal))
    if (!size) continue
    for (const { place, truth } of picture.questions) {
      await faulty(faults, place, async () => {
        for (const own of await truth.sizes()) expectSame(own.size, size, own.what, picture)
      })
    }
  }
  faults.expectNone()
}

async function faulty<T>(faults: Faults, place: string, step: () => Promise<T>): Promise<T | undefined> {
  try {
    return await step()
  } catch (error) {
    if (!(error instanceof Fault) && !(error instanceof ImageError)) throw error
    faults.add(place, error.message)
    return undefined
  }
}

/** @throws Fault, ImageError */
async function sizeOfPicture(picture: Picture, signal: AbortSignal): Promise<Size> {
  const size = sizeOfImage(await imageFile(picture, signal), { name: picture.name }, picture.isStored)
  if (picture.size) expectSame(picture.size, size, 'its entry in instances.json', picture)
  return size
}

/** @throws Fault */
function expectSame(own: Size, { width, height }: Size, what: string, picture: Picture): void {
  if (own.width === width && own.height === height) return
  const isTurned = own.width === height && own.height === width
  const remedy = isTurned
    ? 'Perhaps one of them is turned: images are taken ' +
      (picture.isStored ? 'as their files store them.' : 'upright, as EXIF says.')
    : 'Both must have the same size.'
  throw new Fault(
    `${printable(picture.name)} has ${width} x ${height} pixels, and ${what} ${own.width} x ${own.height}. ${remedy}`,
  )
}

/** @throws Fault */
async function imageFile({ path, name }: Picture, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return await readRegular(path, MAX_IMAGE_BYTES, signal)
  } catch (cause) {
    if (!(cause instanceof FileProblem)) throw cause
    const remedy = cause.kind === 'missing' ? ' Paths begin in the folder of the file that has them.' : ''
    throw new Fault(`the image ${printable(name)} ${cause.message}.${remedy}`, { cause })
  }
}

/**
 * The pixels of a picture.
 *
 * @throws Fault, ImageError
 */
export async function readPicture(picture: Picture, signal: AbortSignal): Promise<Image> {
  const bytes = await imageFile(picture, signal)
  const options = { name: picture.name, signal }
  return picture.isStored ? decodeStored(bytes, options) : decodeOwn(bytes, options)
}
