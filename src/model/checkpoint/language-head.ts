// The head of the language model: [vocab, H], from a token's state to the logits of the next one. No mask needs it, and
// it is up to a fifth of the model, so it comes to the device when words are asked for, and stays until the model is
// closed. Where the checkpoint ties it to the embedding, it is that table; else a matrix of its own.

import { WeightsError } from '../../errors.ts'
import type { Gpu } from '../../gpu/gpu.ts'
import type { Checkpoint } from '../../io/safetensors.ts'
import type { Quantized } from '../../kernels/quantize.ts'
import { printable } from '../../printable.ts'
import type { TaskOptions } from '../../progress.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import type { ParameterMatch } from './fit.ts'
import { type LoadedMatrix, loadMatrix } from './weights.ts'

/** Its owner in the memory report. */
const OWNER = 'lm_head'

/** The source of the head in the checkpoint, and the type it is quantised to on the device. */
export interface HeadSource {
  /** The device that the head is loaded to. */
  readonly gpu: Gpu
  /** Open for as long as this is used. */
  readonly checkpoint: Checkpoint
  /** The tensor that stores it; undefined if there is none. */
  readonly match: ParameterMatch | undefined
  /**
   * The type that the language model's matrices are quantised to while they are loaded; undefined if they stay as
   * stored.
   */
  readonly quantize: Quantized | undefined
}

/** The head, on the device once it was asked for. */
export class LanguageHead {
  readonly #source: HeadSource
  #loaded: LoadedMatrix | undefined

  constructor(source: HeadSource) {
    this.#source = source
  }

  /** True if the checkpoint stores a head. */
  get isStored(): boolean {
    return this.#source.match !== undefined
  }

  /**
   * The head on the device, in a turn of the model.
   *
   * @throws WeightsError if the checkpoint has none, or can't be read any more; OutOfMemoryError, LimitError: the model
   *   goes on without it
   */
  async load({ onProgress, signal }: TaskOptions = {}): Promise<Tensor> {
    if (this.#loaded) return this.#loaded.tensor
    const { gpu, checkpoint, match, quantize } = this.#source
    if (!match) {
      throw new WeightsError(
        `There is no llm.lm_head.weight in ${printable(checkpoint.name)}: without it the language model can't write words. ` +
          'Take the original checkpoint, or convert it again with this version.',
      )
    }
    // A sum over few bits decides between words that are nearly as likely: 8 at least, as for the embedding
    const [N = 0, K = 0] = match.parameter.shape
    // Few bits can't be held in several buffers
    const isRounded = quantize !== undefined && N * K <= gpu.bindingLimit
    const options = { onProgress, signal, quantize: isRounded ? ('int8' as const) : undefined, owner: OWNER }
    this.#loaded = await loadMatrix(gpu, checkpoint, match, options)
    return this.#loaded.tensor
  }

  /** Frees it. */
  release(): void {
    this.#loaded?.release()
    this.#loaded = undefined
  }
}
