// Decodes a prompt: the language model reads it after the image, which gives C and S, and the decoder turns them into
// masks and class logits of the queries. Every task goes through here.

import { entryOf } from '../../check.ts'
import type { TaskOptions } from '../../progress.ts'
import { plan } from '../../tensor/plan.ts'
import { firstDim, type Tensor } from '../../tensor/tensor.ts'
import type { TaskName } from '../checkpoint/task-config.ts'
import { growCache } from '../grow-cache.ts'
import { type Prompt, REGION, type Span } from '../input/prompt.ts'
import type { LoadedModel } from '../load.ts'
import type { SceneState } from '../look.ts'
import {
  conditionForm,
  languagePlan,
  type Parts,
  type Phrases,
  type Picked,
  pickRows,
  readInputs,
  readPlan,
  segmentPlan,
} from '../plans.ts'
import { floats, type HostArrays } from '../segmentation.ts'
import { expectFiniteStages } from '../stages.ts'

/** Options of decoding a prompt. */
export interface PromptDecodeOptions {
  /** The task that is asked: the flow is left out of those that it wasn't trained on. */
  readonly task: TaskName
  /** Decode with the flow (true) or without (false), whatever the config says. */
  readonly flow?: boolean | undefined
  /** Also read what happened in every layer. */
  readonly every?: boolean | undefined
  /** The rows of the prompt's regions, [regions * rows, H]. */
  readonly regions?: Float32Array | undefined
}

/** C(0) and S on the device, until the next prompt is read. */
export interface LanguageState {
  /** [K, d] */
  readonly condition: Tensor
  /** [1, d] */
  readonly seg: Tensor
  /** Rows of C that count. */
  readonly length: number
  /** The rows of C that belong to each phrase. */
  readonly spans: readonly Span[]
}

/** The decoder's output for a prompt. */
export interface Decoded {
  /** Class logits [N, P + 1]: the phrases in order, then the background. */
  readonly logits: Float32Array
  /** Mask logits [N, H * W]. */
  readonly masks: Float32Array
  /** Columns of `logits` but for the background. */
  readonly phrases: number
  /** True without the flow, as in X-SAM. */
  readonly baseline: boolean
  /** All that was read, of every layer if it was asked for. */
  readonly read: HostArrays
  /** C and S, which the next sentence of this length writes over. */
  readonly language: LanguageState
  /** Milliseconds. */
  readonly times: { readonly read: number; readonly segment: number }
}

/** More phrases than this are a row of C each: the flow saw no such lists in training. */
const MOST_TOKEN_PHRASES = 64

/**
 * Reads a prompt after the scene's image and decodes it. The caller has the model's turn (callScene).
 *
 * @throws NumericError when a number isn't finite
 */
export async function decode(
  model: LoadedModel,
  scene: SceneState,
  prompt: Prompt,
  options: PromptDecodeOptions,
  task: TaskOptions,
): Promise<Decoded> {
  const started = performance.now()
  const language = await read(model, scene, prompt, options, task)
  const readMs = performance.now() - started
  const decoded = await decodeLanguage(model, scene, language, options, task)
  return { ...decoded, times: { ...decoded.times, read: readMs } }
}

/** The second half of `decode`, for C and S that come from elsewhere. */
export async function decodeLanguage(
  { gpu, parts, plans }: LoadedModel,
  scene: SceneState,
  language: LanguageState,
  { task: name, flow, every = false }: PromptDecodeOptions,
  task: TaskOptions,
): Promise<Decoded> {
  const started = performance.now()
  const { condition, seg, length, spans } = language
  const [rows, phrases] = [firstDim(condition), spans.length]
  const baseline = parts.baseline || !(flow ?? parts.config.flow.tasks.includes(name))
  const key = `segment ${rows} ${phrases} ${every} ${baseline}`
  const ready = await plans.get(key, () =>
    plan(gpu, 'segment', (from) => segmentPlan(from, rows, every, { ...parts, baseline }, phrases), task),
  )
  const { compressed: _, ...image } = scene.image
  const isClasses = parts.config.flow.condition === 'pooled+background'
  const inputs = isClasses ? {} : inputsOfSpans(spans)
  const bound = { ...image, condition, seg }
  const { read } = await ready.run({ ...task, inputs, bound, params: { length } })
  expectFiniteStages(read, gpu.name)
  const times = { read: 0, segment: performance.now() - started }
  return {
    logits: floats(read, 'logits'),
    masks: floats(read, 'masks'),
    phrases,
    baseline,
    read,
    language,
    times,
  }
}

/** The language model over what follows the image. */
async function read(
  model: LoadedModel,
  scene: SceneState,
  prompt: Prompt,
  { regions }: PromptDecodeOptions,
  task: TaskOptions,
): Promise<LanguageState> {
  const { gpu, parts, plans } = model
  // A long list takes more rows than a sentence
  await growCache(model, scene, parts.prefix + prompt.after.length, task)
  const { cache, capacity } = scene
  const picked = readInputs(prompt, { ...parts, capacity })
  const { T, K, count, ids, rows, spans } = picked
  const after = await model.embeddings.rows(
    ids.map((id) => (id === REGION ? 0 : id)),
    T,
    task.signal,
  )
  spliceRegions(after, prompt, regions, parts)
  const phrases = phrasesOf(spans)
  const reading = await plans.get(`read ${T} ${K} ${phrases.count} ${capacity}`, () =>
    plan(gpu, 'read', (from) => readPlan(from, T, K, { ...parts, capacity }, phrases), task),
  )
  const into = model.language.get(paddedRows(parts, picked)) ?? {}
  const inputs = { after, rows, ...(conditionForm(parts, phrases) === 'tokens' ? {} : inputsOfSpans(spans)) }
  const params: Readonly<Record<string, number>> = phrases.count === 1 ? { span: count } : {}
  const values = { inputs, bound: cache, params, into, owner: 'sentence' }
  const { kept, read: magnitudes } = await reading.run({ ...task, ...values })
  model.language.set(firstDim(kept.condition), kept)
  expectFiniteStages(magnitudes, gpu.name)
  return { ...languageOf(parts, picked), ...kept }
}

/**
 * C(0) and S from states of the language model that are there already, of a text that it wrote.
 *
 * @param states [H] each, of all rows after the image
 * @param spans  the phrases among them, markers included
 * @param seg    the row of <SEG>
 */
export async function languageOfStates(
  model: LoadedModel,
  states: readonly Float32Array[],
  spans: readonly Span[],
  seg: number,
  task: TaskOptions,
): Promise<LanguageState> {
  const { gpu, parts, plans } = model
  const { hidden: H } = parts.config.llm
  const picked = pickRows(spans, seg)
  const { K, count } = picked
  const phrases = phrasesOf(spans)
  const ready = await plans.get(`language ${K} ${phrases.count}`, () =>
    plan(gpu, 'language', (from) => languagePlan(from, K, parts, phrases), task),
  )
  const rows = new Float32Array((K + 1) * H)
  for (const [i, row] of picked.rows.entries()) rows.set(entryOf(states, row), i * H)
  const more = conditionForm(parts, phrases) === 'tokens' ? {} : inputsOfSpans(picked.spans)
  const params: Readonly<Record<string, number>> = phrases.count === 1 ? { span: count } : {}
  const into = model.language.get(paddedRows(parts, picked)) ?? {}
  const values = { inputs: { rows, ...more }, params, into, owner: 'sentence' }
  const { kept, read: magnitudes } = await ready.run({ ...task, ...values })
  model.language.set(firstDim(kept.condition), kept)
  expectFiniteStages(magnitudes, gpu.name)
  return { ...languageOf(parts, picked), ...kept }
}

/** The phrases of these spans, each pooled into one row of C if they are many. */
export function phrasesOf(spans: readonly Span[]): Phrases {
  return { count: spans.length, pooled: spans.length > MOST_TOKEN_PHRASES }
}

/** The rows that C has for these, padding included: what it is kept under. */
function paddedRows(parts: Parts, { K, spans }: Picked): number {
  const form = conditionForm(parts, phrasesOf(spans))
  return { tokens: K, pooled: spans.length, 'pooled+background': spans.length + 1 }[form]
}

/** The number of rows of C that count, and the rows of each phrase. */
export function languageOf(parts: Parts, picked: Picked): Pick<LanguageState, 'length' | 'spans'> {
  const { count, spans } = picked
  const form = conditionForm(parts, phrasesOf(spans))
  if (form === 'tokens') return { length: count, spans }
  return { length: paddedRows(parts, picked), spans: spans.map((_, k): Span => [k, k + 1]) }
}

/** The input `spans` of a plan for several phrases. */
export function inputsOfSpans(spans: readonly Span[]): { readonly spans?: Uint32Array } {
  return spans.length === 1 ? {} : { spans: Uint32Array.from(spans.flat()) }
}

/** Puts the rows of regions where the prompt has a place for them. */
function spliceRegions(
  after: Float32Array,
  { regions: places }: Prompt,
  rows: Float32Array | undefined,
  { config }: Parts,
): void {
  if (places.length === 0) return
  const size = config.regions.rows * config.llm.hidden
  if (rows?.length !== places.length * size)
    throw new Error(`decode: ${rows?.length ?? 0} values for ${places.length} regions of ${size}`)
  for (let k = 0; k < places.length; k++)
    after.set(rows.subarray(k * size, (k + 1) * size), entryOf(places, k) * config.llm.hidden)
}
