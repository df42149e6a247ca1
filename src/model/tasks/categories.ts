// A list of categories about an image that was looked at: one prompt and one pass of the decoder for all of them, then
// a semantic, an instance or a panoptic map (spec of the tasks, section 2).

import { entryOf } from '../../check.ts'
import { UsageError } from '../../errors.ts'
import {
  expectOptions,
  FLAG,
  type OptionKind,
  type OptionKinds,
  oneOf,
  SHARE,
  TASK_KINDS,
  TEXT,
} from '../../options.ts'
import type { TaskOptions } from '../../progress.ts'
import { callScene } from '../calls.ts'
import {
  type Category,
  type CategoryKind,
  type CategoryList,
  type CategoryWording,
  categoriesPrompt,
  readCategories,
  shuffled,
} from '../input/categories.ts'
import { roomAfterImage } from '../input/prompt.ts'
import type { LoadedModel } from '../load.ts'
import type { SceneState } from '../look.ts'
import type { CategoryAnswers, CategoryFlow, CategoryMode, CategoryRows } from '../output/answers.ts'
import { classProbabilities } from '../output/classes.ts'
import { categoryMap } from '../output/maps.ts'
import { flowLayers } from '../segmentation.ts'
import { type Decoded, decode } from './decode.ts'
import { expectTask } from './expect-task.ts'

/** Options of {@link Scene.segmentCategories}. */
export interface CategoryOptions<M extends CategoryMode = CategoryMode> extends TaskOptions, CategoryWording {
  /**
   * The kind of answer: 'semantic', a category for each pixel; 'instance', a list of objects; 'panoptic', each pixel in
   * at most one object. By default what X-SAM's demo does: panoptic for both lists, instance for things alone, semantic
   * for stuff alone. An empty list is none.
   */
  readonly mode?: M | undefined
  /**
   * The least score of what is there, from 0 to 1; config.presence.threshold by default. A semantic map is the same
   * with any, and only its `found` depends on it.
   */
  readonly threshold?: number | undefined
  /**
   * true: decode with the semantic flow, and report every layer. false: decode without it, as X-SAM, the baseline. By
   * default it is on if the checkpoint's flow was trained on lists of categories.
   */
  readonly flow?: boolean | undefined
  /** A whole number: the model reads the names in a random order that depends on it, as X-SAM's demo does. */
  readonly shuffle?: number | undefined
  /**
   * 'xsam': a panoptic map by X-SAM's rules. Each pixel then goes to the likeliest object, be it ever so unlikely, also
   * if nothing listed is there; nothing with a score below 0.5 becomes a segment; and ids may collide. 'own', the
   * default: a pixel outside of all masks is 0.
   */
  readonly rules?: 'own' | 'xsam' | undefined
}

const SEED: OptionKind = {
  is: (value) => Number.isSafeInteger(value) && (value as number) >= 0,
  what: 'a whole number of at least 0',
}
const CATEGORY_KINDS: OptionKinds<CategoryOptions> = {
  ...TASK_KINDS,
  mode: oneOf('semantic', 'instance', 'panoptic'),
  threshold: SHARE,
  flow: FLAG,
  shuffle: SEED,
  rules: oneOf('own', 'xsam'),
  template: TEXT,
  answer: TEXT,
}

/** See Scene.segmentCategories. */
export async function segmentCategories<M extends CategoryMode>(
  model: LoadedModel,
  scene: SceneState,
  list: CategoryList | string,
  options: CategoryOptions<M>,
): Promise<CategoryAnswers[M]> {
  const { tokenizer, parts } = model
  const { config } = parts
  expectOptions('segmentCategories', options, CATEGORY_KINDS)
  expectTask(config, 'categories')
  const { onProgress, signal, flow, shuffle, threshold = config.presence.threshold, rules = 'own' } = options
  const task = { onProgress, signal }
  signal?.throwIfAborted()
  const categories = readCategories(list)
  const mode = options.mode ?? defaultMode(categories)
  if (options.rules !== undefined && mode !== 'panoptic') {
    throw new UsageError(
      `segmentCategories: rules are of a panoptic map, and the mode is ${mode}. Leave them out, or ask for the panoptic mode.`,
    )
  }
  const order = categories.map((_, k) => k)
  const columns = shuffle === undefined ? order : shuffled(order, shuffle)
  const asked = columns.map((k) => entryOf(categories, k))
  const room = roomAfterImage(config, parts.prefix)
  const prompt = categoriesPrompt(tokenizer, config, asked, room, options)

  return callScene(model, scene, task, async () => {
    const decoded = await decode(model, scene, prompt, { task: 'categories', flow, every: flow }, task)
    const started = performance.now()
    const K = categories.length
    const probabilities = reordered(classProbabilities(decoded.logits, K), columns)
    const asXSam = rules === 'xsam'
    const found = { model, scene, decoded, categories, probabilities, threshold, asXSam, task }
    const map = await categoryMap(mode, found)
    const { times } = decoded
    const answer = {
      ...map,
      categories,
      unknownWords: model.words.unknownIn(categories.map(({ name }) => name).join(', ')),
      text: prompt.text,
      ...(flow ? { flow: flowOf(model, decoded, columns) } : {}),
      times: { look: scene.lookMs, read: times.read, segment: times.segment + performance.now() - started },
    }
    // The map is that of the mode, which is M or the default for it
    return answer as unknown as CategoryAnswers[M]
  })
}

/** The mode that X-SAM's demo chooses: by the kinds that have names. */
function defaultMode(categories: readonly Category[]): CategoryMode {
  const has = (kind: CategoryKind): boolean => categories.some((category) => category.kind === kind)
  if (has('thing') && has('stuff')) return 'panoptic'
  return has('thing') ? 'instance' : 'semantic'
}

/** The classes in the caller's order. @param columns the category that each class is */
function reordered(probabilities: Float64Array, columns: readonly number[]): Float64Array {
  const K = columns.length
  const result = new Float64Array(probabilities.length)
  probabilities.forEach((p, i) => {
    result[i - (i % K) + entryOf(columns, i % K)] = p
  })
  return result
}

/** The flow through the layers, and the rows of C of each category. */
function flowOf(
  { parts }: LoadedModel,
  { read, language, baseline }: Decoded,
  columns: readonly number[],
): CategoryFlow {
  const { decoderLayers, hidden } = parts.config.head
  const phrases = language.spans.map((rows, i): CategoryRows => ({ category: entryOf(columns, i), rows }))
  const layers = flowLayers(read, decoderLayers + 1, language.length * hidden, baseline, columns.length)
  return { layers, phrases }
}
