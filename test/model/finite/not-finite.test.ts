// One NaN or one infinity in the weights, put on the device after they were loaded, where no check of the file can see
// it: the first stage that it reaches says so, whichever network it is in, and afterwards model and scene are as they
// were.

import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { TokenEmbeddings } from '../../../src/model/checkpoint/token-embeddings.ts'
import { FlowSeg, type Scene, type Segmentation } from '../../../src/model/flowseg.ts'
import { buildPrompt } from '../../../src/model/input/prompt.ts'
import { placeOf, readBytes, runtime, sample } from '../../runtime.ts'
import { adapters, expectSameBits } from '../../support.ts'
import {
  bytesKept,
  CLASSES,
  CONDITION,
  expectStage,
  FEATURES,
  type Home,
  MASKS,
  noteHomes,
  REFINED,
  SAM,
  SEG,
  SIGLIP,
  WORDS,
  whileSpoilt,
} from './spoil.ts'

const SENTENCE = 'the dotted shape'

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

vi.setConfig({ testTimeout: 400_000, hookTimeout: 400_000 })

for (const [place, gpu] of (await adapters()).entries()) {
  const isFirst = place === 0 && runtime === 'node'
  describe(`flowseg-nano, spoilt on ${gpu.name}`, () => {
    const homes = new Map<string, Home>()
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

    const spoilt = (name: string, word: number, run: () => Promise<void>): Promise<void> =>
      whileSpoilt(gpu, homes.get(name)!, word, run)

    async function expectAsBefore(): Promise<void> {
      const again = await scene.segment(SENTENCE)
      expectSameBits(again.logits.refined, answer.logits.refined)
      expect(again.score).toBe(answer.score)
      expect(bytesKept(gpu)).toBe(bytes)
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
