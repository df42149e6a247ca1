// The config.json of the language model that a checkpoint was made of, held against the model that was recognised by
// its tensors. Such a file lies beside published weights, or beside their tokenizer.
//
// Two things of it show in no shape, and are the language model's own to say: the base of its rotary angles, and how
// long a sequence may be. They are taken over. Everything else must be what the recognised model has, as the answers
// would be others: the file, or what was recognised, belongs to another checkpoint.

import { isObject } from '../../check.ts'
import { WeightsError } from '../../errors.ts'
import { printable, quoted } from '../../printable.ts'
import { type Config, type LlmConfig, parseConfig } from '../checkpoint/config.ts'
import { llmSizes } from './base-config.ts'

/** A config.json of the transformers library. */
export interface LanguageBase {
  /** Its contents. */
  readonly json: unknown
  /** Its name and place, for messages. */
  readonly file: string
}

/** The library's keys, by ours. */
const KEYS = {
  type: 'model_type',
  hidden: 'hidden_size',
  layers: 'num_hidden_layers',
  heads: 'num_attention_heads',
  kvHeads: 'num_key_value_heads',
  headDim: 'head_dim',
  mlp: 'intermediate_size',
  eps: 'rms_norm_eps',
  tied: 'tie_word_embeddings',
  window: 'sliding_window',
  ropeTheta: 'rope_theta',
  maxPositions: 'max_position_embeddings',
} as const satisfies Partial<Record<keyof LlmConfig, string>>

const REMEDY =
  'If the file belongs to another model, move it away; or say which model it is by a config.json of FlowSeg: --config FILE.'

/** True if a config.json is one of the transformers library's, and none of FlowSeg. */
export function isLibraryConfig(json: unknown): boolean {
  return isObject(json) && !('model' in json) && ('model_type' in json || 'architectures' in json)
}

/**
 * The recognised model with what its language model says of itself. Keys that the file leaves out are as recognised.
 *
 * @returns its config, and notes in sentences on what was taken over
 * @throws WeightsError naming the first key that contradicts it, or that the engine can't compute
 */
export function withBase(config: Config, { json, file }: LanguageBase): { config: Config; notes: string[] } {
  const { llm } = config
  const stated = isObject(json) ? json : {}
  const recognized = `by its tensors the checkpoint is ${printable(config.name)}, whose language model`
  const type = stated['model_type']
  if (type !== llm.type) {
    const is = typeof type === 'string' ? `is of a model of type ${quoted(type, 80)}` : 'has no model_type'
    throw new WeightsError(`${printable(file)} ${is}, and ${recognized} is of type "${llm.type}". ${REMEDY}`)
  }
  const keys = Object.entries(KEYS) as [keyof typeof KEYS, string][]
  const usual = keys.flatMap(([key, name]) => (llm[key] === undefined ? [] : [[name, llm[key]] as const]))
  const sizes = llmSizes({ ...Object.fromEntries(usual), ...stated }, file, llm.vocab)

  for (const [key, name] of keys) {
    if (key === 'ropeTheta' || key === 'maxPositions' || sizes[key] === llm[key]) continue
    throw new WeightsError(
      `${printable(file)}: ${name} is ${sizes[key]}, and ${recognized} has ${llm[key]}. ${REMEDY}`,
    )
  }
  const taken = {
    ...(sizes.ropeTheta !== llm.ropeTheta && { ropeTheta: sizes.ropeTheta }),
    ...(sizes.maxPositions < llm.maxPositions && { maxPositions: sizes.maxPositions }),
  }
  const notes = Object.entries(taken).map(([key, value]) => `llm.${key} is ${value}, by ${printable(file)}.`)
  // Parsed, as a sequence may be too short for the image's rows
  return {
    config: notes.length > 0 ? parseConfig({ ...config, llm: { ...llm, ...taken } }, file) : config,
    notes,
  }
}
