// Looking at an image: both encoders, the pixel decoder, and the language model over everything up to and including the
// image. What it found stays on the device for any number of sentences.

import { expectOptions, type OptionKinds, oneOf, TASK_KINDS } from '../options.ts'
import type { TaskOptions } from '../progress.ts'
import { allocate, release, storagesOf, type Tensor } from '../tensor/tensor.ts'
import { callLook, expectOpen, expectTurn, sceneClosed } from './calls.ts'
import { type CapturedImage, captureImage, type ImageInput } from './input/image-input.ts'
import { type Placement, type PrepareOptions, placeImage } from './input/preprocess.ts'
import type { ImageWorld } from './knows/world.ts'
import { type LoadedModel, releaseAll } from './load.ts'
import { cacheShapes, type ImageSize } from './plans.ts'
import type { Counted } from './scene-limit.ts'
import { expectFiniteStages } from './stages.ts'

/** Options of {@link FlowSeg.look}: the way it prepares an image, and its progress. */
export interface LookOptions extends TaskOptions, PrepareOptions {}

const LOOK_KINDS: OptionKinds<LookOptions> = { ...TASK_KINDS, padding: oneOf('none', 'grey') }

/** The result of a look, on the device until the scene is closed. */
export interface SceneState extends Placement, Counted {
  /** The size of the image, and of its place on SAM's canvas. */
  readonly size: ImageSize
  /** The tensors that the decoder reads of the image, by the names of the plan's outputs. */
  readonly image: Readonly<Record<string, Tensor>>
  /** SAM's rows of the language model, from which regions are sampled; only where the checkpoint knows regions. */
  readonly tokens: Tensor | undefined
  /** The image's distance from those of training; undefined if the checkpoint has no measure of it. */
  readonly world: ImageWorld | undefined
  /** Keys and values of everything up to the image's last row; larger ones take their place when they are needed. */
  cache: Readonly<Record<string, Tensor>>
  /** Rows of the cache. */
  capacity: number
  /** Bytes on the device. */
  bytes: number
  /** Answers no more. */
  closed: boolean
}

/** See FlowSeg.look. */
export async function look(model: LoadedModel, input: ImageInput, options: LookOptions): Promise<SceneState> {
  expectOptions('look', options, LOOK_KINDS)
  expectTurn(model, 'look', options.signal)
  const image = captureImage(input, model.gpu)
  try {
    return await lookAt(model, image, { ...options }) // as they are now: its turn may come later
  } finally {
    image.close()
  }
}

function lookAt(model: LoadedModel, image: CapturedImage, options: LookOptions): Promise<SceneState> {
  return callLook(model, options, async () => {
    const started = performance.now()
    const { onProgress, signal, padding } = options
    const { gpu, look: plan, before, preprocessor } = model
    const owned: Record<string, Tensor> = {}
    try {
      const opened = await image.open(signal)
      const { width, height } = opened
      const placement = placeImage(opened, model.parts.config.sam.image)
      const pixels = await preprocessor.run(opened, { padding, signal })
      const cache = await makeCache(model, model.parts.capacity)
      Object.assign(owned, cache)
      const values = { inputs: { before }, bound: { ...cache, ...pixels }, owner: 'scene' }
      const { kept, read } = await plan.run({ onProgress, signal, ...values })
      Object.assign(owned, kept)
      expectFiniteStages(read, gpu.name)
      // A caller that gave up meanwhile doesn't wait for a scene, and so would never close it
      expectOpen(model)
      signal?.throwIfAborted()
      const size = { width, height, scaled: placement.scaled }
      const lookMs = performance.now() - started
      const bytes = bytesOf(owned)
      const { 'sam tokens': tokens, ...features } = kept
      const { capacity } = model.parts
      const scene = {
        size,
        ...placement,
        image: features,
        tokens,
        world: model.world?.judge(read),
        cache,
        capacity,
        bytes,
        lookMs,
        idle: false,
        closed: false,
      }
      model.scenes.opened(scene)
      return scene
    } catch (error) {
      releaseAll(gpu, owned)
      throw error
    }
  })
}

/** Frees what was kept of the image, once work under way is done. */
export function closeScene({ gpu, scenes, queue }: LoadedModel, scene: SceneState): void {
  if (scene.closed) return
  scene.closed = true
  queue.drop(sceneClosed(), scene)
  queue.afterwards(() => {
    releaseAll(gpu, { ...scene.image, ...scene.cache })
    if (scene.tokens) release(gpu, scene.tokens)
    scenes.closed(scene)
    queue.wake()
  })
}

/** Bytes of tensors on the device. */
export function bytesOf(tensors: Readonly<Record<string, Tensor>>): number {
  const storages = Object.values(tensors).flatMap((x) => storagesOf(x))
  return storages.reduce((sum, { bytes }) => sum + bytes, 0)
}

/** Zeroed keys and values of so many rows. @throws LimitError beyond the model's positions; OutOfMemoryError */
export async function makeCache(
  { gpu, parts }: Pick<LoadedModel, 'gpu' | 'parts'>,
  capacity: number,
): Promise<Record<string, Tensor>> {
  const cache: Record<string, Tensor> = {}
  try {
    for (const [label, shape] of Object.entries(cacheShapes({ ...parts, capacity }))) {
      cache[label] = await allocate(gpu, shape, parts.cacheType, { label, owner: 'scene' })
    }
    return cache
  } catch (error) {
    releaseAll(gpu, cache)
    throw error
  }
}
