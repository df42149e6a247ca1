// The folder of --weights as the model loader sees it: as it is, or with another config.json (--config), or with the
// config's `compat` replaced (--compat).

import { type Folder, folderWith, jsonIn, openFolder, readJson, readText } from '../io/folder.ts'
import { MANIFEST } from '../io/manifest.ts'
import { bytesSource } from '../io/source.ts'
import { type Config, parseConfig } from '../model/checkpoint/config.ts'
import type { Given } from './args.ts'
import { locationOf, splitLocation } from './files.ts'
import type { Terminal } from './output/terminal.ts'
import { defaultWeights } from './package.ts'

const CONFIG = 'config.json'

/** A folder or a URL. */
export function weightsLocation(given: Given, terminal: Pick<Terminal, 'cwd'>): string {
  const weights = given.text('weights')
  return weights === undefined ? defaultWeights() : locationOf(weights, terminal)
}

/** @throws UsageError naming the values that there are */
export function compatOption(given: Given): Config['compat'] | undefined {
  return given.oneOf('compat', ['aaai', 'main'])
}

/**
 * The place to load from: the location itself, unless an option replaces something in it.
 *
 * @throws UsageError naming the values of --compat
 */
export function modelSource(given: Given, terminal: Terminal): string | Folder {
  const compat = compatOption(given)
  const file = given.text('config')
  const weights = weightsLocation(given, terminal)
  if (compat === undefined && file === undefined) return weights
  const folder = openFolder(weights)
  const place = file === undefined ? undefined : splitLocation(locationOf(file, terminal))
  return withConfig(folder, async (signal) => {
    const from = place ? openFolder(place.folder) : folder
    const name = place?.name ?? CONFIG
    const json = await readJson(from, name, signal)
    parseConfig(json, `${from.describe}/${name}`) // or the mistake would be told of another file
    return compat === undefined ? json : { ...(json as Config), compat }
  })
}

/** The same folder with another config.json, to which no hash of its manifest applies. */
function withConfig(from: Folder, readConfig: (signal?: AbortSignal) => Promise<unknown>): Folder {
  return folderWith(from, async (file, signal) => {
    if (file === CONFIG) return jsonSource(await readConfig(signal), CONFIG)
    const source = await from.find(file, signal)
    if (file !== MANIFEST || !source) return source
    const manifest = jsonIn(await readText(source, signal), `${MANIFEST} in ${from.describe}`)
    return jsonSource(withoutFile(manifest, CONFIG), MANIFEST)
  })
}

function jsonSource(json: unknown, name: string): ReturnType<typeof bytesSource> {
  return bytesSource(new TextEncoder().encode(JSON.stringify(json)), name)
}

function withoutFile(manifest: unknown, file: string): unknown {
  const { files } = (manifest ?? {}) as { readonly files?: unknown }
  if (typeof files !== 'object' || files === null) return manifest
  const { [file]: _, ...others } = files as Record<string, unknown>
  return { ...(manifest as object), files: others }
}
