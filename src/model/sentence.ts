// A sentence about an image that was looked at: the language model reads it, the decoder finds what it means, and the
// best query's mask is refined and brought back to the image's own pixels.

import { FlowSegError } from '../errors.ts'
import { maskRowBytes } from '../gpu/pixels.ts'
import { giveBuffer, giveTexture } from '../ops/give.ts'
import { plan, type Tensor } from '../ops/tensor.ts'
import type { TaskOptions } from '../progress.ts'
import { featureSizes } from './config.ts'
import type { LoadedModel } from './load.ts'
import type { SceneState } from './look.ts'
import { rank } from './matching.ts'
import { finishPlan, readInputs, readPlan, segmentPlan } from './plans.ts'
import { buildPrompt, type Prompt, type PromptOptions } from './prompt.ts'
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

export interface SegmentOptions<O extends MaskOutput = 'host'> extends MaskOptions<O>, PromptOptions {
  /** Also tell what happened in every layer. */
  readonly flow?: boolean
}

/** As Scene.segment, which see. */
export async function segment<O extends MaskOutput = 'host'>(
  model: LoadedModel,
  scene: SceneState,
  sentence: string,
  options: SegmentOptions<O>,
): Promise<Segmentation<O>> {
  const { onProgress, signal, flow: every = false, output } = options
  const task = { onProgress, signal }
  signal?.throwIfAborted()
  expectOutput(output)
  const prompt = buildPrompt(model.tokenizer, sentence, model.parts.config, options)
  const run = async (): Promise<Segmentation<O>> => {
    const started = performance.now()
    const { condition, seg, length } = await read(model, scene, prompt, task)
    const readDone = performance.now()
    // 1. All queries and their masks
    const rows = condition.shape[0]!
    const decode = await model.plans.get(`segment ${rows} ${every}`, () =>
      plan(model.gpu, 'segment', (inputs) => segmentPlan(inputs, rows, every, model.parts), task),
    )
    const { compressed: _, ...image } = scene.image
    const bound = { ...image, condition, seg }
    const { read: found } = await decode.run({ ...task, bound, params: { length } })

    // 2. The best one, refined and brought back to the image
    const ranking = rank(floats(found, 'logits'))
    const masks = floats(found, 'masks')
    const best = ranking[0]!
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
          expectOutput(more.output)
          return inTurn(model, more, () => finish(model, scene, masks, match.query, more), scene)
        }
        return { ...match, refined, mask: async (more) => (await refined(more)).mask }
      }),
      ...(every ? { flow: flowLayers(found, decoderLayers + 1, length * hidden) } : {}),
      times: { look: scene.lookMs, read: readDone - started, segment: performance.now() - readDone },
    }
  }
  return inTurn(model, task, run, scene)
}

/** None that was given up while it waited, and none of what was closed meanwhile. */
export function inTurn<T>(
  model: LoadedModel,
  { signal }: TaskOptions,
  task: () => Promise<T>,
  scene?: SceneState,
): Promise<T> {
  return model.turn.take(async () => {
    expectOpen(model, scene)
    signal?.throwIfAborted()
    return task()
  })
}

export function expectOpen(model: LoadedModel, scene?: SceneState): void {
  if (model.closed) throw new FlowSegError('ERR_CLOSED', 'This model was closed: load it again.')
  if (scene?.closed) {
    throw new FlowSegError('ERR_CLOSED', 'This scene was closed: call model.look(image) again.')
  }
}

/** The language model over what follows the image. @returns C and S, until the next sentence, and the rows of C that count */
async function read(
  model: LoadedModel,
  { cache }: SceneState,
  prompt: Prompt,
  task: TaskOptions,
): Promise<{ condition: Tensor; seg: Tensor; length: number }> {
  const { gpu, parts, plans, language } = model
  const { T, K, span, ...inputs } = readInputs(prompt, parts)
  const made = await plans.get(`read ${T} ${K}`, () =>
    plan(gpu, 'read', (from) => readPlan(from, T, K, parts), task),
  )
  const into = language.get(K) ?? {}
  const values = { inputs, bound: cache, params: { span }, into, owner: 'sentence' }
  const { kept } = await made.run({ ...task, ...values })
  language.set(K, kept)
  const condition = kept['condition']!
  const length = parts.config.flow.condition === 'tokens' ? span : condition.shape[0]!
  return { condition, seg: kept['seg']!, length }
}

/** Boundary refinement of one query's mask, and back to the image's pixels. */
async function finish<O extends MaskOutput = 'host'>(
  { gpu, parts, plans }: LoadedModel,
  { size, image }: SceneState,
  masks: Float32Array,
  query: number,
  { output, ...task }: MaskOptions<O>,
): Promise<RefinedMask<O>> {
  const [height, width] = featureSizes(parts.config).at(-1)!
  const raw = masks.slice(query * height * width, (query + 1) * height * width)
  const where: MaskOutput = output ?? 'host'
  const rowBytes = where === 'host' ? undefined : maskRowBytes(size.width)
  const finish = await plans.get(`finish ${size.width} ${size.height} ${rowBytes}`, () =>
    plan(gpu, 'finish', (inputs) => finishPlan(inputs, size, parts, rowBytes), task),
  )
  const { compressed } = image
  const bound = compressed ? { compressed } : {}
  const { read, kept } = await finish.run({ ...task, inputs: { logits: raw }, bound, owner: 'mask' })
  const refined = compressed ? floats(read, 'refined') : raw
  const band = compressed ? floats(read, 'band') : new Float32Array(height * width)
  const makers: { [P in MaskOutput]: () => Masks[P] | Promise<Masks[P]> } = {
    host: () => unpackMask(read['bits']!, size.width, size.height),
    texture: async () => ({
      width: size.width,
      height: size.height,
      texture: await giveTexture(gpu, kept['bytes']!, size),
    }),
    buffer: () => ({
      width: size.width,
      height: size.height,
      buffer: giveBuffer(gpu, kept['bytes']!),
      bytesPerRow: rowBytes!,
    }),
  }
  const mask = (await makers[where]()) as Masks[O]
  return { mask, logits: { height, width, raw, refined, band } }
}

function expectOutput(output: string | undefined): void {
  if (output === undefined || output === 'host' || output === 'texture' || output === 'buffer') return
  throw new FlowSegError('ERR_USAGE', `segment: output is '${output}', expected host, texture or buffer.`)
}
