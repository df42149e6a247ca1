// The prompt of regions: `<p><region></p>` for each, where the rows of a region stand at its <region> (spec of the
// tasks, 4.4).

import { PromptError } from '../../errors.ts'
import type { Tokenizer } from '../../io/text/tokenizer.ts'
import type { Config } from '../checkpoint/config.ts'
import { answered, expectPlace, frameQuestion, type Prompt } from './prompt.ts'

/** X-SAM's questions for regions; its code picks one at random, the default is the first. */
export const REGION_TEMPLATES = [
  'Can you segment the image based on the following regions: {regions}? Please output the corresponding segmentation mask.',
  'Can you generate segmentation masks for this image based on the specified regions: {regions}? Please generate the segmentation masks.',
  'Can you provide segmentation masks for this image based on these regions: {regions}? Please provide the segmentation masks.',
  'Could you create segmentation masks for this image according to the specified regions: {regions}? Please create the segmentation masks.',
  'Could you output segmentation masks for this image that highlight the following regions: {regions}? Please output the segmentation masks.',
  'Could you provide segmentation masks for this image according to the specified regions: {regions}? Please respond with the segmentation masks.',
] as const
/** The second of X-SAM's answers. */
const ANSWER = 'It is <SEG>.'

/** The wording around regions. */
export interface RegionPromptOptions {
  /** The question, with {regions} where they go; by default X-SAM's first. */
  readonly template?: string | undefined
  /** The answer that the model reads, with <SEG> in it; 'It is <SEG>.' by default. */
  readonly answer?: string | undefined
}

/**
 * @param count of regions
 * @param room  tokens after the image that the model has positions for
 * @throws PromptError if there are more of them than the model takes, or a template lacks its place for them
 */
export function regionPrompt(
  tokenizer: Tokenizer,
  config: Config,
  count: number,
  room: number,
  { template = REGION_TEMPLATES[0], answer = ANSWER }: RegionPromptOptions = {},
): Prompt {
  expectPlace('template', template, '{regions}')
  expectPlace('answer', answer, '<SEG>')
  const promptOf = (regions: number): Prompt => {
    const list = Array.from({ length: regions }, () => '<p><region></p>').join(', ')
    const question = frameQuestion(
      tokenizer,
      config,
      template.replace('{regions}', () => list),
    )
    return answered(tokenizer, question, answer)
  }
  // All regions but the first take as many tokens, so that two prompts tell how many fit
  const first = promptOf(1).after.length
  const more = promptOf(2).after.length - first
  const most = Math.max(0, 1 + Math.floor((room - first) / more))
  if (count <= most) return promptOf(count)
  const size = config.regions.rows === 1 ? '' : ` Each takes ${config.regions.rows} rows.`
  throw new PromptError(
    `${count} regions make a prompt of ${first + (count - 1) * more} tokens after the image, where this model reads ` +
      `${room}.${size} ${most > 0 ? `Ask for at most ${most} at a time.` : 'It can be asked for none.'}`,
  )
}
