// A sentence about an image that was looked at: the best query's mask is its answer.

import { expectOptions, FLAG, type Kinds, oneOf, TEXT } from '../../options.ts'
import { callScene } from '../calls.ts'
import { buildPrompt, type PromptOptions } from '../input/prompt.ts'
import type { LoadedModel } from '../load.ts'
import type { SceneState } from '../look.ts'
import { rank } from '../matching.ts'
import { flowLayers, type MaskOptions, type MaskOutput, type Segmentation } from '../segmentation.ts'
import { decode } from './decode.ts'
import { candidate, finish, MASK_KINDS } from './finish.ts'

/** Options of {@link Scene.segment}: the wording of the prompt, and the parts of the answer. */
export interface SegmentOptions<O extends MaskOutput = 'host'> extends MaskOptions<O>, PromptOptions {
  /**
   * true: with the semantic flow, and told what happened in every layer. false: without it, as X-SAM, the baseline. By
   * default it is on for the tasks that the checkpoint's flow was trained on.
   */
  readonly flow?: boolean | undefined
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
  const { onProgress, signal, flow, output, task: name = 'referring' } = options
  const task = { onProgress, signal }
  signal?.throwIfAborted()
  const { config } = model.parts
  const prompt = buildPrompt(model.tokenizer, sentence, config, options)
  return callScene(model, scene, task, async () => {
    const decoded = await decode(model, scene, prompt, { task: name, flow, every: flow }, task)
    const ranking = rank(decoded.logits, decoded.baseline)
    const [best] = ranking
    if (!best) throw new Error('segment: the model has no queries')
    const finishing = performance.now()
    const { mask, logits } = await finish(model, scene, decoded, best.query, { ...task, output })
    const { times, language, read, baseline } = decoded
    const { decoderLayers, hidden } = config.head
    return {
      sentence,
      text: prompt.text,
      ...best,
      mask,
      logits,
      canvas: scene.size.scaled,
      candidates: ranking.map((match) => candidate(model, scene, decoded, match)),
      ...(flow ? { flow: flowLayers(read, decoderLayers + 1, language.length * hidden, baseline) } : {}),
      times: {
        look: scene.lookMs,
        read: times.read,
        segment: times.segment + performance.now() - finishing,
      },
    }
  })
}
