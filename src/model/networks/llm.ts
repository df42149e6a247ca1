// The language model, as far as FlowSeg needs it: hidden states in one pass, no sampling, no head.
//
// Qwen3 and Phi-3 are the same pre-norm transformer; qwen3.ts and phi3.ts hold what differs, which is how a
// layer's rows become queries, keys and values, and how its MLP is stored. Keys and values go through a
// cache, so that the rows of an image, once seen, serve every sentence about it.
//
// Source: Touvron et al. 2023 (the block), Su et al. 2021 (RoPE), Ainslie et al. 2023 (shared key heads).

import { LimitError } from '../../errors.ts'
import { inOneGo } from '../../gpu/recorder.ts'
import { attention } from '../../ops/attention/attention.ts'
import { copyRows } from '../../ops/layout/gather.ts'
import { linear } from '../../ops/matmul/matmul.ts'
import { rmsNorm } from '../../ops/norm/norm.ts'
import { type Columns, type Shape, type SizeValue, scope, type Tensor } from '../../tensor/tensor.ts'
import type { LlmConfig } from '../checkpoint/config.ts'
import type { Weights } from '../checkpoint/weights.ts'
import { phi3 } from './phi3.ts'
import { qwen3 } from './qwen3.ts'

/** Queries, keys and values of T rows, heads side by side; queries and keys turned to their positions. */
export interface Heads {
  /** [T, heads * d] */
  readonly query: Tensor
  /** [T, kvHeads * d] */
  readonly key: Tensor
  /** [T, kvHeads * d] */
  readonly value: Tensor | Columns
}

/** The differences between language models. Both functions get the layer's weights. */
export interface LlmFamily {
  /** @param position of the first row */
  heads(x: Tensor, w: Weights, config: LlmConfig, position: SizeValue): Heads
  /** silu(gate(x)) * up(x), [T, I]: the MLP up to its down projection. */
  gated(x: Tensor, w: Weights, config: LlmConfig): Tensor
}

const families: Record<LlmConfig['type'], LlmFamily> = { qwen3, phi3 }

/** Keys and values of a layer, [capacity, kvHeads * d]; rows are positions. */
export interface LayerCache {
  /** Keys, turned to their positions (RoPE). */
  readonly key: Tensor
  /** Values, which aren't turned. */
  readonly value: Tensor
}

/** One entry a layer, bound to the plan or resident. */
export type KvCache = readonly LayerCache[]

/**
 * The tensors that a cache needs: a key and a value of this shape for each layer.
 *
 * @param capacity rows, the longest sequence
 * @throws LimitError when that is longer than the model was made for
 */
export function kvCacheShapes(config: LlmConfig, capacity: number): { layers: number; shape: Shape } {
  if (capacity > config.maxPositions) {
    throw new LimitError(
      `A sequence of ${capacity} rows is longer than this language model reads (${config.maxPositions}). ` +
        'Lower prompt.maxTokens in config.json.',
    )
  }
  return { layers: config.layers, shape: [capacity, config.kvHeads * config.headDim] }
}

/**
 * Reads T rows after the `position` rows that are in the cache, and adds theirs to it.
 *
 * @param x        [T, H], embedded
 * @param w        llm.
 * @param position of the first row
 * @returns        [T, H], after the final norm
 */
export function llm(x: Tensor, w: Weights, config: LlmConfig, cache: KvCache, position: SizeValue): Tensor {
  return inOneGo(llmSteps(x, w, config, cache, position))
}

/** The steps of {@link llm}, one per layer, for a plan that is recorded in turns. */
export function* llmSteps(
  x: Tensor,
  w: Weights,
  config: LlmConfig,
  cache: KvCache,
  position: SizeValue,
): Generator<void, Tensor, void> {
  for (const [i, layerCache] of cache.entries()) {
    const layer = w.scope(`model.layers.${i}.`)
    x = scope(`layers.${i}`, () => llmLayer(x, layer, config, layerCache, position))
    yield
  }
  return rmsNorm(x, w.tensor('model.norm.weight'), config.eps)
}

/**
 * Reads T rows as {@link llm} does, for their keys and values alone: the last layer stops once it has added its own to
 * the cache.
 */
export function llmPrefix(
  x: Tensor,
  w: Weights,
  config: LlmConfig,
  cache: KvCache,
  position: SizeValue,
): void {
  inOneGo(llmPrefixSteps(x, w, config, cache, position))
}

/** The steps of {@link llmPrefix}, one per layer, for a plan that is recorded in turns. */
export function* llmPrefixSteps(
  x: Tensor,
  w: Weights,
  config: LlmConfig,
  cache: KvCache,
  position: SizeValue,
): Generator<void, void, void> {
  for (const [i, layerCache] of cache.entries()) {
    const layer = w.scope(`model.layers.${i}.`)
    scope(`layers.${i}`, () => {
      if (i < cache.length - 1) x = llmLayer(x, layer, config, layerCache, position)
      else writeCache(x, layer, config, layerCache, position)
    })
    yield
  }
}

/** One pre-norm block: causal attention over the cache, then an MLP. x is [T, H]. */
export function llmLayer(
  x: Tensor,
  w: Weights,
  config: LlmConfig,
  cache: LayerCache,
  position: SizeValue,
): Tensor {
  const { heads, kvHeads, eps, window } = config

  // 1. Attention
  const query = writeCache(x, w, config, cache, position)
  const bias = { kind: 'causal', start: position, ...(window === undefined ? {} : { window }) } as const
  const mixed = attention({ query, ...cache, heads, kvHeads, bias })
  x = linear(mixed, w.tensor('self_attn.o_proj.weight'), { residual: x })

  // 2. MLP
  const y = rmsNorm(x, w.tensor('post_attention_layernorm.weight'), eps)
  return linear(families[config.type].gated(y, w, config), w.tensor('mlp.down_proj.weight'), { residual: x })
}

/** Puts the rows' keys and values into the cache. @returns their queries */
function writeCache(
  x: Tensor,
  w: Weights,
  config: LlmConfig,
  cache: LayerCache,
  position: SizeValue,
): Tensor {
  const y = rmsNorm(x, w.tensor('input_layernorm.weight'), config.eps)
  const { query, key, value } = families[config.type].heads(y, w, config, position)
  copyRows(key, cache.key, position)
  copyRows(value, cache.value, position)
  return query
}
