// Commands that ask one image something, and write a picture of the answer: everything around the question itself.

import { openFolder, readJson } from '../../io/folder.ts'
import { encodePng, type Image } from '../../io/image/image.ts'
import { type Config, parseConfig } from '../../model/checkpoint/config.ts'
import { type TaskName } from '../../model/checkpoint/task-config.ts'
import type { FlowSeg, Scene } from '../../model/flowseg.ts'
import { expectTask } from '../../model/tasks/expect-task.ts'
import type { TaskOptions } from '../../progress.ts'
import { type Given, type Options, SHARED } from '../args.ts'
import { Drafts } from '../files.ts'
import { expectReadable, type ImagePlace, imagePlace, readImage } from '../image-files.ts'
import { askOptions, inputsOf, loadModel, MODEL_OPTIONS } from '../model.ts'
import { modelSource } from '../model-folder.ts'
import { introduce } from '../output/knows.ts'
import { type Labelled, legend } from '../output/legend.ts'
import {
  type Answered,
  extensionOf,
  FORMAT_NAMES,
  FORMAT_OPTION,
  type MaskFormatName,
  maskFile,
  maskFormatOf,
  type WrittenObject,
} from '../output/mask-formats.ts'
import { expectApart, type Known, type Names, namesFor } from '../output/outputs.ts'
import { ProgressLine } from '../output/progress-line.ts'
import type { Terminal } from '../output/terminal.ts'

/** The options of these commands. */
export const IMAGE_OPTIONS = {
  out: { value: 'FILE', help: 'the picture of the answer, with a legend; by default IMAGE-WORDS.png, here' },
  mask: {
    value: 'FILE',
    help: 'also write the masks, by default as one PNG with a palette: 0 is none, 1 the first, and so on; the first on top',
  },
  format: FORMAT_OPTION,
  padding: MODEL_OPTIONS.padding,
  compat: MODEL_OPTIONS.compat,
  config: MODEL_OPTIONS.config,
  weights: SHARED.weights,
  quantize: SHARED.quantize,
  adapter: SHARED.adapter,
  'no-tune': SHARED['no-tune'],
  json: SHARED.json,
} as const satisfies Options

/** An image that was looked at, and where answers about it go. */
export interface Looked {
  /** The operand that names the image, and where that is. */
  readonly place: ImagePlace
  /** Its pixels, upright. */
  readonly image: Image
  /** The model, which is closed once `use` returns. */
  readonly model: FlowSeg
  /** The scene of the image, closed with the model. */
  readonly scene: Scene
  /** The line to clear before results are written. */
  readonly progress: ProgressLine
  /** Progress and Ctrl-C, to be passed to each question. */
  readonly task: TaskOptions
  /** The files of the picture and the masks, checked already. */
  readonly names: Names
  /** What is written where `names` has a mask. */
  readonly format: MaskFormatName
  /** The command's streams, folder and signal. */
  readonly terminal: Terminal
}

/** A question about one image. */
export interface OneImage {
  /** The operand that names the image. */
  readonly typed: string
  /** The words of the name of the picture. */
  readonly words: string
  /** The tasks that the checkpoint must have been trained on. */
  readonly tasks: readonly TaskName[]
  /** Checks the question against config and image before the weights are loaded; throws if it is refused. */
  readonly check?: ((config: Config, image: Image) => void) | undefined
  /** Whether it is asked in words. */
  readonly isInWords: boolean
  /** Files that the question is read from. */
  readonly inputs?: readonly Known[]
}

/**
 * Reads the image, loads the model and looks, and closes what was opened. What can be known to fail, fails before
 * anything large is loaded.
 *
 * @returns what `use` returns: the exit code
 */
export async function askOneImage(
  args: Given,
  terminal: Terminal,
  { typed, words, tasks, check, isInWords, inputs = [] }: OneImage,
  use: (looked: Looked) => Promise<number>,
): Promise<number> {
  const place = imagePlace(typed, terminal)
  const { look } = askOptions(args)
  const mask = args.text('mask')
  const format = maskFormatOf(args.oneOf('format', FORMAT_NAMES), mask)
  const wanted = { overlay: args.text('out'), mask, flow: undefined, maskExtension: extensionOf(format) }
  const names = namesFor([place], [words], wanted, terminal)[0]?.[0]
  if (!names) throw new Error('namesFor: one image and one question have no names')
  await expectReadable(place)
  const image = await readImage(place, terminal)
  const config = await configOf(args, terminal)
  for (const task of tasks) expectTask(config, task)
  check?.(config, image)
  const files = place.kind === 'file' ? [{ path: place.location, what: 'the image itself' }] : []
  const outputs = [names.overlay.path, ...(names.mask ? [names.mask.path] : [])]
  await expectApart(inputsOf(args, terminal, [...files, ...inputs]), outputs, terminal)

  const progress = new ProgressLine(terminal)
  const model = await loadModel(args, terminal, progress)
  introduce(config, args, terminal, isInWords)
  try {
    const task = { onProgress: progress.on, signal: terminal.signal }
    const scene = await model.look(image, { ...task, ...look })
    return await use({ place, image, model, scene, progress, task, names, format, terminal })
  } finally {
    progress.clear()
    model.close()
  }
}

async function configOf(args: Given, terminal: Terminal): Promise<Config> {
  const folder = openFolder(modelSource(args, terminal))
  const json = await readJson(folder, 'config.json', terminal.signal)
  return parseConfig(json, `${folder.describe}/config.json`)
}

/** The files of an answer, as `--json` has them. */
export interface AnswerFiles {
  /** The path of the picture; null if there was nothing to show. */
  readonly overlay: string | null
  /** The path of the masks; null if nobody asked for them. */
  readonly mask: string | null
}

/** An object in the picture and in the file of masks. */
export interface FoundObject extends Labelled, WrittenObject {
  /** In the size of the image, on the host. */
  readonly mask: Labelled['mask']
}

/**
 * Writes the picture of these objects, if there are any, and their masks, if asked for: without objects a file that has
 * none, as every format can say it.
 *
 * @param written the masks, where they aren't those of the list
 */
export async function writeObjects(
  { place, image, names, format, terminal }: Looked,
  objects: readonly FoundObject[],
  written: Pick<Answered, 'objects' | 'all'> = { objects, all: true },
): Promise<AnswerFiles & { readonly picture: Image }> {
  const picture = legend(image, objects)
  const drafts = new Drafts(terminal)
  const { overlay, mask } = names
  const contents = (): Uint8Array | string => maskFile(format, { image, name: place.typed, ...written })
  const files = {
    overlay: objects.length > 0 ? drafts.add(overlay.path, encodePng(picture), overlay.isDerived) : null,
    mask: mask ? drafts.add(mask.path, contents(), mask.isDerived) : null,
  }
  await drafts.commit()
  return { picture, ...files }
}
