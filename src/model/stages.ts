// The stages of the model whose results are checked while it runs: all numbers must be finite.
//
// A NaN seldom shows in the end: a mask is where logits are above 0, which NaN never is, and a score of another query
// is as good as any. So each plan reduces what its stages computed to a few words on the device, which come to the host
// with what it reads back anyway (ops/reduce/magnitude.ts). Results that come whole are checked on the host.

import { NumericError } from '../errors.ts'
import { INFINITY_BITS, magnitude } from '../ops/reduce/magnitude.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { HostArrays } from './segmentation.ts'

/** The stages that are watched, in the order in which they are computed. */
const STAGES = {
  sam: "the output of SAM's encoder",
  siglip: "the output of SigLIP's encoder",
  features: 'the mask features of the pixel decoder',
  condition: "the language model's C (what the sentence means)",
  seg: "the language model's S (of the <SEG> token)",
  words: "the language model's logits of the next token",
  classes: 'the class logits of the decoder',
  masks: 'the mask logits of the decoder',
  refined: 'the mask after boundary refinement',
} as const

/** The name of a stage that is watched. */
export type Stage = keyof typeof STAGES

const PREFIX = 'magnitude of '

/** The stages of results that plans read back whole, by output: the host checks them instead of the device. */
const WHOLE: Readonly<Record<string, Stage>> = { logits: 'classes', masks: 'masks' }

/**
 * Outputs for a plan to read, for expectFiniteStages. Call it where xs are made: they are kept until it has read them.
 */
export function watched(stage: Stage, ...xs: readonly Tensor[]): Readonly<Record<string, Tensor>> {
  return Object.fromEntries(xs.map((x, i) => [`${PREFIX}${stage} ${i}`, magnitude(x)]))
}

/**
 * @param read     what a plan read back
 * @param adapter  its name
 * @throws NumericError naming the first stage whose result isn't finite
 */
export function expectFiniteStages(read: HostArrays, adapter: string): void {
  for (const [stage, what] of Object.entries(STAGES)) {
    let most = 0
    for (const [name, words] of Object.entries(read)) {
      if (name.startsWith(`${PREFIX}${stage} `)) most = Math.max(most, ...words)
      else if (WHOLE[name] === stage) most = Math.max(most, largestBits(words))
    }
    if (most < INFINITY_BITS) continue
    const kind = most === INFINITY_BITS ? 'an infinity' : 'NaN'
    throw new NumericError(
      `${capital(what)}: the first of the model's stages with ${kind} in it, on ${adapter}. The weights were finite ` +
        'when they were loaded, so either numbers grew past what 32 bits hold, or memory or kernels of the device are at fault. ' +
        'Load the model again; if that gives the same, load it without `quantize` or with another, or on another ' +
        'adapter. `flowseg doctor` tests the kernels of each.',
    )
  }
}

/** Computes on the host what ops/reduce/magnitude.ts does on the device: the bits of the largest absolute value. */
function largestBits(x: Float32Array | Uint32Array): number {
  const words = new Uint32Array(x.buffer, x.byteOffset, x.length)
  let most = 0
  for (let i = 0; i < words.length; i++) {
    const bits = Number(words[i]) & 0x7fffffff
    if (bits > most) most = bits
  }
  return most
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
