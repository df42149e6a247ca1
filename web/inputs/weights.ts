// The dialog about the model: what it is, and other weights in its place.

import { chosenFiles, printable } from '../../src/index.ts'
import { megabytes } from '../common/format.ts'
import type { LoadRequest, ModelFacts, WeightsPlace } from '../common/protocol.ts'
import { byId, make } from '../page/dom.ts'
import { listenToInput } from './inputs.ts'

const dialog = byId('model-dialog', HTMLDialogElement)

/** @param fail with what was chosen and isn't one model */
export function listenToWeights(load: (request: LoadRequest) => void, fail: (error: unknown) => void): void {
  const quantize = byId('weights-quantize', HTMLSelectElement)
  const go = (place: WeightsPlace): void => {
    dialog.close()
    const bits = quantize.value
    load(bits === 'int8' || bits === 'int4' ? { place, quantize: bits } : { place })
  }
  byId('model-button').addEventListener('click', () => openWeights())
  for (const kind of ['folder', 'files'] as const) {
    const input = byId(`weights-${kind}-input`, HTMLInputElement)
    byId(`weights-${kind}`).addEventListener('click', () => input.click())
    listenToInput(input, (all) => {
      dialog.close()
      chosenFiles(all)
        .then((files) => go({ kind: 'files', files }))
        .catch(fail)
    })
  }
  const valueOf = (id: string): string => byId(id, HTMLInputElement).value.trim()
  byId('weights-form').addEventListener('submit', () =>
    go({
      kind: 'url',
      url: valueOf('weights-url'),
      token: valueOf('weights-token'),
      endpoint: valueOf('weights-endpoint') || undefined,
    }),
  )
  byId('weights-embedded').addEventListener('click', () => go({ kind: 'embedded' }))
  for (const button of document.querySelectorAll('[data-close]')) {
    button.addEventListener('click', () => button.closest('dialog')?.close())
  }
}

/** Opens the dialog in which weights are chosen. */
export function openWeights(): void {
  dialog.showModal()
}

/** Shows the name, adapter and sizes of the model that is loaded. */
export function showModel(model: ModelFacts): void {
  const name = printable(model.name)
  byId('model-name').textContent = name
  byId('model-adapter').textContent = shortAdapter(model)
  const facts: readonly (readonly [string, string])[] = [
    ['Model', model.baseline ? `${name}, without the flow` : name],
    ['Computed by', model.software ? `${model.adapter}: the processor, as there is no GPU` : model.adapter],
    ...knowsRows(model),
    ['On the device', megabytes(model.bytes)],
    ['Candidates', `${model.queries}, through ${model.layers} layers`],
  ]
  byId('model-facts').replaceChildren(
    ...facts.flatMap(([name, value]) => [make('dt', {}, name), make('dd', {}, value)]),
  )
  byId('model-notes').replaceChildren(...model.notes.map((note) => make('li', {}, printable(note, Infinity))))
}

/** What it says that it knows. */
function knowsRows({ knows, tasks }: ModelFacts): (readonly [string, string])[] {
  if (!knows) return []
  const { domain, words } = knows
  return [
    ...(domain === undefined ? [] : [['Knows', printable(domain, Infinity)] as const]),
    ['Tasks', tasks.join(', ')],
    ...(words.length === 0 ? [] : [['Words', words.length.toLocaleString('en')] as const]),
  ]
}

/** Names of adapters come with drivers and versions. */
function shortAdapter({ adapter }: ModelFacts): string {
  return adapter.replace(/\s*\(.*$/, '').slice(0, 40)
}
