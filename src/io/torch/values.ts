// The values in a pickle of torch.save, once read: plain data, and tensors that nobody has built.

/** Anything that a pickle holds. Whole numbers that fit are numbers; what is of no use for a checkpoint is Other. */
export type Value =
  | null
  | boolean
  | number
  | string
  | Other
  | Global
  | Tuple
  | List
  | Dict
  | TorchStorage
  | Rebuilt

/** A value that is passed over: a float, bytes, a set, a device. */
export class Other {
  /** The value's kind with an article, or the name of what would make it, for messages: 'a float'. */
  readonly what: string

  constructor(what: string) {
    this.what = what
  }
}

/** A name that the allow-list has (globals.ts). Nothing stands behind it but the name. */
export class Global {
  /** The module and the name in it: 'collections.OrderedDict'. */
  readonly name: string

  constructor(name: string) {
    this.name = name
  }
}

/** A tuple. The types of its items depend on the callable that takes it. */
export class Tuple {
  /** In order; their number and types are checked by whoever takes them. */
  readonly items: readonly Value[]

  constructor(items: readonly Value[]) {
    this.items = items
  }
}

/** It grows while the pickle is read. */
export class List {
  /** In order; appended to until the pickle ends. */
  readonly items: Value[] = []
}

/** A dictionary, ordered as all are. */
export class Dict {
  /** In the order of insertion; keys that are objects count by identity. */
  readonly entries: Map<Value, Value> = new Map()
}

/** The bytes of one or more tensors, by the words that torch.save has for them. */
export class TorchStorage {
  /** ('storage', type, key, device, number of elements), as torch.save writes it. */
  readonly id: Tuple

  constructor(id: Tuple) {
    this.id = id
  }
}

/** A tensor, as the arguments of the function that would rebuild it. */
export class Rebuilt {
  /** _rebuild_tensor_v2 for instance. */
  readonly by: string
  /** The arguments in order, storage first; their types are checked later. */
  readonly args: Tuple

  constructor(by: string, args: Tuple) {
    this.by = by
    this.args = args
  }
}

/** Names a value's kind, for messages. */
export function kindOf(value: Value | undefined): string {
  if (value === undefined || value === null) return 'nothing'
  if (value instanceof Other) return value.what
  if (value instanceof Global) return value.name
  if (value instanceof Tuple) return 'a tuple'
  if (value instanceof List) return 'a list'
  if (value instanceof Dict) return 'a dictionary'
  if (value instanceof TorchStorage) return 'a storage'
  if (value instanceof Rebuilt) return 'a tensor'
  return typeof value === 'string' ? 'a string' : 'a number'
}
