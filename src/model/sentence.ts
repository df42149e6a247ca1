// A sentence about an image that was looked at: the language model reads it, the decoder finds what it means, and the
// best query's mask is refined and brought back to the image's own pixels.

import { expectDefined } from '../check.ts'
import { maskRowBytes } from '../gpu/pixels.ts'
import { expectOptions, FLAG, type Kinds, oneOf, TASK_KINDS, TEXT } from '../options.ts'
import type { TaskOptions } from '../progress.ts'
import { exportBuffer, exportTexture } from '../tensor/export.ts'
import { plan } from '../tensor/plan.ts'
import { firstDim, type Tensor } from '../tensor/tensor.ts'
import { callScene } from './calls.ts'
import { finestSize } from './checkpoint/config.ts'
import { buildPrompt, type Prompt, type PromptOptions } from './input/prompt.ts'
import { type LoadedModel, releaseAll } from './load.ts'
import type { SceneState } from './look.ts'
import { rank } from './matching.ts'
import { finishPlan, readInputs, readPlan, segmentPlan } from './plans.ts'
import {
  floats,
  flowLayers,
  type MaskOptions,
  type MaskOutput,
  type Masks,
  type RefinedMask,
  type Segmentation,
  unpackMask,
} from './segmentation.ts'
import { expectFiniteStages } from './stages.ts'

/** Options of {@link Scene.segment}: the wording of the prompt, and the parts of the answer. */
export interface SegmentOptions<O extends MaskOutput = 'host'> extends MaskOptions<O>, PromptOptions {
  /** Also tell what happened in every layer. */
  readonly flow?: boolean | undefined
}

const MASK_KINDS: Kinds<MaskOptions<MaskOutput>> = {
  ...TASK_KINDS,
  output: oneOf('host', 'texture', 'buffer'),
}
const SEGMENT_KINDS: Kinds<SegmentOptions<MaskOutput>> = {
  ...MASK_KINDS,
  flow: FLAG,
  task: oneOf('referring', 'reasoning'),
  template: TEXT,
  answer: TEXT,
}

/** See Scene.segment. */
export async function segment<O extends MaskOutput = 'host'>(
  model: LoadedModel,
  scene: SceneState,
  sentence: string,
  options: SegmentOptions<O>,
): Promise<Segmentation<O>> {
  expectOptions('segment', options, SEGMENT_KINDS)
  const { onProgress, signal, flow: every = false, output } = options
  const task = { onProgress, signal }
  signal?.throwIfAborted()
  const prompt = buildPrompt(model.tokenizer, sentence, model.parts.config, options)
  const run = async (): Promise<Segmentation<O>> => {
    const started = performance.now()
    const { condition, seg, length } = await read(model, scene, prompt, task)
    const readDone = performance.now()
    // 1. All queries and their masks
    const rows = firstDim(condition)
    const decode = await model.plans.get(`segment ${rows} ${every}`, () =>
      plan(model.gpu, 'segment', (inputs) => segmentPlan(inputs, rows, every, model.parts), task),
    )
    const { compressed: _, ...image } = scene.image
    const bound = { ...image, condition, seg }
    const { read: decoded } = await decode.run({ ...task, bound, params: { length } })
    expectFiniteStages(decoded, model.gpu.name)

    // 2. The best one, refined and brought back to the image
    const { baseline } = model.parts
    const ranking = rank(floats(decoded, 'logits'), baseline)
    const masks = floats(decoded, 'masks')
    const [best] = ranking
    if (!best) throw new Error('segment: the model has no queries')
    const { mask, logits } = await finish(model, scene, masks, best.query, { ...task, output })

    const { decoderLayers, hidden } = model.parts.config.head
    return {
      sentence,
      text: prompt.text,
      ...best,
      mask,
      logits,
      canvas: scene.size.scaled,
      candidates: ranking.map((match) => {
        const refined = async <P extends MaskOutput = 'host'>(
          more: MaskOptions<P> = {},
        ): Promise<RefinedMask<P>> => {
          expectOptions('mask', more, MASK_KINDS)
          return callScene(model, scene, more, () => finish(model, scene, masks, match.query, more))
        }
        return { ...match, refined, mask: async (more) => (await refined(more)).mask }
      }),
      ...(every ? { flow: flowLayers(decoded, decoderLayers + 1, length * hidden, baseline) } : {}),
      times: { look: scene.lookMs, read: readDone - started, segment: performance.now() - readDone },
    }
  }
  return callScene(model, scene, task, run)
}

/**
 * The language model over what follows the image.
 * @returns C and S, until the next sentence, and the rows of C that count
 */
async function read(
  model: LoadedModel,
  { cache, capacity }: SceneState,
  prompt: Prompt,
  task: TaskOptions,
): Promise<{ condition: Tensor; seg: Tensor; length: number }> {
  const { gpu, parts, plans, language } = model
  const { T, K, span, ids, rows } = readInputs(prompt, parts)
  const after = await model.embeddings.rows(ids, T, task.signal)
  const reading = await plans.get(`read ${T} ${K} ${capacity}`, () =>
    plan(gpu, 'read', (from) => readPlan(from, T, K, { ...parts, capacity }), task),
  )
  const into = language.get(K) ?? {}
  const values = { inputs: { after, rows }, bound: cache, params: { span }, into, owner: 'sentence' }
  const { kept, read: magnitudes } = await reading.run({ ...task, ...values })
  language.set(K, kept)
  expectFiniteStages(magnitudes, gpu.name)
  const condition = kept.condition
  const length = parts.config.flow.condition === 'tokens' ? span : firstDim(condition)
  return { condition, seg: kept.seg, length }
}

/** Boundary refinement of one query's mask, and back to the image's pixels. */
async function finish<O extends MaskOutput = 'host'>(
  { gpu, parts, plans }: LoadedModel,
  { size, image }: SceneState,
  masks: Float32Array,
  query: number,
  { output, ...task }: MaskOptions<O>,
): Promise<RefinedMask<O>> {
  const [height, width] = finestSize(parts.config)
  const raw = masks.slice(query * height * width, (query + 1) * height * width)
  const where: MaskOutput = output ?? 'host'
  const rowBytes = maskRowBytes(size.width)
  const finish = await plans.get(`finish ${size.width} ${size.height} ${where === 'host'}`, () =>
    plan(
      gpu,
      'finish',
      (inputs) => finishPlan(inputs, size, parts, where === 'host' ? undefined : rowBytes),
      task,
    ),
  )
  const { compressed } = image
  const bound = compressed ? { compressed } : {}
  const { read, kept } = await finish.run({ ...task, inputs: { logits: raw }, bound, owner: 'mask' })
  try {
    expectFiniteStages(read, gpu.name)
  } catch (error) {
    releaseAll(gpu, kept)
    throw error
  }
  const refined = compressed ? floats(read, 'refined') : raw
  const band = compressed ? floats(read, 'band') : new Float32Array(height * width)
  const bytes = (): Tensor => expectDefined(kept.bytes, 'the mask that was kept')
  const makers: { [P in MaskOutput]: () => Masks[P] | Promise<Masks[P]> } = {
    host: () => unpackMask(expectDefined(read.bits, 'the mask that was read'), size.width, size.height),
    texture: async () => ({
      width: size.width,
      height: size.height,
      texture: await exportTexture(gpu, bytes(), size),
    }),
    buffer: () => ({
      width: size.width,
      height: size.height,
      buffer: exportBuffer(gpu, bytes()),
      bytesPerRow: rowBytes,
    }),
  }
  const mask = (await makers[where]()) as Masks[O]
  return { mask, logits: { height, width, raw, refined, band } }
}
