// The gallery: scenes of the test split, which the model has never seen, and what may be asked of them.

import { byId, make } from '../page/dom.ts'
import { samples } from '../samples/samples.json'

const ADDRESSES = import.meta.glob<string>('../samples/*.png', {
  query: '?url',
  import: 'default',
  eager: true,
})

/** A scene of the gallery. */
export interface Sample {
  readonly name: string
  readonly title: string
  readonly url: string
  readonly sentences: readonly string[]
}

/** The gallery, in its order. */
export const SAMPLES: readonly Sample[] = samples.map(({ index, title, sentences }) => {
  const name = `scene-${index}.png`
  const url = ADDRESSES[`../samples/${name}`]
  if (!url) throw new Error(`web/samples/ has no ${name}, which samples.json names.`)
  return { name, title, sentences, url }
})

/** Fills the gallery. @param choose called with the scene whose picture is pressed */
export function showSamples(choose: (sample: Sample) => void): void {
  const buttons = SAMPLES.map((sample) => {
    const image = make('img', { src: sample.url, alt: sample.title, width: 72, height: 72 })
    const button = make('button', { type: 'button', title: sample.title, 'aria-pressed': 'false' }, image)
    button.addEventListener('click', () => choose(sample))
    return button
  })
  byId('samples').replaceChildren(...buttons.map((button) => make('li', {}, button)))
}

/** Marks the scene that is on the canvas, if one is. */
export function markSample(current: Sample | undefined): void {
  byId('samples')
    .querySelectorAll('button')
    .forEach((button, i) => {
      button.setAttribute('aria-pressed', String(SAMPLES[i] === current))
    })
}
