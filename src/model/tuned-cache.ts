// A cache of tuned kernel choices: one text per adapter and runtime. See gpu/tuned.ts for what they are.

import { type Identity, mergeTuned, readTuned, type Tuned } from '../gpu/tuned.ts'
import { openStore } from '../io/cache/store.ts'
import { expectKind, expectOptions, OBJECT, TEXT } from '../options.ts'

/** The place where choices of kernels are kept. */
export interface TunedCacheOptions {
  /** Node and Deno: the folder to keep them in; by default flowseg/ in the user's cache folder. */
  readonly folder?: string | undefined
}

/**
 * Reads the cached choices of an adapter, as they were written: `openGpu({ tuned: loadTuned })` reads it, and leaves
 * aside what is damaged or of another driver.
 */
export async function loadTuned(
  identity: Identity,
  options: TunedCacheOptions = {},
): Promise<string | undefined> {
  const { folder } = expectArguments('loadTuned', identity, options)
  return (await openStore(folder)).read(nameOf(identity))
}

/**
 * Adds choices to the cache, beside those for other shapes.
 *
 * @returns the place that they were saved in: a path, or words for it in browsers
 * @throws FlowSegError 'ERR_OUTPUT'
 */
export async function saveTuned(tuned: Tuned, options: TunedCacheOptions = {}): Promise<string> {
  const { folder } = expectArguments('saveTuned', tuned, options)
  const { choices, vetoes, times } = tuned
  for (const [name, part] of Object.entries({ choices, vetoes, times })) {
    expectKind(`saveTuned: ${name}`, part, OBJECT)
  }
  const store = await openStore(folder)
  const name = nameOf(tuned)
  const read = readTuned(await store.read(name), tuned)
  const all = 'tuned' in read ? mergeTuned(read.tuned, tuned) : tuned
  await store.write(name, `${JSON.stringify(all, null, 2)}\n`)
  return store.describe(name)
}

/** Deletes an adapter's cached choices. @returns the place where they were, if there were any */
export async function clearTuned(
  identity: Identity,
  options: TunedCacheOptions = {},
): Promise<string | undefined> {
  const { folder } = expectArguments('clearTuned', identity, options)
  const store = await openStore(folder)
  const name = nameOf(identity)
  return (await store.remove(name)) ? store.describe(name) : undefined
}

function expectArguments(call: string, of: Identity, options: TunedCacheOptions): TunedCacheOptions {
  expectKind(`${call}: what it is for`, of, OBJECT)
  expectKind(`${call}: adapter`, of.adapter, TEXT)
  expectKind(`${call}: runtime`, of.runtime, TEXT)
  expectOptions(call, options, { folder: TEXT })
  return options
}

/** The driver and the engine are not part of it, so that a new one's choices take the place of the old one's. */
function nameOf({ adapter, runtime }: Identity): string {
  const plain = `${adapter} ${runtime}`.toLowerCase().replace(/[^a-z0-9]+/g, '-')
  return `tuned-${plain.slice(0, 120)}.json`
}
