// flowseg manifest: lists a model's files with their hashes in manifest.json, or compares them with what it lists.

import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { entryOf } from '../../check.ts'
import { FlowSegError, WeightsError } from '../../errors.ts'
import { type Folder, openFolder } from '../../io/folder.ts'
import { type FileFacts, MANIFEST, readManifest } from '../../io/manifest.ts'
import { hasWeights, openCheckpoint } from '../../io/open-checkpoint.ts'
import { SMALL_FILES } from '../../model/checkpoint/files.ts'
import { printable } from '../../printable.ts'
import { type Command, expectOperands, type Given, type Page, SHARED, UsageError } from '../args.ts'
import { Drafts, locationOf } from '../files.ts'
import { jsonLine } from '../json.ts'
import { grouped, type Terminal, table } from '../output/terminal.ts'

const page: Page = {
  name: 'manifest',
  operands: 'DIR',
  summary: "list a model's files and their SHA-256 in manifest.json, or check them",
  details:
    'DIR is the folder of a model. Whoever loads it, from disk or from a server that it was copied to, then notices ' +
    'files that are damaged, cut short or of another version. A manifest must be renewed when a file is changed. The ' +
    'exit code of --check is 1 when a file differs or is missing.',
  options: {
    check: { help: 'compare the files with what manifest.json lists, and write nothing' },
    json: SHARED.json,
  },
  examples: [
    ['manifest models/mine', 'writes models/mine/manifest.json'],
    ['manifest models/mine --check', 'is every file what it lists?'],
  ],
}

/** `flowseg manifest` */
export const manifest: Command = { page, run }

const CHUNK = 4 * 2 ** 20

async function run(args: Given, terminal: Terminal): Promise<number> {
  expectOperands(page, args, 1)
  const place = entryOf(args.operands, 0)
  const folder = openFolder(locationOf(place, terminal))
  if (folder.directory === undefined) {
    throw new UsageError(`flowseg manifest takes a folder on disk, not ${printable(place)}.`)
  }
  return args.has('check')
    ? check(place, folder, args, terminal)
    : write(place, folder, folder.directory, args, terminal)
}

// ---------------------------------------------------------------------------------------------------------
// Writing

async function write(
  place: string,
  folder: Folder,
  directory: string,
  args: Given,
  terminal: Terminal,
): Promise<number> {
  const { out, signal } = terminal
  await expectOurs(place, folder, signal)
  const names = await modelFiles(place, folder, signal)
  const facts = new Map<string, Required<FileFacts>>()
  for (const name of names) facts.set(name, await factsOf(folder, name, signal))

  const drafts = new Drafts(terminal)
  const text = `${JSON.stringify({ files: Object.fromEntries(facts) }, null, 2)}\n`
  const path = drafts.add(join(directory, MANIFEST), text)
  await drafts.commit()

  if (args.has('json')) {
    out.write(jsonLine({ manifest: path, files: Object.fromEntries(facts) }))
    return 0
  }
  const rows = [...facts].map(([name, { sha256, size }]) => [name, `${grouped(size)} bytes`, sha256])
  out.write(`${printable(join(place, MANIFEST))} lists ${rows.length} files\n\n${indented(table(rows, [0]))}`)
  return 0
}

/** A web app's manifest.json is not replaced. One that can't be read, or makes no sense, is. */
async function expectOurs(place: string, folder: Folder, signal: AbortSignal): Promise<void> {
  const listed = await readManifest(folder, signal).catch((cause: unknown) => {
    if (!(cause instanceof WeightsError)) throw cause
    return undefined
  })
  if (listed?.size === 0) {
    throw new FlowSegError(
      'ERR_OUTPUT',
      `${printable(join(place, MANIFEST))} lists no "files": it seems to belong to something else, and is not replaced. ` +
        `Move it away first.`,
    )
  }
}

/** The files that are read when the model is loaded. */
async function modelFiles(place: string, folder: Folder, signal: AbortSignal): Promise<string[]> {
  const names: string[] = []
  for (const name of SMALL_FILES) {
    const source = await folder.find(name, signal)
    await source?.close()
    if (source) names.push(name)
  }
  if (await hasWeights(folder, signal)) {
    // Its headers are read as well: what can't be loaded isn't worth a hash
    const checkpoint = await openCheckpoint(folder, { signal })
    await checkpoint.close()
    names.push(...(checkpoint.files ?? []))
  }
  if (names.length === 0) {
    throw new WeightsError(
      `There is nothing of a model in ${printable(place)}: none of ${SMALL_FILES.join(', ')}, and no weights. ` +
        `Give the folder that holds them.`,
    )
  }
  return names
}

async function factsOf(folder: Folder, name: string, signal: AbortSignal): Promise<Required<FileFacts>> {
  const source = await folder.open(name, signal)
  try {
    const hash = createHash('sha256')
    for (let at = 0; at < source.size; at += CHUNK) {
      hash.update(await source.read(at, Math.min(CHUNK, source.size - at), signal))
    }
    return { sha256: hash.digest('hex'), size: source.size }
  } finally {
    await source.close()
  }
}

// ---------------------------------------------------------------------------------------------------------
// Checking

/** The state of a file that is listed. */
export interface FileVerdict {
  /** As the manifest lists it. */
  readonly name: string
  /** 'size only' if the file is too large to be hashed, and its size isn't another. */
  readonly verdict: 'same' | 'differs' | 'missing' | 'size only'
  /** The verdict in words, as messages have it behind the name. */
  readonly text: string
}

/**
 * Compares files with what the manifest lists.
 *
 * @param mostHashed larger files have only their sizes compared
 */
export async function verdictsOf(
  folder: Folder,
  listed: ReadonlyMap<string, FileFacts>,
  signal: AbortSignal,
  mostHashed = Number.POSITIVE_INFINITY,
): Promise<FileVerdict[]> {
  const verdicts: FileVerdict[] = []
  for (const [name, { sha256, size }] of listed) {
    const source = await folder.find(name, signal)
    await source?.close()
    if (!source) {
      verdicts.push({ name, verdict: 'missing', text: 'is listed, and not there' })
    } else if (size !== undefined && size !== source.size) {
      const text = `differs: it has ${grouped(source.size)} bytes, ${grouped(size)} are listed`
      verdicts.push({ name, verdict: 'differs', text })
    } else if (source.size > mostHashed) {
      const text =
        size === undefined ? 'not compared' : 'has the size that is listed; its hash was not compared'
      verdicts.push({ name, verdict: 'size only', text })
    } else {
      const facts = await factsOf(folder, name, signal)
      const isSame = facts.sha256 === sha256
      const text = isSame ? 'as listed' : `differs: its SHA-256 is ${facts.sha256}, ${sha256} is listed`
      verdicts.push({ name, verdict: isSame ? 'same' : 'differs', text })
    }
  }
  return verdicts
}

async function check(place: string, folder: Folder, args: Given, { out, signal }: Terminal): Promise<number> {
  const listed = await readManifest(folder, signal)
  const remedy = `\`flowseg manifest ${printable(place)}\` lists the files as they are now.`
  if (!listed || listed.size === 0) {
    // A missing folder, or one without a model, is the first thing to report
    await modelFiles(place, folder, signal)
    const what = listed
      ? `${MANIFEST} in ${printable(place)} lists no files`
      : `There is no ${MANIFEST} in ${printable(place)}`
    throw new WeightsError(`${what}. ${remedy}`)
  }
  const verdicts = await verdictsOf(folder, listed, signal)
  const bad = verdicts.filter(({ verdict }) => verdict !== 'same')
  const files = await modelFiles(place, folder, signal).catch((cause: unknown): string[] => {
    if (cause instanceof WeightsError) return [] // damaged weights are among the verdicts
    throw cause
  })
  const unlisted = files.filter((name) => !listed.has(name))
  if (args.has('json')) {
    out.write(jsonLine({ holds: bad.length === 0, files: verdicts, unlisted }))
    return bad.length === 0 ? 0 : 1
  }
  const rows = verdicts.map(({ name, text }) => [name, text])
  const sum =
    bad.length === 0
      ? `All ${verdicts.length} files are as listed.`
      : `${bad.length} of ${verdicts.length} files are not as listed. ${remedy}`
  const rest =
    unlisted.length > 0 ? ` Not listed: ${unlisted.map((name) => printable(name)).join(', ')}.` : ''
  out.write(`${printable(join(place, MANIFEST))}\n\n${indented(table(rows, [0, 1]))}\n${sum}${rest}\n`)
  return bad.length === 0 ? 0 : 1
}

function indented(lines: readonly string[]): string {
  return lines.map((line) => `  ${line}\n`).join('')
}
