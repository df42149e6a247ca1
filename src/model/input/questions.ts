// Questions that are answered in words: what the user asks, and X-SAM's own words where the user gives none.

import { PromptError } from '../../errors.ts'
import { expectWords } from './prompt.ts'

/** Questions for a description whose phrases have masks; X-SAM's code picks one at random, slips included. */
export const GROUNDED_TEMPLATES = [
  'Could you please give me a brief description of the image? Please respond with interleaved segmentation masks for the corresponding parts of the answer.',
  'Can you provide a brief description of the this image? Please output interleaved segmentation masks for the corresponding phrases.',
  'Please briefly describe the contents of the image. Please respond with interleaved segmentation masks for the corresponding parts of the answer.',
  'Could you give a brief explanation of what can be found within this picture? Please output interleaved segmentation masks for the corresponding phrases.',
  'Could you give me an brief explanation of this picture? Please respond with interleaved segmentation masks for the corresponding phrases.',
  'Could you provide me with a briefly analysis of this photo? Please output interleaved segmentation masks for the corresponding parts of the answer.',
] as const

/** Questions for a sentence, `{phrase}`, whose answer is explained. */
export const EXPLAIN_TEMPLATES = [
  '{phrase} Please explain why and output the corresponding segmentation mask.',
  '{phrase} Please explain the reason and output the corresponding segmentation mask.',
  '{phrase} Please give some explanation and output the corresponding segmentation mask.',
  '{phrase} Please explain the reason and output the corresponding segmentation mask.',
  '{phrase} Please give detailed explanation and output the corresponding segmentation mask.',
] as const

/** Tokens of a question, at most, as in X-SAM's demo: there the rest is cut off without notice. */
export const MOST_QUESTION_TOKENS = 4096

/**
 * The user's question as the model reads it: trimmed, with its lines as they are.
 *
 * @throws PromptError if it is empty, much too long, or holds a marker
 */
export function cleanQuestion(question: unknown): string {
  if (typeof question !== 'string')
    throw new PromptError(`The question must be a string, not ${typeof question}.`)
  // Control characters but for tabs and line feeds, and the invisible ones that copying brings along
  const text = question
    .replace(/\r\n?|[\u2028\u2029]/gu, '\n')
    .replace(/[^\P{Cc}\t\n]+|[\u200b\u2060\ufeff]+/gu, ' ')
    .trim()
  if (text === '') {
    throw new PromptError('The question is empty. Ask something, for example "What is on the table?".')
  }
  expectWords('question', text, MOST_QUESTION_TOKENS)
  return text
}
