// One NaN or one infinity in the weights, put on the device after they were loaded, where no check of the file can see
// it: the first stage that it reaches says so, whichever network it is in, and afterwards model and scene are as they
// were.

import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { NumericError } from '../../../src/errors.ts'
import type { Gpu } from '../../../src/gpu/gpu.ts'
import { TokenEmbeddings } from '../../../src/model/checkpoint/token-embeddings.ts'
import { FlowSeg, type Scene, type Segmentation } from '../../../src/model/flowseg.ts'
import { buildPrompt } from '../../../src/model/input/prompt.ts'
import { placeOf, readBytes, runtime, sample } from '../../runtime.ts'
import { adapters, expectSameBits } from '../../support.ts'

const SENTENCE = 'the dotted shape'

const SAM = "The output of SAM's encoder"
const SIGLIP = "The output of SigLIP's encoder"
const FEATURES = 'The mask features of the pixel decoder'
const CONDITION = "The language model's C"
const SEG = "The language model's S"
const CLASSES = 'The class logits of the decoder'
const MASKS = 'The mask logits of the decoder'
const REFINED = 'The mask after boundary refinement'

/**
 * Tensors of every network, and the stage that is the first to show it: of `look`, or where an image was looked at
 * before.
 */
const IN_LOOK: [name: string, stage: string][] = [
  ['segmentor.encoder.layers.1.attn.rel_pos_h', SAM],
  ['vision_encoder.vision_model.encoder.layers.1.mlp.fc1.weight', SIGLIP],
  ['seg_connector.model.2.model.2.weight', FEATURES],
  ['segmentor.pixel_decoder.encoder.layers.1.self_attn.sampling_offsets.bias', FEATURES],
  // Looked at without an error, as only the language model sees it
  ['visual_projector.model.0.weight', CONDITION],
  ['seg_projector.model.2.bias', CONDITION],
  ['segmentor.decoder.level_embed.weight', CLASSES],
  ['segmentor.boundary_refiner.compress.weight', REFINED],
]
/**
 * Looks cost the most: the first adapter takes all of them, others those that have a network of their own, or some of
 * these.
 */
const FEWER_LOOKS = sample(IN_LOOK.filter(([name]) => !/level_embed|boundary_refiner/.test(name)))
const IN_SEGMENT: [name: string, stage: string][] = [
  ['llm.model.layers.0.self_attn.q_proj.weight', CONDITION],
  ['llm.model.layers.7.mlp.gate_proj.weight', CONDITION],
  ['llm.model.norm.weight', CONDITION],
  ['llm_projector.model.2.bias', CONDITION],
  ['bg_embeds.weight', CLASSES],
  ['segmentor.class_predictor.logit_scale', CLASSES],
  ['segmentor.decoder.queries_features.weight', CLASSES],
  ['segmentor.decoder.decoder.layers.0.cross_attn.in_proj_bias', CLASSES],
  ['segmentor.decoder.decoder.layers.1.semantic_attn.out_proj.weight', CLASSES],
  ['segmentor.decoder.decoder.layers.2.semantic_gate.bias', CLASSES],
  ['segmentor.decoder.decoder.layers.2.condition_attn.in_proj_bias', CLASSES],
  ['segmentor.decoder.decoder.mask_predictor.mask_embedder.1.0.bias', MASKS],
  ['segmentor.boundary_refiner.refine.0.weight', REFINED],
  ['segmentor.boundary_refiner.refine.2.bias', REFINED],
  ['segmentor.boundary_refiner.alpha', REFINED],
]

const WORDS = { NaN: 0x7fc00000, infinity: 0x7f800000 }

vi.setConfig({ testTimeout: 400_000, hookTimeout: 400_000 })

for (const [place, gpu] of (await adapters()).entries()) {
  const isFirst = place === 0 && runtime === 'node'
  describe(`flowseg-nano, spoilt on ${gpu.name}`, () => {
    const homes = new Map<string, GPUBuffer | GPUTexture>()
    let model: FlowSeg
    let scene: Scene
    let image: Uint8Array<ArrayBuffer>
    let answer: Segmentation
    let bytes = 0

    beforeAll(async () => {
      noteHomes(gpu, homes)
      model = await FlowSeg.load(placeOf('weights/flowseg-nano'), { gpu })
      vi.restoreAllMocks()
      image = await readBytes('test/fixtures/nano/0.png')
      scene = await model.look(image)
      answer = await scene.segment(SENTENCE)
      bytes = bytesKept(gpu)
    })
    afterAll(() => model.close())

    /** Runs it with the word of the tensor's first value changed. */
    async function spoilt(name: string, word: number, run: () => Promise<void>): Promise<void> {
      const restore = await poke(gpu, homes.get(name)!, word)
      try {
        await run()
      } finally {
        restore()
      }
    }

    async function expectAsBefore(): Promise<void> {
      const again = await scene.segment(SENTENCE)
      expectSameBits(again.logits.refined, answer.logits.refined)
      expect(again.score).toBe(answer.score)
      expect(bytesKept(gpu)).toBe(bytes)
    }

    async function expectStage(what: Promise<unknown>, stage: string, kind: string): Promise<void> {
      const error = await what.then(
        () => undefined,
        (reason: unknown) => reason,
      )
      expect(error).toBeInstanceOf(NumericError)
      expect(error).toMatchObject({ code: 'ERR_NUMERIC' })
      const { message } = error as NumericError
      expect(message.startsWith(stage), `${kind}: ${message}`).toBe(true)
    }

    test.each(isFirst ? IN_LOOK : FEWER_LOOKS)('%s', async (name, stage) => {
      for (const [kind, word] of Object.entries(WORDS)) {
        await spoilt(name, word, async () => {
          const answering = async (): Promise<void> => {
            const other = await model.look(image)
            await other.segment(SENTENCE).finally(() => other.close())
          }
          await expectStage(answering(), stage, kind)
        })
      }
      await expectAsBefore()
    })

    test.each(isFirst ? IN_SEGMENT : sample(IN_SEGMENT))('%s', async (name, stage) => {
      for (const [kind, word] of Object.entries(WORDS)) {
        await spoilt(name, word, () => expectStage(scene.segment(SENTENCE), stage, kind))
      }
      await expectAsBefore()
    })

    test('a token of the sentence, <SEG> alone, and a mask that stays on the device', async () => {
      // The row of <SEG> goes nowhere else: nothing after it is read
      const { seg } = buildPrompt(model.tokenizer, SENTENCE, model.config)
      for (const [row, stage] of [
        [0, CONDITION],
        [seg, SEG],
      ] as const) {
        const restore = spoilRow(row)
        await expectStage(scene.segment(SENTENCE), stage, 'NaN')
        restore()
      }
      await spoilt('segmentor.boundary_refiner.alpha', WORDS.NaN, async () => {
        await expectStage(scene.segment(SENTENCE, { output: 'buffer' }), REFINED, 'NaN')
        await expectStage(scene.segment(SENTENCE, { output: 'texture', flow: true }), REFINED, 'NaN')
        await expectStage(answer.candidates[3]!.mask(), REFINED, 'NaN')
      })
      await expectAsBefore()
    })
  })
}

/** Bytes on the device that aren't plans': those stay ready for the next sentence. */
function bytesKept(gpu: Gpu): number {
  const owners = Object.entries(gpu.memory().byOwner)
  return owners.reduce((sum, [owner, bytes]) => sum + (owner.startsWith('plan ') ? 0 : bytes), 0)
}

/** A token's row has a NaN whenever tokens are embedded. @returns what ends that */
function spoilRow(row: number): () => void {
  // oxlint-disable-next-line typescript/unbound-method -- it is applied to its object below
  const { rows } = TokenEmbeddings.prototype
  const spy = vi.spyOn(TokenEmbeddings.prototype, 'rows').mockImplementation(async function (
    this: TokenEmbeddings,
    ...args
  ) {
    const embedded = await rows.apply(this, args)
    embedded[row * this.width] = Number.NaN
    return embedded
  })
  return () => spy.mockRestore()
}

/** Notes the memory of weights that are allocated from now on, by name. */
function noteHomes(gpu: Gpu, homes: Map<string, GPUBuffer | GPUTexture>): void {
  const { buffers } = gpu
  const [allocate, allocateTexture] = [buffers.allocate.bind(buffers), buffers.allocateTexture.bind(buffers)]
  vi.spyOn(buffers, 'allocate').mockImplementation(async (requests) => {
    const buffers = await allocate(requests)
    requests.forEach(({ label, owner }, i) => owner === 'weights' && homes.set(label, buffers[i]!))
    return buffers
  })
  vi.spyOn(buffers, 'allocateTexture').mockImplementation(async (request) => {
    const texture = await allocateTexture(request)
    homes.set(request.label, texture)
    return texture
  })
}

/** Changes the first word, or in a texture the first texel. @returns what changes it back */
async function poke(gpu: Gpu, home: GPUBuffer | GPUTexture, word: number): Promise<() => void> {
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
