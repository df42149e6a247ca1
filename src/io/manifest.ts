// The hashes that a folder's files must have, in a manifest.json beside them, should there be one.
//
//   {"files": {"model.safetensors": {"sha256": "64 hex digits", "size": 19722332}, ...}}

import { isObject } from '../check.ts'
import { WeightsError } from '../errors.ts'
import { printable, quoted } from '../printable.ts'
import { BlockSource, Shelf } from './cache/cached-source.ts'
import { type Folder, folderWith, jsonIn, readText } from './folder.ts'

/** The manifest's file name, in the folder that it describes. */
export const MANIFEST = 'manifest.json'

/** Blocks of a file on disk, which takes a request as quickly for few bytes, and those that stay in memory. */
const DISK_BLOCK_BYTES = 2 ** 20
const DISK_STAY = 32

/** The content that a manifest promises of a file. */
export interface FileFacts {
  /** SHA-256 of the file in hex, lower case. */
  readonly sha256: string
  /** Size of the file in bytes. */
  readonly size?: number
}

/**
 * The same folder. A file that is listed in its manifest and has another hash is damaged: whoever reads all of it is
 * told so by `verify`, or by `readText`.
 *
 * @throws WeightsError if the manifest makes no sense
 */
export async function withManifest(from: Folder, signal?: AbortSignal): Promise<Folder> {
  const files = await readManifest(from, signal)
  if (!files) return from
  const disk = { blockBytes: DISK_BLOCK_BYTES, shelf: new Shelf(DISK_STAY) }

  return folderWith(from, async (file, stop) => {
    const stored = await from.find(file, stop)
    const facts = files.get(file)
    if (!stored || !facts) return stored
    if (facts.size !== undefined && facts.size !== stored.size) {
      await stored.close()
      throw new WeightsError(
        `${printable(stored.name)} has ${stored.size} bytes, ${MANIFEST} says ${facts.size}: it was cut short, or is ` +
          `another version. ${remedy(from)}`,
      )
    }
    const source = stored instanceof BlockSource ? stored : new BlockSource(stored, disk)
    source.expectSha256(facts.sha256, remedy(from))
    return source
  })
}

/** The user may have changed files on disk on purpose, so that the manifest is stale. */
function remedy({ directory }: Folder): string {
  if (directory === undefined) return 'Get the file again.'
  return `Get the file again; or if you changed it, renew ${MANIFEST}: flowseg manifest ${printable(directory)}`
}

/**
 * The files that a folder's manifest lists.
 *
 * @returns undefined if there is none; nothing is listed by that of something else, a web app's for instance
 * @throws WeightsError if it makes no sense
 */
export async function readManifest(
  from: Folder,
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, FileFacts> | undefined> {
  const manifest = await from.find(MANIFEST, signal)
  if (!manifest) return undefined
  const name = `${MANIFEST} in ${from.describe}`
  return factsIn(jsonIn(await readText(manifest, signal), name), name)
}

function factsIn(manifest: unknown, name: string): Map<string, FileFacts> {
  const files = isObject(manifest) ? manifest['files'] : undefined
  if (!isObject(files)) return new Map()
  return new Map(
    Object.entries(files).map(([file, facts]) => {
      const { sha256, size } = isObject(facts) ? facts : {}
      const isSize =
        size === undefined || (typeof size === 'number' && Number.isSafeInteger(size) && size >= 0)
      if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/i.test(sha256) || !isSize) {
        throw new WeightsError(
          `${printable(name)}: ${quoted(file, 80)} must have a "sha256" of 64 hex digits, and may have a "size" in bytes.`,
        )
      }
      return [file, { sha256: sha256.toLowerCase(), ...(size !== undefined && { size }) }]
    }),
  )
}
