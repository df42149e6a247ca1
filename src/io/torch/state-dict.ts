// The tensors of what torch.save wrote, by name.
//
// The root is a dictionary of tensors, as model.state_dict() gives, or one that has such a dictionary under a common
// key, beside an optimizer's state for instance: then that one is the checkpoint. Names of nested dictionaries are
// joined by dots. All that isn't a tensor is passed over. Prefixes of the names themselves ('module.') are left to
// model/checkpoint/fit.ts, which knows them.

import { WeightsError } from '../../errors.ts'
import { printable } from '../../printable.ts'
import { fail } from '../checkpoint/checkpoint.ts'
import { Dict, kindOf, List, Rebuilt, Tuple, type Value } from './values.ts'

/** The keys under which training programs keep a model. The first that there is counts. */
const KEYS = [
  'state_dict',
  'model_state_dict',
  'model_state',
  'model',
  'module',
  'network',
  'net',
  'weights',
  'params',
]

/** More than programs nest. */
const MAX_DEPTH = 8
const MAX_NAME = 4096

/** A tensor of a checkpoint. */
export interface NamedTensor {
  /** The keys on the way to it, joined by dots, as PyTorch's state_dict has them. */
  readonly name: string
  /** Unbuilt: its shape, strides and storage are checked later. */
  readonly tensor: Rebuilt
}

/**
 * The tensors of a checkpoint, in the order of the file.
 *
 * @throws WeightsError if there are none, or two of a name
 */
export function namedTensors(root: Value, file: string): NamedTensor[] {
  const within = containersWithTensors(root)
  let dict: Value = root
  for (let depth = 0; depth < MAX_DEPTH && dict instanceof Dict; depth++) {
    const { entries } = dict
    const inner = KEYS.map((key) => entries.get(key)).find(
      (value) => value instanceof Dict && within.has(value),
    )
    if (!inner) break
    dict = inner
  }
  if (!within.has(dict)) {
    const what = root instanceof Dict ? 'it has no tensors' : `it holds ${kindOf(root)}`
    throw new WeightsError(
      `${printable(file)}: ${what}, expected a dictionary of tensors by name. ` +
        `Save one: torch.save(model.state_dict(), path).`,
    )
  }

  const tensors = new Map<string, Rebuilt>()
  const collect = (value: Value, name: string, depth: number): void => {
    if (value instanceof Rebuilt) {
      if (tensors.has(name)) fail(file, name, 'there are two tensors of this name')
      tensors.set(name, value)
      return
    }
    // Each container once: lists in lists in lists name a tensor a billion times
    if (!within.delete(value)) return
    if (depth === MAX_DEPTH) fail(file, name, `it is in a container that nests deeper than ${MAX_DEPTH}`)
    for (const [key, item] of itemsOf(value)) {
      if (typeof key !== 'string' && typeof key !== 'number') continue
      const longer = name === '' ? `${key}` : `${name}.${key}`
      if (longer.length > MAX_NAME) fail(file, longer, `its name has more than ${MAX_NAME} characters`)
      collect(item, longer, depth + 1)
    }
  }
  collect(dict, '', 0)
  return [...tensors].map(([name, tensor]) => ({ name, tensor }))
}

function itemsOf(value: Value): Iterable<readonly [Value, Value]> {
  if (value instanceof Dict) return value.entries
  return value instanceof List || value instanceof Tuple ? value.items.entries() : []
}

/** Those that hold a tensor, at whatever depth. They may hold each other, and themselves. */
function containersWithTensors(root: Value): Set<Value> {
  const heldBy = new Map<Value, Value[]>()
  const tensors: Value[] = []
  const waiting: Value[] = [root]
  for (let value = waiting.pop(); value !== undefined; value = waiting.pop()) {
    for (const [, item] of itemsOf(value)) {
      const isTensor = item instanceof Rebuilt
      if (!isTensor && !isContainer(item)) continue
      const known = heldBy.get(item)
      if (known) known.push(value)
      else {
        heldBy.set(item, [value])
        if (isTensor) tensors.push(item)
        else waiting.push(item)
      }
    }
  }
  const holders = new Set<Value>()
  const climbing = tensors.flatMap((tensor) => heldBy.get(tensor) ?? [])
  for (let value = climbing.pop(); value !== undefined; value = climbing.pop()) {
    if (holders.has(value)) continue
    holders.add(value)
    for (const holder of heldBy.get(value) ?? []) climbing.push(holder)
  }
  return holders
}

function isContainer(value: Value): boolean {
  return value instanceof Dict || value instanceof List || value instanceof Tuple
}
