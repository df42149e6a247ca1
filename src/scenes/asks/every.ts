// All that a scene of the second generation is asked, as one list that depends on split and number alone.

import { Random } from '../random.ts'
import { isForTests, type Scene, SPLIT_SEEDS } from '../scene.ts'
import type { ExplainedSentence } from '../sentences.ts'
import { absentPhrases } from './absent.ts'
import type { Ask, PhraseAsk } from './ask.ts'
import { gestures, type Pointable } from './gestures.ts'
import { categoryList } from './lists.ts'
import { otherOnes, severalPhrases } from './several.ts'
import { description, questions } from './talk.ts'
import { reworded, wordings } from './wording.ts'

/** Wordings of a sentence that tests compare. */
const WORDINGS = 8

/**
 * @param sentences those of the first generation that are true of the scene
 * @param visible   boxes and ids of what is seen
 */
export function everyAsk(scene: Scene, sentences: readonly ExplainedSentence[], visible: Pointable): Ask[] {
  const random = new Random(SPLIT_SEEDS[scene.split], scene.index, 104729)
  const isTest = isForTests(scene.split)
  const texts = sentences.map(({ text }) => text)

  // For training each sentence in one other wording; for tests a few in eight
  const chosen = isTest ? random.shuffle(sentences).slice(0, 2) : sentences
  const worded = chosen.flatMap(({ text, target }) => {
    const others = isTest ? wordings(random, text, WORDINGS) : [reworded(random, text)]
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
    !isTest && random.chance(0.35) ? { ...ask, text: reworded(random, ask.text), plain: ask.text } : ask,
  )
  return [
    ...worded,
    ...phrases,
    categoryList(random, scene, isTest),
    categoryList(random, scene, isTest),
    ...gestures(random, visible),
    ...questions(random, scene, isTest),
    description(scene),
  ]
}
