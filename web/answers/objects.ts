// The objects of an answer, beside the image: a list with each one's colour and score. Pointing at an entry highlights
// its object on the canvas; pressing it keeps it so.

import { printable } from '../../src/index.ts'
import type { ImageCanvas, Look } from '../canvas/image-canvas.ts'
import { milliseconds, percent, scoreText } from '../common/format.ts'
import type { ColourMap, ObjectFacts, ObjectsAnswer } from '../common/protocol.ts'
import { unknownLine } from '../inputs/knows.ts'
import { byId, make } from '../page/dom.ts'
import { pointAt } from './answer.ts'

/** The canvas, and the worker that knows the objects. */
export interface ObjectsPlace {
  readonly canvas: ImageCanvas
  /** The colours with one object highlighted; undefined if they can't be had. */
  readonly highlight: (object: number) => Promise<ColourMap | undefined>
}

/** Buttons of the present objects, by the object's number, and the look that each of them keeps. */
let shown: { readonly button: HTMLButtonElement; readonly object: number; look: Look | undefined }[] = []
/** Number of pointings so far: a highlight that comes after the next of them is too late. */
let pointings = 0

const list = byId('objects')

/** Removes the list, and what it has highlighted. */
export function forgetObjects(): void {
  shown = []
  pointings++
  list.replaceChildren()
}

/** Lists objects; those that were not found are left out. */
export function showObjects(objects: readonly ObjectFacts[], title: string, place: ObjectsPlace): void {
  forgetObjects()
  const items = [...objects.entries()].filter(([, { found }]) => found)
  if (items.length === 0) return
  list.replaceChildren(
    make('h3', { id: 'objects-title' }, title),
    make(
      'ol',
      { className: 'objects', 'aria-labelledby': 'objects-title' },
      ...items.map(([k, facts]) => make('li', {}, objectButton(facts, k, place))),
    ),
  )
}

/** A button for an object: a colour, its name, its score and its size. */
function objectButton(facts: ObjectFacts, k: number, place: ObjectsPlace): HTMLButtonElement {
  const { score, share } = facts
  const button = make(
    'button',
    { type: 'button', 'aria-pressed': 'false' },
    swatch(facts),
    make('span', { className: 'name' }, printable(facts.name)),
    make('span', { className: 'value' }, [score?.toFixed(3), percent(share, 1)].filter(Boolean).join(' · ')),
  )
  connectObject(button, k, facts, place)
  return button
}

/** A spot in an object's colour. */
function swatch({ colour }: ObjectFacts): HTMLElement {
  const spot = make('i', { className: 'swatch', 'aria-hidden': 'true' })
  spot.style.backgroundColor = `rgb(${colour.join(' ')})`
  return spot
}

/** Pointing at a button highlights its object; pressing keeps it, until it is pressed again or let go. */
export function connectObject(
  button: HTMLButtonElement,
  object: number,
  { name, score }: ObjectFacts,
  { canvas, highlight }: ObjectsPlace,
): void {
  const entry = { button, object, look: undefined as Look | undefined }
  shown.push(entry)
  const lookOf = async (): Promise<Look | undefined> => {
    const mine = ++pointings
    const caption = [printable(name), score?.toFixed(3)].filter(Boolean).join(' ')
    const colours = entry.look?.maps.colours ?? (await highlight(object))
    return colours && mine === pointings ? { maps: { colours }, caption } : undefined
  }
  pointAt(
    button,
    () => void lookOf().then((look) => look && canvas.preview(look)),
    () => {
      pointings++
      canvas.endPreview()
    },
  )
  button.addEventListener('click', () => {
    if (entry.look && canvas.kept === entry.look) return canvas.keep(undefined)
    void lookOf().then((look) => {
      if (!look) return
      entry.look = look
      canvas.keep(look)
      canvas.reveal() // on a phone it is a page away
    })
  })
}

/** Marks the objects whose look stays on the canvas. */
export function markKeptObject(kept: Look | undefined): void {
  for (const entry of shown) {
    const isKept = kept !== undefined && entry.look === kept
    entry.button.setAttribute('aria-pressed', String(isKept))
    if (!isKept) entry.look = undefined
  }
}

/** Marks the objects that the pointer is over on the canvas. */
export function markPointed(object: number | undefined): void {
  for (const entry of shown) entry.button.classList.toggle('pointed', entry.object === object)
}

/** Says in the place of the answer what an answer of objects is. @returns the same for screen readers */
export function tellObjects(answer: ObjectsAnswer): string {
  const { found, ms, unknownWords } = answer
  const { title, detail } = summary(answer)
  const unknown = unknownLine(unknownWords)
  byId('answer').replaceChildren(
    make(
      'div',
      {},
      make('p', { className: found ? 'headline found' : 'headline' }, title),
      detail
        ? make('p', { className: 'faint score' }, `${detail.charAt(0).toUpperCase()}${detail.slice(1)}`)
        : undefined,
      unknown.length > 0 ? make('p', { className: 'unknown' }, ...unknown) : undefined,
      make('p', { className: 'faint' }, `${milliseconds(ms)}, besides looking at the image`),
    ),
  )
  if (!found) return `${title}: ${detail}`
  return [`${title}.`, detail].filter(Boolean).join(' ')
}

/** What an answer is: in a few words, and what there is to say beside them. */
interface Summary {
  readonly title: string
  readonly detail: string
}

function summary({ ask, found, objects, categories }: ObjectsAnswer): Summary {
  if (ask.kind === 'region') {
    const where = 'point' in ask.region ? 'there' : 'in the box'
    const [best] = objects
    if (ask.like) {
      return found
        ? { title: `Found ${counted(objects.length, 'object')} like what is ${where}`, detail: '' }
        : { title: NOT_FOUND, detail: `nothing like what is ${where} scores high enough.` }
    }
    return found
      ? { title: `Found what is ${where}`, detail: `Score ${scoreText(best?.score ?? 0)}.` }
      : { title: NOT_FOUND, detail: `nothing ${where} scores high enough.` }
  }
  const names = categories?.asked ?? 0
  const many = names === 1 ? '1 category' : `${names} categories`
  if (!found) return { title: NOT_FOUND, detail: `nothing of ${many} is in the image.` }
  const kind = categories?.mode === 'instance' ? 'object' : 'segment'
  return { title: `Found ${counted(objects.length, kind)} of ${many}`, detail: '' }
}

const NOT_FOUND = 'Not found'

function counted(count: number, what: string): string {
  return `${count} ${count === 1 ? what : `${what}s`}`
}
