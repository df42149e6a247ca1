// All that a scene of the second generation is asked, as one list that depends on split and number alone.

import { KeyedRandom } from '../random.ts'
import { isForTests, SPLIT_SEEDS, type SyntheticScene } from '../scene.ts'
import { type ExplainedSentence, writeSentences } from '../sentences.ts'
import { absentPhrases } from './absent.ts'
import type { Ask, PhraseAsk } from './ask.ts'
import { gestures, type Pointable } from './gestures.ts'
import { categoryList, shortList } from './lists.ts'
import { otherOnes, severalPhrases } from './several.ts'
import { description, questions } from './talk.ts'
import { reworded, wordings } from './wording.ts'

/** Wordings of a sentence that tests compare. */
const WORDINGS = 8

/**
 * @param sentences those of the first generation that are true of the scene
 * @param visible   boxes and ids of what is seen
 */
export function everyAsk(
  scene: SyntheticScene,
  sentences: readonly ExplainedSentence[],
  visible: Pointable,
): Ask[] {
  const random = new KeyedRandom(SPLIT_SEEDS[scene.split], scene.index, 104729)
  const isTest = isForTests(scene.split)
  const texts = sentences.map(({ text }) => text)

  // For training each sentence in one other wording; else two of those that are asked themselves in eight
  const trains = scene.split === 'train2'
  const chosen = trains ? sentences : random.shuffle(writeSentences(scene)).slice(0, 2)
  const worded = chosen.flatMap(({ text, target }) => {
    const others = trains ? [reworded(random, text)] : wordings(random, text, WORDINGS)
    return others.map(
      (other): PhraseAsk => ({
        task: 'phrase',
        kind: 'wording',
        text: other,
        targets: [target],
        from: text,
      }),
    )
  })
  // Training rewords all kinds, or politeness would tell that something is there
  const phrases = [
    ...otherOnes(random, scene.objects),
    ...severalPhrases(random, scene.objects),
    ...absentPhrases(random, scene, texts, isTest),
  ].map((ask) =>
    trains && random.chance(0.35) ? { ...ask, text: reworded(random, ask.text), plain: ask.text } : ask,
  )
  return [
    ...worded,
    ...phrases,
    categoryList(random, scene, isTest),
    categoryList(random, scene, isTest),
    ...gestures(random, visible),
    ...questions(random, scene, isTest),
    description(scene),
    shortList(random, scene, isTest),
  ]
}
