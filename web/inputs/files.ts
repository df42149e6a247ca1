// Sorts dropped, pasted and chosen files into images, weights and others.

import { chosenFiles } from '../../src/index.ts'
import { RequestError } from '../common/failures.ts'

/** Files by what they can be used for. */
export interface Sorted {
  readonly images: readonly File[]
  readonly weights: readonly File[]
  readonly others: readonly File[]
}

const IMAGE_NAME = /\.(png|jpe?g|jfif|webp|avif|gif|bmp|hei[cf]|tiff?|svg)$/i
/** Other JSON files count as weights only if one of these is present. */
const WEIGHTS_NAME = /\.(safetensors|bin|pth|pt)(\.index\.json)?$|^config\.json$/i

/** With weights, every file that isn't an image belongs to them. Without both, the first file is tried as an image. */
export function sorted(files: readonly File[]): Sorted {
  const isImage = ({ name, type }: File): boolean => type.startsWith('image/') || IMAGE_NAME.test(name)
  const images = files.filter(isImage)
  const rest = files.filter((file) => !isImage(file))
  if (rest.some(({ name }) => WEIGHTS_NAME.test(name))) return { images, weights: rest, others: [] }
  if (images.length === 0) return { images: rest.slice(0, 1), weights: [], others: rest.slice(1) }
  return { images, weights: [], others: rest }
}

/** Files that were dropped onto the page. */
export interface Dropped {
  readonly files: readonly File[]
  /** The files come from a dropped folder. */
  readonly isFolder: boolean
}

/**
 * The files of a drop: those that were dropped, or those in the one folder that was.
 *
 * @param drop read before this returns, as it is empty when its event is over
 */
export async function filesOf(drop: DataTransfer): Promise<Dropped> {
  const items = [...drop.items].filter(({ kind }) => kind === 'file')
  const folders = items.flatMap((item) => {
    const entry = item.webkitGetAsEntry()
    return entry?.isDirectory ? [entry] : []
  })
  if (folders.length === 0) return { files: [...drop.files], isFolder: false }
  if (items.length === 1) return { files: await chosenFiles(drop), isFolder: true }
  throw new RequestError(
    'ERR_DROP',
    folders.length > 1
      ? 'Several folders were dropped. Drop one folder, or files.'
      : 'A folder was dropped together with files. Drop the folder alone, or the files alone.',
  )
}
