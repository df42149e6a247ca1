// One query's mask: refined at its boundary, and brought back to the image's own pixels.

import { expectDefined } from '../../check.ts'
import { maskRowBytes } from '../../gpu/pixels.ts'
import { expectOptions, type OptionKinds, oneOf, TASK_KINDS } from '../../options.ts'
import { exportBuffer, exportTexture } from '../../tensor/export.ts'
import { plan } from '../../tensor/plan.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { callScene } from '../calls.ts'
import { finestSize } from '../checkpoint/config.ts'
import { type LoadedModel, releaseAll } from '../load.ts'
import type { SceneState } from '../look.ts'
import type { Match } from '../matching.ts'
import { finishPlan } from '../plans.ts'
import {
  type Candidate,
  floats,
  type MaskOptions,
  type MaskOutput,
  type Masks,
  type RefinedMask,
  unpackMask,
} from '../segmentation.ts'
import { expectFiniteStages } from '../stages.ts'
import type { Decoded } from './decode.ts'

/** The kinds of MaskOptions. */
export const MASK_KINDS: OptionKinds<MaskOptions<MaskOutput>> = {
  ...TASK_KINDS,
  output: oneOf('host', 'texture', 'buffer'),
}

/** A query's answer, whose mask is computed when asked for. */
export function candidate(model: LoadedModel, scene: SceneState, decoded: Decoded, match: Match): Candidate {
  const refined = async <O extends MaskOutput = 'host'>(
    options: MaskOptions<O> = {},
  ): Promise<RefinedMask<O>> => {
    expectOptions('mask', options, MASK_KINDS)
    return callScene(model, scene, options, () => finish(model, scene, decoded, match.query, options))
  }
  return { ...match, refined, mask: async (options) => (await refined(options)).mask }
}

/** Boundary refinement of one query's mask, and back to the image's pixels. The caller has the model's turn. */
export async function finish<O extends MaskOutput = 'host'>(
  { gpu, parts, plans }: LoadedModel,
  { size, image }: SceneState,
  { masks, baseline }: Pick<Decoded, 'masks' | 'baseline'>,
  query: number,
  { output, ...task }: MaskOptions<O>,
): Promise<RefinedMask<O>> {
  const [height, width] = finestSize(parts.config)
  const raw = masks.slice(query * height * width, (query + 1) * height * width)
  const where: MaskOutput = output ?? 'host'
  const rowBytes = maskRowBytes(size.width)
  const key = `finish ${size.width} ${size.height} ${where === 'host'} ${baseline}`
  const ready = await plans.get(key, () =>
    plan(
      gpu,
      'finish',
      (inputs) => finishPlan(inputs, size, { ...parts, baseline }, where === 'host' ? undefined : rowBytes),
      task,
    ),
  )
  const compressed = baseline ? undefined : image['compressed']
  const bound = compressed ? { compressed } : {}
  const { read, kept } = await ready.run({ ...task, inputs: { logits: raw }, bound, owner: 'mask' })
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

/** Frees a mask on the device, which is the caller's; one in host memory needs nothing. */
export function destroyMask(mask: Masks[MaskOutput]): void {
  if ('texture' in mask) mask.texture.destroy()
  if ('buffer' in mask) mask.buffer.destroy()
}
