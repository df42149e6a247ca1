// Every question that can be asked of a scene tells of a number that isn't finite: those that have several masks, maps
// and words have plans of their own, and look at what these computed. The weights are spoilt on the device, where no
// check of the file sees it.

import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { TASKS } from '../../../src/model/checkpoint/task-config.ts'
import { FlowSeg, type Scene } from '../../../src/model/flowseg.ts'
import { adapters } from '../../support.ts'
import { picture, smallCheckpoint } from '../checkpoint/small-checkpoint.ts'
import {
  bytesKept,
  CLASSES,
  CONDITION,
  expectStage,
  type Home,
  MASKS,
  NEXT_TOKEN,
  noteHomes,
  REFINED,
  WORDS,
  whileSpoilt,
} from './spoil.ts'

vi.setConfig({ testTimeout: 400_000, hookTimeout: 400_000 })

const files = smallCheckpoint({ tasks: [...TASKS], positions: 1024, maxTokens: 500 })
const ALPHA = 'segmentor.boundary_refiner.alpha'
const EMBEDDER = 'segmentor.decoder.decoder.mask_predictor.mask_embedder.1.0.bias'
const BACKGROUND = 'bg_embeds.weight'
const HEAD = 'llm.lm_head.weight'

const ALL = { flow: true, threshold: 0 } as const
const LIST = { things: ['a red mug', 'a bird'], stuff: ['sky'] }
const BOX = { box: [5, 5, 25, 20] } as const

/** A question, and the tensors that spoil its answer, each with the stage that is the first to show it. */
const QUESTIONS: [
  what: string,
  ask: (scene: Scene) => Promise<unknown>,
  spoilt: [name: string, stage: string][],
][] = [
  ['segment, all', (scene) => scene.segment('a dog', { all: true, threshold: 0 }), [[ALPHA, REFINED]]],
  [
    'segmentEach, all',
    (scene) => scene.segmentEach(['a dog', 'a cat'], { all: true, threshold: 0 }),
    [[ALPHA, REFINED]],
  ],
  ['segmentRegion', (scene) => scene.segmentRegion(BOX, ALL), [[ALPHA, REFINED]]],
  ['segmentRegion, like', (scene) => scene.segmentRegion(BOX, { ...ALL, like: true }), [[ALPHA, REFINED]]],
  [
    'segmentCategories, instance',
    (scene) => scene.segmentCategories(LIST, { ...ALL, mode: 'instance' }),
    [[ALPHA, REFINED]],
  ],
  [
    'segmentCategories, panoptic',
    (scene) => scene.segmentCategories(LIST, { ...ALL, mode: 'panoptic' }),
    [[ALPHA, REFINED]],
  ],
  [
    'segmentCategories, semantic',
    (scene) => scene.segmentCategories(LIST, { ...ALL, mode: 'semantic' }),
    // It is made of masks that aren't refined
    [
      [EMBEDDER, MASKS],
      [BACKGROUND, CLASSES],
    ],
  ],
  ['ask', (scene) => scene.ask('What is it?', { maxTokens: 3 }), [[HEAD, NEXT_TOKEN]]],
  [
    'ask, by chance',
    (scene) => scene.ask('What is it?', { maxTokens: 3, temperature: 1, seed: 1 }),
    [[HEAD, NEXT_TOKEN]],
  ],
  ['describe', (scene) => scene.describe({ maxTokens: 3 }), [[HEAD, NEXT_TOKEN]]],
  [
    // Its phrase is the question's, and so has a mask whatever the words are
    'explain',
    (scene) => scene.explain('a dog', { maxTokens: 3, flow: true }),
    [
      [HEAD, NEXT_TOKEN],
      ['llm_projector.model.2.bias', CONDITION],
      [BACKGROUND, CLASSES],
      [ALPHA, REFINED],
    ],
  ],
]

for (const gpu of await adapters()) {
  const homes = new Map<string, Home>()
  let model: FlowSeg
  let scene: Scene

  beforeAll(async () => {
    noteHomes(gpu, homes)
    model = await FlowSeg.load(files, { gpu })
    scene = await model.look(picture(40, 30))
    await scene.ask('What is it?', { maxTokens: 1 }) // loads the head
    vi.restoreAllMocks()
  })
  afterAll(() => model.close())

  test.each(QUESTIONS)(`%s, on ${gpu.name}`, async (_, ask, spoilt) => {
    await ask(scene)
    const bytes = bytesKept(gpu)
    for (const [name, stage] of spoilt) {
      for (const [kind, word] of Object.entries(WORDS)) {
        await whileSpoilt(gpu, homes.get(name)!, word, () =>
          expectStage(ask(scene), stage, `${kind} in ${name}`),
        )
      }
    }
    await ask(scene)
    expect(bytesKept(gpu)).toBe(bytes)
  })
}
