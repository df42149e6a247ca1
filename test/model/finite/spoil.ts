// Weights with one number that isn't finite, put where they are on the device, and the error that tells of it.

import { expect, vi } from 'vitest'
import { NumericError } from '../../../src/errors.ts'
import type { Gpu } from '../../../src/gpu/gpu.ts'

/** The memory of a weight on the device. */
export type Home = GPUBuffer | GPUTexture

// What an error begins with: the first stage that isn't finite
export const SAM: string = "The output of SAM's encoder"
export const SIGLIP: string = "The output of SigLIP's encoder"
export const FEATURES: string = 'The mask features of the pixel decoder'
export const CONDITION: string = "The language model's C"
export const SEG: string = "The language model's S"
export const NEXT_TOKEN: string = "The language model's logits of the next token"
export const CLASSES: string = 'The class logits of the decoder'
export const MASKS: string = 'The mask logits of the decoder'
export const REFINED: string = 'The mask after boundary refinement'

/** The bits of what isn't finite. */
export const WORDS: { readonly NaN: number; readonly infinity: number } = {
  NaN: 0x7fc00000,
  infinity: 0x7f800000,
}

/** Owners of weights in the memory report. */
const OWNERS = ['weights', 'lm_head']

/** Expects that this ends with a NumericError of the stage. @param kind for messages */
export async function expectStage(what: Promise<unknown>, stage: string, kind: string): Promise<void> {
  const error = await what.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(NumericError)
  expect(error).toMatchObject({ code: 'ERR_NUMERIC' })
  const { message } = error as NumericError
  expect(message.startsWith(stage), `${kind}: ${message}`).toBe(true)
}

/** Runs it with the word of a tensor's first value changed. */
export async function whileSpoilt(
  gpu: Gpu,
  home: Home,
  word: number,
  run: () => Promise<void>,
): Promise<void> {
  const restore = poke(gpu, home, word)
  try {
    await run()
  } finally {
    restore()
  }
}

/** Bytes on the device that aren't plans': those stay ready for the next sentence. */
export function bytesKept(gpu: Gpu): number {
  const owners = Object.entries(gpu.memory().byOwner)
  return owners.reduce((sum, [owner, bytes]) => sum + (owner.startsWith('plan ') ? 0 : bytes), 0)
}

/** Notes the memory of weights that are allocated from now on, by name. */
export function noteHomes(gpu: Gpu, homes: Map<string, Home>): void {
  const { buffers } = gpu
  const [allocate, allocateTexture] = [buffers.allocate.bind(buffers), buffers.allocateTexture.bind(buffers)]
  vi.spyOn(buffers, 'allocate').mockImplementation(async (requests) => {
    const buffers = await allocate(requests)
    requests.forEach(({ label, owner }, i) => OWNERS.includes(owner ?? '') && homes.set(label, buffers[i]!))
    return buffers
  })
  vi.spyOn(buffers, 'allocateTexture').mockImplementation(async (request) => {
    const texture = await allocateTexture(request)
    homes.set(request.label, texture)
    return texture
  })
}

/** Changes the first word, or in a texture the first texel. @returns what changes it back */
function poke(gpu: Gpu, home: Home, word: number): () => void {
  const { device } = gpu
  const { COPY_SRC, COPY_DST } = GPUBufferUsage
  const own = device.createBuffer({ size: 256, usage: COPY_SRC | COPY_DST })
  const copy = (encode: (encoder: GPUCommandEncoder) => void): void => {
    const encoder = device.createCommandEncoder()
    encode(encoder)
    device.queue.submit([encoder.finish()])
  }
  const texel = { buffer: own, bytesPerRow: 256 }
  if ('format' in home) {
    copy((encoder) => encoder.copyTextureToBuffer({ texture: home }, texel, [1, 1]))
    device.queue.writeTexture({ texture: home }, Uint32Array.of(word, 0, 0, 0), { bytesPerRow: 16 }, [1, 1])
  } else {
    copy((encoder) => encoder.copyBufferToBuffer(home, 0, own, 0, 4))
    device.queue.writeBuffer(home, 0, Uint32Array.of(word))
  }
  return () => {
    if ('format' in home) copy((encoder) => encoder.copyBufferToTexture(texel, { texture: home }, [1, 1]))
    else copy((encoder) => encoder.copyBufferToBuffer(own, 0, home, 0, 4))
    own.destroy()
  }
}
