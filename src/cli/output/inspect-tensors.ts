// The part of `flowseg inspect` that lists tensors: those of many layers on one line, and what their names have in
// common.

import { entryOf } from '../../check.ts'
import type { TensorEntry } from '../../io/checkpoint/checkpoint.ts'
import { printable } from '../../printable.ts'

/** A number between dots, or at the end. */
const LAYER = /\.\d+(?=\.|$)/g

/** Same tensor of many layers on one line: 'llm.model.layers.{0-35}.mlp.up_proj.weight'. */
export function families(entries: readonly TensorEntry[]): string[][] {
  const key = ({ name, dtype, shape }: TensorEntry): string =>
    `${name.replace(LAYER, '.#')} ${dtype} ${shape.join()}`
  return [...groupBy(entries, key).values()].map((group) => {
    const first = entryOf(group, 0)
    const count = group.length > 1 ? `x ${group.length}` : ''
    return [printable(commonName(group)), first.dtype, `[${first.shape.join(', ')}]`, count]
  })
}

/** Items by key, in the order in which keys come. */
export function groupBy<T, K>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>()
  for (const item of items) {
    const key = keyOf(item)
    const group = groups.get(key)
    if (group) group.push(item)
    else groups.set(key, [item])
  }
  return groups
}

/** The common name of tensors whose names differ only in the numbers of layers. */
function commonName(group: readonly TensorEntry[]): string {
  const layers = group.map(({ name }) => name.match(LAYER) ?? [])
  let i = 0
  return entryOf(group, 0).name.replace(LAYER, (layer) => {
    const seen = new Set(layers.map((own) => own[i]))
    i++
    return seen.size === 1 ? layer : `.{${runsOf([...seen].map((number) => Number(number?.slice(1))))}}`
  })
}

const MOST_RUNS = 8

/** '0-3,5,7-9' */
function runsOf(numbers: readonly number[]): string {
  const runs: [first: number, last: number][] = []
  for (const number of numbers.toSorted((a, b) => a - b)) {
    const run = runs.at(-1)
    if (run && number <= run[1] + 1) run[1] = number
    else runs.push([number, number])
  }
  const shown = runs
    .slice(0, MOST_RUNS)
    .map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`))
  return [...shown, ...(runs.length > MOST_RUNS ? ['...'] : [])].join(',')
}

/**
 * The words that all names begin with, dots included: 'module.model.'. Numbers of layers are none of them.
 *
 * @returns undefined if there are none, or fewer than two names
 */
export function commonWords(names: readonly string[]): string | undefined {
  const [first, second] = names
  if (first === undefined || second === undefined) return undefined
  let end = 0
  for (;;) {
    const next = first.indexOf('.', end) + 1
    const words = first.slice(0, next)
    if (next === 0 || /^\d+\.$/.test(words.slice(end)) || !names.every((name) => name.startsWith(words)))
      break
    end = next
  }
  return end === 0 ? undefined : first.slice(0, end)
}
