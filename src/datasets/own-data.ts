// Data of one's own to measure a model on: images, sentences about them, and the pixels that each sentence means.
//
// A data set is listed before anything runs (json-lines.ts, refcoco.ts, reasonseg.ts), and every fault of its files is
// collected (faults.ts). The files of the images that will be used are then checked by their headers (check-files.ts).
// Pixels are read last, one image at a time, when its turn has come.

import type { Size } from '../io/image/image-kind.ts'

/** The layouts that are read. */
export type DataLayout = 'JSON Lines' | 'RefCOCO' | 'ReasonSeg'

/** The listing of a data set: images, sentences and masks by reference, without any pixels. */
export interface OwnData {
  /** The layout that its files turned out to have. */
  readonly layout: DataLayout
  /** In the order in which the data set lists them. */
  readonly pictures: readonly Picture[]
  /** SHA-256 of the files that list it, to tell it from another data set. */
  readonly fingerprint: string
  /** Things that a person should know: how many entries were left out, and why. */
  readonly notes: readonly string[]
  /** The full paths of its files besides the images: those that list it, and masks. */
  readonly files: readonly string[]
}

/** An image, and the sentences about it. */
export interface Picture {
  /** The path of its file, as the data set has it. */
  readonly name: string
  /** The full path. */
  readonly path: string
  /** The pixels are taken as the file stores them, whatever EXIF says of the way up: masks were drawn on those. */
  readonly isStored: boolean
  /** The size that the data set claims; the file must agree. */
  readonly size: Size | undefined
  /** The place that names it, for messages: 'line 3'. */
  readonly place: string
  /** In the data set's own order: of lines, or of ids. */
  readonly questions: readonly DataQuestion[]
  /** The largest object of the image, where the data set lists objects. */
  readonly largest: MaskSource | undefined
}

/** A sentence, and its answer. */
export interface DataQuestion {
  /** As the data set has it, in its case and with its punctuation. */
  readonly sentence: string
  /** The data set's own word for sentences of this sort. */
  readonly kind: string | undefined
  /** For messages: 'line 3'. */
  readonly place: string
  /** The pixels that the sentence means, read when the image's turn has come. */
  readonly truth: TruthSource
}

/** The pixels that a sentence means, 1 or 0 each, and those that count neither as right nor as wrong. */
export interface TruthMask {
  /** [height, width] */
  readonly mask: Uint8Array
  /** [height, width] */
  readonly ignored: Uint8Array | undefined
}

/** An answer that has not been drawn yet. */
export interface TruthSource {
  /** Sizes that it has whatever the image has, each with the name of what has it. Files are opened for that. */
  sizes(): Promise<readonly { readonly what: string; readonly size: Size }[]>
  /**
   * @param size the image's
   * @throws FlowSegError 'ERR_DATASET'
   */
  read(size: Size, signal: AbortSignal): Promise<TruthMask>
}

/** A mask that has not been drawn yet. */
export interface MaskSource {
  /** Undefined if it takes the image's. */
  size(): Promise<Size | undefined>
  /** [height, width] of the image, 1 or 0 per pixel. @throws FlowSegError 'ERR_DATASET' */
  read(size: Size, signal: AbortSignal): Promise<Uint8Array>
}

/** A mask, and perhaps one of pixels that don't count. */
export function truthOf(mask: MaskSource, ignored?: MaskSource): TruthSource {
  const parts = [
    { what: 'the mask', source: mask },
    ...(ignored ? [{ what: 'the ignored part', source: ignored }] : []),
  ]
  return {
    async sizes() {
      const sizes = []
      for (const { what, source } of parts) {
        const size = await source.size()
        if (size) sizes.push({ what, size })
      }
      return sizes
    },
    async read(size, signal) {
      return { mask: await mask.read(size, signal), ignored: await ignored?.read(size, signal) }
    },
  }
}
