// Several sentences about one image. Each is asked by itself: X-SAM was not trained to read them in one go, and behind
// the image's keys and values another sentence costs little.

import { describe } from '../../check.ts'
import { FlowSegError, PromptError, UsageError } from '../../errors.ts'
import { buildPrompt } from '../input/prompt.ts'
import type { LoadedModel } from '../load.ts'
import type { SceneState } from '../look.ts'
import type { MaskOutput, Segmentation } from '../segmentation.ts'
import { destroyMask } from './finish.ts'
import { expectSegment, type SegmentOptions, segment } from './sentence.ts'

/** See Scene.segmentEach. */
export async function segmentEach<O extends MaskOutput = 'host'>(
  model: LoadedModel,
  scene: SceneState,
  sentences: readonly string[],
  options: SegmentOptions<O>,
): Promise<Segmentation<O>[]> {
  if (!Array.isArray(sentences) || sentences.length === 0) {
    const what = Array.isArray(sentences) ? 'an empty array' : describe(sentences)
    throw new UsageError(
      `segmentEach: the sentences are ${what}, expected an array with one or more of them.`,
    )
  }
  expectSegment('segmentEach', options)
  // All of them are checked before the first is asked, and nothing that the caller changes later matters
  const asked = [...sentences]
  const chosen = { ...options }
  for (const [i, sentence] of asked.entries()) {
    try {
      buildPrompt(model.tokenizer, sentence, model.parts.config, chosen)
    } catch (error) {
      throw error instanceof FlowSegError ? new PromptError(`Sentence ${i}: ${error.message}`) : error
    }
  }
  const answers: Segmentation<O>[] = []
  try {
    for (const sentence of asked) answers.push(await segment(model, scene, sentence, chosen))
    return answers
  } catch (error) {
    // Nobody gets them: what is on the device would stay there
    for (const { mask } of answers) destroyMask(mask)
    throw error
  }
}
