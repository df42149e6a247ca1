// An answer of objects on the page: its colours on the canvas, their list, and what it is in words.

import { printable } from '../../src/index.ts'
import type { AnswerFacts, ModelFacts, ObjectsAnswer, ObjectsAsk } from '../common/protocol.ts'
import { caveatsInWords, setKnows, showWorld } from '../inputs/knows.ts'
import { setTasks } from '../inputs/tabs.ts'
import { showModel } from '../inputs/weights.ts'
import { note } from '../page/notices.ts'
import { say } from '../page/progress.ts'
import type { Maps } from '../view/protocol.ts'
import { type ObjectsPlace, showObjects, tellObjects } from './objects.ts'
import { showWords } from './words.ts'

const TITLES: Readonly<Record<ObjectsAsk['kind'], string>> = {
  region: 'Found',
  categories: 'Legend',
  question: 'Phrases',
  explanation: 'Phrases',
  description: 'Phrases',
}

/** A question, or what stands for one, above its answer; undefined where the answer has no words. */
export function spokenTitle(ask: ObjectsAsk): string | undefined {
  if (ask.kind === 'question') return ask.question
  if (ask.kind === 'explanation') return ask.sentence
  return ask.kind === 'description' ? 'Describe the image' : undefined
}

/** Shows what the model is, what it can be asked, and what it knows. */
export function presentModel(model: ModelFacts): void {
  showModel(model)
  setTasks(printable(model.name), model.tasks)
  setKnows(model)
}

/** Shows an answer of objects, and says it. */
export function presentObjects(answer: ObjectsAnswer, place: ObjectsPlace): void {
  const { ask, found, colours, objects } = answer
  const { canvas } = place
  const title = spokenTitle(ask)
  canvas.setAnswer({ colours })
  showObjects(objects, TITLES[ask.kind], place)
  showWorld(answer.world)
  const words = title === undefined ? tellObjects(answer) : showWords(title, answer, place)
  canvas.note(found || title !== undefined ? '' : words)
  canvas.describe(words)
  say([words, caveatsInWords(answer)].filter(Boolean).join(' '))
}

/** The maps that the answer to a sentence draws; none where nothing was found. */
export function mapsOf({ found, isPicked, all, mask }: AnswerFacts): Maps {
  if (!found && !isPicked) return {}
  return all ? { colours: all.colours } : { mask }
}

/** True if the weights know regions; if not, tells the user so. @param what the gesture: 'a box' */
export function expectRegions({ name, tasks }: ModelFacts, what: string): boolean {
  if (tasks.includes('regions')) return true
  note(
    `${printable(name)} was not trained on regions, so ${what} means nothing to it: the tasks of its config.json are ` +
      `${tasks.join(', ')}. A click picks a candidate of the last sentence.`,
  )
  return false
}
