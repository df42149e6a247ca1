// A sentence about an image that was looked at: the best query's mask is its answer.

import { expectOptions, FLAG, type OptionKinds, oneOf, SHARE, TEXT } from '../../options.ts'
import { callScene } from '../calls.ts'
import { buildPrompt, type PromptOptions } from '../input/prompt.ts'
import type { LoadedModel } from '../load.ts'
import type { SceneState } from '../look.ts'
import { rank } from '../matching.ts'
import { flowLayers, type MaskOptions, type MaskOutput, type Segmentation } from '../segmentation.ts'
import { decode } from './decode.ts'
import { expectTask } from './expect-task.ts'
import { candidate, finish, MASK_KINDS } from './finish.ts'
import { instancesOf, meant } from './instances.ts'

/** Options of {@link Scene.segment}: the wording of the prompt, and the parts of the answer. */
export interface SegmentOptions<O extends MaskOutput = 'host'> extends MaskOptions<O>, PromptOptions {
  /**
   * true: decode with the semantic flow, and report every layer. false: decode without it, as X-SAM, the baseline. By
   * default it is on for the tasks that the checkpoint's flow was trained on.
   */
  readonly flow?: boolean | undefined
  /**
   * Also every object that the sentence means, as `instances` and their `union`: "the red mugs" are several. Those with
   * a score of config.presence.all count, and the best one if it is found; of near-duplicates one.
   */
  readonly all?: boolean | undefined
  /**
   * The least score of what is found, from 0 to 1, and of each of several; those of config.presence by default.
   */
  readonly threshold?: number | undefined
}

const SEGMENT_KINDS: OptionKinds<SegmentOptions<MaskOutput>> = {
  ...MASK_KINDS,
  flow: FLAG,
  all: FLAG,
  threshold: SHARE,
  task: oneOf('referring', 'reasoning'),
  template: TEXT,
  answer: TEXT,
}

/** @throws UsageError naming an option that doesn't exist or has a wrong value */
export function expectSegment(call: string, options: SegmentOptions<MaskOutput>): void {
  expectOptions(call, options, SEGMENT_KINDS)
}

/** See Scene.segment. */
export async function segment<O extends MaskOutput = 'host'>(
  model: LoadedModel,
  scene: SceneState,
  sentence: string,
  options: SegmentOptions<O>,
): Promise<Segmentation<O>> {
  expectSegment('segment', options)
  const { onProgress, signal, flow, output, task: name = 'referring', all = false, threshold } = options
  const task = { onProgress, signal }
  signal?.throwIfAborted()
  const { config } = model.parts
  expectTask(config, name)
  const prompt = buildPrompt(model.tokenizer, sentence, config, options)
  return callScene(model, scene, task, async () => {
    const decoded = await decode(model, scene, prompt, { task: name, flow, every: flow }, task)
    const ranking = rank(decoded.logits, decoded.baseline)
    const [best] = ranking
    if (!best) throw new Error('segment: the model has no queries')
    const finishing = performance.now()
    const thresholds = threshold === undefined ? config.presence : { threshold, all: threshold }
    const several = all
      ? await instancesOf(model, scene, decoded, meant(ranking, thresholds), task)
      : undefined
    // Last: a mask that stays on the device is the caller's, who must get it
    const { mask, logits } = await finish(model, scene, decoded, best.query, { ...task, output })
    const { times, language, read, baseline } = decoded
    const { decoderLayers, hidden } = config.head
    return {
      sentence,
      text: prompt.text,
      ...best,
      unknownWords: model.words.unknownIn(sentence),
      found: several ? several.instances.length > 0 : best.score >= thresholds.threshold,
      ...several,
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
