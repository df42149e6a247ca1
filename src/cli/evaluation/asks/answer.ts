// Asks a model everything that a scene of the second generation can be asked, by the public methods of a scene, and
// compares the answers with what is there. A task that the checkpoint wasn't trained on is left out.

import { entryOf } from '../../../check.ts'
import type { TaskName } from '../../../model/checkpoint/task-config.ts'
import type { FlowSeg, Scene, Segmentation } from '../../../model/flowseg.ts'
import type { Region } from '../../../model/input/region.ts'
import type { Ask, GroundedAsk, ListAsk, PhraseAsk, RegionAsk } from '../../../scenes/asks/ask.ts'
import { type Gesture, pixelsOf } from '../../../scenes/asks/gestures.ts'
import { COLOUR_NAMES, PATTERNS } from '../../../scenes/catalogue.ts'
import type { DatasetScene, ObjectRecord } from '../../../scenes/dataset.ts'
import { type Bits, iouOf, overlap } from '../../metrics.ts'
import { maskFromLogits } from '../../output/resample.ts'
import { boundaryIou } from './boundary.ts'
import type { AskRow, DescriptionRow, ListRow, PhraseRow, RegionRow } from './row.ts'

/** Most tokens of a short answer, and of a description of all objects. */
const MOST_TOKENS = { chat: 32, grounded: 150 } as const

/** A scene as it is asked about. */
interface Asked {
  readonly model: FlowSeg
  readonly scene: Scene
  readonly truth: DatasetScene
  readonly signal: AbortSignal
}

/** Words for objects: a sentence of the first generation, or a phrase of the second. */
interface AskedPhrase extends Pick<PhraseAsk, 'text' | 'targets' | 'from'> {
  readonly kind: string
  /** True for a sentence of the first generation, whose boundaries are measured. */
  readonly isSentence: boolean
}

/**
 * Looks at a scene and asks all about it.
 *
 * @returns a row per ask, and one of the picture if the checkpoint judges it
 */
export async function answerScene(
  model: FlowSeg,
  truth: DatasetScene,
  signal: AbortSignal,
): Promise<AskRow[]> {
  const side = Math.sqrt(truth.ids.length)
  const scene = await model.look({ width: side, height: side, rgb: truth.rgb }, { signal })
  try {
    const asked: Asked = { model, scene, truth, signal }
    const knows = (task: TaskName): boolean => model.config.tasks.includes(task)
    const rows: AskRow[] = []
    const { world } = scene
    if (world) {
      const kind = isForeign(truth) ? (truth.foreign ?? '') : 'scene'
      const { distance, isKnown } = world
      rows.push({ scene: truth.index, task: 'picture', kind, distance, isKnown })
    }
    for (const { text, kind, target } of knows('referring') ? truth.sentences : [])
      rows.push(await answerPhrase(asked, { kind, text, targets: [target], isSentence: true }))
    for (const ask of truth.asks ?? []) {
      if (knows(TASKS[ask.task])) rows.push(await answerAsk(asked, ask))
    }
    return rows
  } finally {
    scene.close()
  }
}

const TASKS: Readonly<Record<Ask['task'], TaskName>> = {
  phrase: 'referring',
  categories: 'categories',
  region: 'regions',
  chat: 'chat',
  grounded: 'grounded',
}

/** True if a picture is of another world. An empty wall is one of this world. */
function isForeign({ foreign }: DatasetScene): boolean {
  return foreign !== undefined && foreign !== 'empty'
}

async function answerAsk(asked: Asked, ask: Ask): Promise<AskRow> {
  if (ask.task === 'phrase') return answerPhrase(asked, { ...ask, isSentence: false })
  if (ask.task === 'region') return answerRegion(asked, ask)
  if (ask.task === 'categories') return answerList(asked, ask)
  if (ask.task === 'grounded') return describeScene(asked, ask)
  const { scene, truth, signal } = asked
  const { kind, text, answer } = ask
  const { text: said } = await scene.ask(text, { maxTokens: MOST_TOKENS.chat, signal })
  return { scene: truth.index, task: 'chat', kind, text, answer, said }
}

// ---------------------------------------------------------------------------------------------------------
// Phrases

async function answerPhrase({ model, scene, truth, signal }: Asked, phrase: AskedPhrase): Promise<PhraseRow> {
  const { kind, text, targets, from, isSentence } = phrase
  const isSeveral = kind.startsWith('several-') && targets.length > 0
  const result = await scene.segment(text, { all: isSeveral, signal })
  const row: PhraseRow = {
    scene: truth.index,
    task: 'phrase',
    kind,
    text,
    ...(from !== undefined && kind === 'wording' && { from }),
    targets: targets.length,
    isForeign: isForeign(truth),
    score: result.score,
    found: result.found,
  }
  const meant = bitsOf(truth.ids, targets)
  if (isSeveral) {
    const { instances = [], union = result.mask } = result
    return { ...row, several: { instances: instances.length, union: overlap(union.data, meant) } }
  }
  if (targets.length !== 1) return row
  return {
    ...row,
    answer: overlap(result.mask.data, meant),
    object: objectUnder(result.mask.data, truth).object,
    ...(isSentence && {
      boundary: {
        refined: boundaryIou(result.mask.data, meant, scene.width),
        raw: boundaryIou(unrefined(result, scene, model.config.sam.image), meant, scene.width),
      },
    }),
  }
}

/** The answer's mask as it is without boundary refinement. */
function unrefined({ logits, canvas: crop }: Segmentation, scene: Scene, canvas: number): Uint8Array {
  const { raw, height, width } = logits
  return maskFromLogits(raw, [height, width], canvas, crop, [scene.height, scene.width]).data
}

// ---------------------------------------------------------------------------------------------------------
// Regions and lists

async function answerRegion({ scene, truth, signal }: Asked, ask: RegionAsk): Promise<RegionRow> {
  const { kind, gesture, target } = ask
  const { score, found, mask } = await scene.segmentRegion(regionOf(gesture, scene), { signal })
  const row: RegionRow = { scene: truth.index, task: 'region', kind, score, found }
  return target === null ? row : { ...row, answer: overlap(mask.data, bitsOf(truth.ids, [target])) }
}

function regionOf(gesture: Gesture, { width, height }: Scene): Region {
  return 'runs' in gesture ? { mask: { width, height, data: pixelsOf(gesture) } } : gesture
}

async function answerList(
  { scene, truth, signal }: Asked,
  { kind, names, targets }: ListAsk,
): Promise<ListRow> {
  const { segments } = await scene.segmentCategories({ things: names }, { mode: 'panoptic', signal })
  const missing = targets.map((objects) => new Set(objects))
  const truePositives: number[] = []
  for (const { category, mask } of segments) {
    const ofName = missing[category] ?? new Set()
    for (const object of ofName) {
      const iou = iouOf(overlap(mask.data, bitsOf(truth.ids, [object])))
      if (iou <= 0.5) continue
      truePositives.push(iou)
      ofName.delete(object)
      break
    }
  }
  return {
    scene: truth.index,
    task: 'categories',
    kind,
    truePositives,
    falsePositives: segments.length - truePositives.length,
    falseNegatives: missing.reduce((sum, { size }) => sum + size, 0),
  }
}

// ---------------------------------------------------------------------------------------------------------
// Descriptions

async function describeScene({ scene, truth, signal }: Asked, ask: GroundedAsk): Promise<DescriptionRow> {
  const { text, phrases } = await scene.describe({ maxTokens: MOST_TOKENS.grounded, signal })
  const named = new Set<number>()
  let right = 0
  const own = phrases.filter(({ span }) => span !== undefined) // without the question's
  for (const phrase of own) {
    const { object, iou } = objectUnder(phrase.mask.data, truth)
    if (object < 0 || iou < 0.5 || !names(phrase.text, entryOf(truth.objects, object))) continue
    right++
    named.add(object)
  }
  return {
    scene: truth.index,
    task: 'grounded',
    kind: ask.kind,
    said: text,
    phrases: own.length,
    right,
    objects: truth.objects.length,
    named: named.size,
  }
}

/** True if a phrase such as "a dotted red star" names the object: its category, and no other colour or pattern. */
export function names(
  phrase: string,
  { category, colour, pattern }: Pick<ObjectRecord, 'category' | 'colour' | 'pattern'>,
): boolean {
  const words = ` ${phrase
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim()} `
  const has = (name: string): boolean => words.includes(` ${name} `)
  const clashes = (own: string | null, all: readonly string[]): boolean =>
    own !== null && all.some((name) => name !== own && has(name))
  return has(category) && !clashes(colour, COLOUR_NAMES) && !clashes(pattern, PATTERNS)
}

// ---------------------------------------------------------------------------------------------------------
// Masks

function bitsOf(ids: Uint8Array, objects: readonly number[]): Uint8Array {
  return ids.map((id) => (id > 0 && objects.includes(id - 1) ? 1 : 0))
}

/** The object that a mask overlaps most, and its IoU; -1 and 0 if it overlaps none. */
function objectUnder(mask: Bits, { ids, objects }: DatasetScene): { object: number; iou: number } {
  let best = { object: -1, iou: 0 }
  for (const object of objects.keys()) {
    const both = overlap(mask, bitsOf(ids, [object]))
    const iou = both.intersection === 0 ? 0 : iouOf(both)
    if (iou > best.iou) best = { object, iou }
  }
  return best
}
