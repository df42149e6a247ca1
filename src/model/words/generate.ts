// The loop that writes an answer, a token at a time, after the image of a scene (spec of the tasks, 5.2):
//
//   1. the text after the image is read in one pass; keys and values go into the scene's cache
//   2. the last row's state gives logits, and these the next token
//   3. unless it ends the answer, it is read at the next position: one row; back to 2
//
// The state of every token that was read is kept: C and S of an answer with masks come from them. The last token is
// never read, so it has none.

import { expectDefined } from '../../check.ts'
import { PromptError } from '../../errors.ts'
import { roundUp } from '../../gpu/memory.ts'
import type { TaskOptions } from '../../progress.ts'
import { plan, type RunValues } from '../../tensor/plan.ts'
import { expectOpen } from '../calls.ts'
import { growCache } from '../grow-cache.ts'
import { MOST_QUESTION_TOKENS } from '../input/questions.ts'
import type { LoadedModel } from '../load.ts'
import type { SceneState } from '../look.ts'
import { floats, type HostArrays } from '../segmentation.ts'
import { expectFiniteStages } from '../stages.ts'
import { wordsPlan } from './plans.ts'
import { Sampler, type SamplingOptions } from './sample.ts'

/** New rows of a text are padded to multiples of this, so that few plans serve all texts. */
const TOKEN_BUCKET = 8
/** Rows that stay free behind the longest answer, for a `<SEG>` that it lacks. */
export const SPARE_ROWS = 16
/** Tokens that there is room for from the beginning. Longer answers get twice as many, and so on, while they grow. */
const FIRST_TOKENS = 512
/**
 * The most tokens of an answer, whatever the language model reads: a config may leave out how much that is. It is twice
 * the longest prompt of any config.
 */
export const MOST_ANSWER_TOKENS = 65_536

/** Options of generating text: its limits, sampling, progress and signal. */
export interface GenerateOptions extends TaskOptions, SamplingOptions {
  /** Most tokens of the answer. */
  readonly maxTokens: number
  /** Ids that end it. */
  readonly stops: ReadonlySet<number>
  /** Called with each token, the one that ends it included. */
  readonly onToken?: ((id: number) => void) | undefined
  /** Called with each token, in order: true if the model only repeats itself, which ends the answer. */
  readonly repeats?: ((id: number) => boolean) | undefined
}

/** The reason why an answer has no more tokens. */
export type AnswerEnd = 'stop' | 'length' | 'repeat'

/** An answer as it was generated. */
export interface Generated {
  /** The ids of the answer, the one that ended it included. */
  readonly ids: readonly number[]
  /** 'stop' if the model ended it, 'length' if `maxTokens` did, 'repeat' if `repeats` did. */
  readonly end: AnswerEnd
  /** States after the final norm of the text's rows and of all ids but the last, [H] each. */
  readonly states: Float32Array[]
}

/** An answer that goes on: more of it can be read. */
export interface OngoingAnswer {
  /** The answer up to its end; its `states` grow by the rows that `force` reads. */
  readonly generated: Generated
  /** Reads ids that the model didn't choose, as if it had. */
  readonly force: (ids: readonly number[]) => Promise<void>
}

/**
 * The most tokens that an answer may have.
 *
 * @param text   rows of the text between the image and the answer
 * @param wanted by the caller; by default as many as X-SAM's generation allows, or as there is room for
 * @throws PromptError if the text leaves no room, or less than is wanted
 */
export function answerLength(
  { parts: { config, prefix } }: Pick<LoadedModel, 'parts'>,
  text: number,
  wanted?: number,
): number {
  const { maxPositions } = config.llm
  if (text > MOST_QUESTION_TOKENS) {
    throw new PromptError(
      `The question has ${text} tokens, at most ${MOST_QUESTION_TOKENS} are read. Say it in fewer words.`,
    )
  }
  const room = maxPositions - prefix - text - SPARE_ROWS
  if (room < 1) {
    throw new PromptError(
      `The question has ${text} tokens. With the image's ${prefix} rows that leaves no room for an answer in the ` +
        `${maxPositions} that this language model reads. Ask with at most ${Math.max(0, text + room - 1)} tokens.`,
    )
  }
  if (wanted !== undefined && wanted > room) {
    throw new PromptError(
      `maxTokens is ${wanted}: after the image's ${prefix} rows and ${text} tokens of the question there is room for an ` +
        `answer of ${room} in the ${maxPositions} rows that this language model reads. Ask for fewer, or with fewer words.`,
    )
  }
  return wanted ?? Math.min(room, MOST_TOKENS[config.compat])
}

/** The most tokens of an answer in X-SAM's generation. */
const MOST_TOKENS = { aaai: 512, main: 2048 } as const

/**
 * Writes an answer, in a turn of the model.
 *
 * @param text embedded rows after the image, [T, H]
 * @throws WeightsError, OutOfMemoryError, LimitError from loading the head or growing the cache; NumericError; the
 *   signal's reason, within a token
 */
export async function generate(
  model: LoadedModel,
  scene: SceneState,
  text: Float32Array,
  options: GenerateOptions,
): Promise<OngoingAnswer> {
  const { gpu, parts, plans, embeddings } = model
  const { onProgress, signal, maxTokens, stops, onToken, repeats, temperature = 0 } = options
  const { width: H } = embeddings
  const head = await model.head.load({ onProgress, signal })
  const T = text.length / H
  const rows = roundUp(T, TOKEN_BUCKET)
  /** Rows of the cache for an answer of so many tokens. */
  const rowsFor = (tokens: number): number =>
    parts.prefix + Math.max(rows, T + Math.min(tokens, maxTokens) + SPARE_ROWS)
  let tokens = FIRST_TOKENS
  await growCache(model, scene, rowsFor(tokens), { signal })
  const sampler = temperature > 0 ? new Sampler(options) : undefined
  const sampled = sampler !== undefined

  const states: Float32Array[] = []
  /** Reads rows, and chooses the token after the last of them. */
  const read = async (x: Float32Array, count: number, T: number, task: TaskOptions): Promise<number> => {
    const position = parts.prefix + states.length
    if (position + T > scene.capacity) {
      while (position + T > rowsFor(tokens) && tokens < maxTokens) tokens *= 2
      await growCache(model, scene, Math.max(position + T, rowsFor(tokens)), { signal, kept: position })
    }
    const { capacity, cache } = scene
    const words = await plans.get(`words ${T} ${capacity} ${sampled}`, () =>
      plan(gpu, 'words', (inputs) => wordsPlan(inputs, { T, capacity, sampled }, parts, head), task),
    )
    const last = T === 1 ? {} : { last: Uint32Array.of(count - 1) }
    const values: RunValues = {
      inputs: { x, ...last },
      bound: cache,
      params: { position },
    }
    const { read: arrays } = await words.run({ ...task, ...values })
    expectFiniteStages(arrays, gpu.name)
    const all = floats(arrays, 'states')
    for (let row = 0; row < count; row++) states.push(all.slice(row * H, (row + 1) * H))
    return sampler ? sampler.draw(floats(arrays, 'logits')) : firstOf(arrays, 'id')
  }
  const readToken = async (id: number): Promise<number> =>
    read(await embeddings.rows([id], 1, signal), 1, 1, { signal })

  // 1. The text
  const padded = new Float32Array(rows * H)
  padded.set(text)
  const ids = [await read(padded, T, rows, { onProgress, signal })]

  // 2. Token by token
  const report = (): void => {
    onProgress?.({ phase: 'run', what: 'answer', loaded: ids.length, total: maxTokens })
  }
  const endAfter = (id: number): AnswerEnd | undefined => {
    if (stops.has(id)) return 'stop'
    if (repeats?.(id)) return 'repeat'
    return ids.length === maxTokens ? 'length' : undefined
  }
  let end: AnswerEnd | undefined
  for (let id = firstId(ids); ; ids.push(id)) {
    onToken?.(id)
    report()
    signal?.throwIfAborted()
    expectOpen(model, scene)
    end = endAfter(id)
    if (end) break
    id = await readToken(id)
  }
  return {
    generated: { ids, end, states },
    force: async (more) => {
      for (const id of more) await readToken(id)
    },
  }
}

function firstOf(arrays: HostArrays, name: string): number {
  return expectDefined(arrays[name]?.[0], 'the id of the next token')
}

function firstId([id]: readonly number[]): number {
  return expectDefined(id, 'the first token')
}
