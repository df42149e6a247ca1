// Answers questions besides plain sentences, in the model's worker: regions, lists of categories, questions and
// descriptions. The answers are objects with names.

import type {
  Answer,
  CategoryAnswers,
  CategoryMode,
  Instance,
  Progress,
  RegionInstances,
  RegionSegmentation,
  Scene,
  Segmentation,
} from '../../src/index.ts'
import type { ObjectsAnswer, ObjectsAsk } from '../common/protocol.ts'
import { type Named, Objects } from '../pixels/objects-of.ts'

/** Options of such a request: progress, text as it comes, and a signal to abort. */
export interface ObjectsTask {
  readonly signal: AbortSignal
  readonly onProgress: (progress: Progress) => void
  /** Called with each new piece of an answer in words. */
  readonly onText: (text: string) => void
}

/** An answer for the page, and what stays here. */
export interface SceneAnswer {
  readonly answer: ObjectsAnswer
  readonly objects: Objects
}

/** Asks an image that was looked at. */
export async function askScene(
  scene: Scene,
  ask: ObjectsAsk,
  { onText, ...task }: ObjectsTask,
): Promise<SceneAnswer> {
  switch (ask.kind) {
    case 'region':
      return ask.like
        ? ofLike(scene, ask, await scene.segmentRegion(ask.region, { ...task, like: true }))
        : ofRegion(scene, ask, await scene.segmentRegion(ask.region, task))
    case 'categories':
      return ofCategories(scene, ask, await scene.segmentCategories(ask.list, task))
    case 'question':
      return ofWords(scene, ask, await scene.ask(ask.question, { ...task, onText }))
    case 'explanation':
      return ofWords(scene, ask, await scene.explain(ask.sentence, { ...task, onText }))
    default:
      return ofWords(scene, ask, await scene.describe({ ...task, onText }))
  }
}

/** All objects that a sentence means. */
export function instancesOf(scene: Scene, { instances = [] }: Segmentation): Objects {
  return new Objects(numbered(instances), scene)
}

/** Objects without names of their own. */
function numbered(instances: readonly Instance[]): Named[] {
  return instances.map(({ score, mask }, i) => ({ name: `Object ${i + 1}`, score, found: true, mask }))
}

function ofRegion(
  scene: Scene,
  ask: ObjectsAsk,
  { found, score, mask, times }: RegionSegmentation,
): SceneAnswer {
  return answerWith(scene, ask, [{ name: 'What is there', score, found, mask }], {
    found,
    unknownWords: [],
    ms: times.read + times.segment,
  })
}

function ofLike(scene: Scene, ask: ObjectsAsk, { found, instances, times }: RegionInstances): SceneAnswer {
  const ms = times.read + times.segment
  return answerWith(scene, ask, numbered(instances), { found, ms, unknownWords: [] })
}

function ofCategories(scene: Scene, ask: ObjectsAsk, answer: CategoryAnswers[CategoryMode]): SceneAnswer {
  const { found, categories, mode, times, unknownWords } = answer
  const named =
    answer.mode === 'instance'
      ? answer.instances.map(({ name, score, mask }) => ({ name, score, found: true, mask }))
      : answer.mode === 'panoptic'
        ? answer.segments.map(({ name, score, mask }) => ({ name, score, found: true, mask }))
        : answer.segments.map(({ name, score, mask }) => ({ name, score, found, mask }))
  return answerWith(scene, ask, named, {
    found,
    unknownWords,
    ms: times.read + times.segment,
    categories: { mode, asked: categories.length },
  })
}

function ofWords(scene: Scene, ask: ObjectsAsk, answer: Answer): SceneAnswer {
  const { text, parts, phrases, end, tokens, times, unknownWords } = answer
  const named = phrases.map((phrase) => ({ ...phrase, name: phrase.text, mask: phrase.mask }))
  return answerWith(scene, ask, named, {
    found: phrases.some(({ found }) => found),
    unknownWords,
    ms: times.write + times.segment,
    words: { text, parts, end, tokens: tokens.length },
  })
}

function answerWith(
  scene: Scene,
  ask: ObjectsAsk,
  named: readonly Named[],
  facts: Pick<ObjectsAnswer, 'found' | 'ms' | 'unknownWords' | 'categories' | 'words'>,
): SceneAnswer {
  const objects = new Objects(named, scene)
  const { world } = scene
  return { objects, answer: { ...facts, world, ask, objects: objects.facts(), colours: objects.colours() } }
}
