// A checkpoint in another form: sharded safetensors, with its matrices rounded or as they are, and the small files
// that a model has beside them. The shards come first, one after another; whatever stops the conversion, those that
// are whole are taken the next time. What makes a folder of them a model, the index, is written last.

import { createHash } from 'node:crypto'
import { readdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { FlowSegError, UsageError } from '../../errors.ts'
import { MANIFEST } from '../../io/manifest.ts'
import type { Checkpoint, TensorEntry } from '../../io/safetensors.ts'
import { DamagedError } from '../../io/source.ts'
import { makeFolders, removeEmpty } from '../../make-folders.ts'
import { firstOf, printable, reasonOf } from '../../printable.ts'
import { writeWhole } from '../../write-whole.ts'
import { checkShard } from './check-shard.ts'
import type { ConversionStep, ConvertPlan } from './convert-plan.ts'
import { DRAFT_NAME, writeShard } from './write-shard.ts'

/** The index, which makes shards a checkpoint. */
export const INDEX = 'model.safetensors.index.json'

/** The drafts of small files (write-whole.ts). */
const SMALL_DRAFT = /^\.draft-[\da-f-]{36}$/
const SHARD_NAME = /^model-\d{5}-of-\d{5}\.safetensors$/

/** The progress of a conversion. */
export interface ConvertProgress {
  /** 'check' while shards of an earlier run are read, 'convert' while tensors are converted. */
  readonly phase: 'check' | 'convert'
  /** The name of the file that is checked, or of the tensor that is converted. */
  readonly what: string
  /** Bytes that were read. */
  readonly loaded: number
  /** Bytes that will be read. */
  readonly total: number
}

/** The cache of an original on a server. */
export interface ConvertDownload {
  /** Its folder, which may not exist yet. */
  readonly folder: string
  /** Bytes of these tensors that aren't there yet. */
  bytesOf(entries: readonly TensorEntry[]): Promise<number>
}

/** Options of running a conversion. */
export interface ConvertOptions {
  /** Aborts; shards that are whole stay. */
  readonly signal: AbortSignal
  /** Replace an earlier conversion that had other settings. */
  readonly force: boolean
  /** Where the original is downloaded to while it is read, if it is. */
  readonly download?: ConvertDownload | undefined
  /** Called with each step. */
  readonly onProgress: (progress: ConvertProgress) => void
}

/** The result of a conversion. */
export interface Converted {
  /** Shards that an earlier run had written. */
  readonly kept: readonly string[]
  /** Shards of an earlier run that were damaged, and were written again. */
  readonly damaged: readonly string[]
  /** Files and their bytes. */
  readonly files: ReadonlyMap<string, number>
}

/**
 * Writes a converted model into a folder.
 *
 * @param small the files beside the weights: config.json and the tokenizer's
 * @throws FlowSegError 'ERR_OUTPUT' if the folder can't be written, or holds something else
 * @throws WeightsError if the original can't be read
 * @throws the signal's own reason; whole shards stay for the next run, and nothing else of this one
 */
export async function convertInto(
  folder: string,
  checkpoint: Checkpoint,
  plan: ConvertPlan,
  small: ReadonlyMap<string, Uint8Array>,
  { signal, force, download, onProgress }: ConvertOptions,
): Promise<Converted> {
  const { shards } = plan
  const created = await output(folder, () => makeFolders(folder))
  try {
    // 1. What is there already
    await clean(folder, plan, small, force)
    const hashes = new Map<string, string>()
    const damaged: string[] = []
    const present = new Set(await readdir(folder))
    const earlier = shards.filter(({ file }) => present.has(file))
    const checked = sum(earlier.map(({ outline }) => outline.size))
    let loaded = 0
    for (const shard of earlier) {
      const { file } = shard
      const path = join(folder, file)
      const report = await checkShard(path, shard, signal, (bytes) => {
        loaded += bytes
        onProgress({ phase: 'check', what: file, loaded, total: checked })
      })
      if (report.state === 'whole' && report.sha256) hashes.set(file, report.sha256)
      else if (report.state === 'damaged') damaged.push(file)
      else if (force) await rm(path)
      else throw otherSettings(folder, report.conversion)
    }
    const kept = [...hashes.keys()]

    // 2. What is missing
    const missing = shards.filter(({ file }) => !hashes.has(file))
    const steps = missing.flatMap((shard) => shard.steps)
    await expectRoom(folder, sum(missing.map(({ outline }) => outline.size)), steps, download)
    const total = sum(steps.map(({ entry }) => entry.end - entry.begin))
    loaded = 0
    checkpoint.willRead?.(steps.map(({ entry }) => entry.name))
    for (const shard of missing) {
      const path = join(folder, shard.file)
      const onRead = (bytes: number, what: string): void => {
        loaded += bytes
        onProgress({ phase: 'convert', what, loaded, total })
      }
      await output(path, () => writeShard(checkpoint, shard, path, { signal, onRead }))
      const { sha256 } = await checkShard(path, shard, signal)
      if (!sha256) throw notAsWritten(path)
      hashes.set(shard.file, sha256)
    }
    if (missing.length > 0 || !present.has(INDEX)) await verified(checkpoint, folder, shards, signal)

    // 3. The small files; the index makes it a model
    const texts = new Map([...small, [INDEX, new TextEncoder().encode(plan.index)]])
    const files = new Map([
      ...[...small].map(([name, bytes]): [string, number] => [name, bytes.length]),
      [INDEX, plan.index.length],
      ...shards.map(({ file, outline }): [string, number] => [file, outline.size]),
    ])
    for (const [name, bytes] of texts) hashes.set(name, createHash('sha256').update(bytes).digest('hex'))
    const facts = [...files].map(([name, size]) => [name, { sha256: hashes.get(name), size }])
    const manifest = `${JSON.stringify({ files: Object.fromEntries(facts) }, null, 2)}\n`
    signal.throwIfAborted()
    for (const [name, bytes] of [...small, [MANIFEST, new TextEncoder().encode(manifest)] as const]) {
      await output(join(folder, name), () => writeWhole(join(folder, name), [bytes]))
    }
    await output(join(folder, INDEX), () =>
      writeWhole(join(folder, INDEX), [new TextEncoder().encode(plan.index)]),
    )
    return { kept, damaged, files }
  } catch (error) {
    removeEmpty(created)
    throw error
  }
}

/** Compares the original with its hashes, where they are known: shards of a damaged one are of no use. */
async function verified(
  checkpoint: Checkpoint,
  folder: string,
  shards: ConvertPlan['shards'],
  signal: AbortSignal,
): Promise<void> {
  try {
    await checkpoint.verify?.({ signal })
  } catch (error) {
    if (error instanceof DamagedError) {
      for (const { file } of shards) await rm(join(folder, file), { force: true })
    }
    throw error
  }
}

/** What systems and people leave in a folder, which is in nobody's way. */
const PASSED_OVER = /^\.|^(readme|licen[cs]e|notice)([._-].*)?$|^(desktop\.ini|thumbs\.db)$/i

/** True if a conversion writes files of this name. */
function isOurs(name: string, small: ReadonlyMap<string, Uint8Array>): boolean {
  const isDraft = DRAFT_NAME.test(name) || SMALL_DRAFT.test(name)
  return isDraft || SHARD_NAME.test(name) || name === INDEX || name === MANIFEST || small.has(name)
}

/**
 * Leaves nothing in the folder but shards that may be of use.
 *
 * @throws FlowSegError 'ERR_OUTPUT' if there is anything that no conversion wrote, or one with other settings did
 */
async function clean(
  folder: string,
  { shards }: ConvertPlan,
  small: ReadonlyMap<string, Uint8Array>,
  force: boolean,
): Promise<void> {
  const names = await output(folder, () => readdir(folder))
  const foreign = names.filter((name) => !isOurs(name, small) && !PASSED_OVER.test(name))
  if (foreign.length > 0) {
    throw new UsageError(
      `${printable(folder)} holds other files (${firstOf(foreign.sort(), 3)}). Give a new folder, or that of an earlier ` +
        'conversion.',
    )
  }
  const hasShards = names.some((name) => SHARD_NAME.test(name))
  if (!hasShards && names.some((name) => small.has(name)) && !force) {
    throw new UsageError(
      `${printable(folder)} holds ${firstOf(names.filter((name) => small.has(name)).sort(), 3)}, which a conversion would ` +
        'replace. Give a new folder, or --force.',
    )
  }
  const planned = new Set(shards.map(({ file }) => file))
  for (const name of names) {
    const path = join(folder, name)
    if (SHARD_NAME.test(name) && !planned.has(name)) {
      if (!force) throw otherSettings(folder, undefined)
      await output(path, () => rm(path))
    }
    if (SMALL_DRAFT.test(name)) await output(path, () => rm(path, { force: true }))
    const [, writer] = DRAFT_NAME.exec(name) ?? []
    if (writer !== undefined && !isRunning(Number(writer)))
      await output(path, () => rm(path, { force: true }))
  }
}

/** True if a process of this machine is alive; its drafts must not be removed. */
function isRunning(pid: number): boolean {
  if (pid === process.pid) return true
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

function otherSettings(folder: string, conversion: string | undefined): FlowSegError {
  const were = conversion === undefined ? '' : ` (${printable(conversion, 300)})`
  return new UsageError(
    `${printable(folder)} holds shards of a conversion with other settings, or of another checkpoint${were}. Give a new ` +
      'folder, the same settings to resume it, or --force to replace them.',
  )
}

function notAsWritten(path: string): FlowSegError {
  return new FlowSegError(
    'ERR_OUTPUT',
    `${printable(path)} is not what was written to it: the disk may be failing, or another process writes there.`,
  )
}

/**
 * Refuses before anything is written; a file system that doesn't say is asked no more. A cache that has no room on a
 * disk of its own is no reason: what it can't keep is read all the same.
 */
async function expectRoom(
  folder: string,
  bytes: number,
  steps: readonly ConversionStep[],
  download: ConvertDownload | undefined,
): Promise<void> {
  const { statfs } = await import('node:fs/promises')
  const disk = await statfs(folder).catch(() => undefined)
  if (!disk || disk.blocks === 0) return
  const free = disk.bavail * disk.bsize
  const isShared = download !== undefined && (await areOnOneDisk(folder, download.folder))
  const toCome = isShared ? await download.bytesOf(steps.map(({ entry }) => entry)) : 0
  if (free >= bytes + toCome) return
  const alsoCache =
    toCome > 0
      ? `, and ${inBytes(toCome)} for the download, which is kept on the same disk (${printable(download?.folder ?? '')})`
      : ''
  const elsewhere = toCome > 0 ? ', or set XDG_CACHE_HOME to one for the download' : ''
  // A disk that is too small for the download alone is so in any form
  const mayShrink =
    toCome < free &&
    !steps.some(({ quantized, isRounded }) => quantized === 'int4' || (quantized && !isRounded))
  throw new FlowSegError(
    'ERR_OUTPUT',
    `${printable(folder)}: ${inBytes(bytes)} are needed${alsoCache}, and the disk has ${inBytes(free)} left. Make room, or ` +
      `give a folder on another disk${elsewhere}${mayShrink ? '; --quantize int4 takes less' : ''}.`,
  )
}

/** False where it can't be told. @param b may not exist yet: what would hold it counts */
async function areOnOneDisk(a: string, b: string): Promise<boolean> {
  const { stat } = await import('node:fs/promises')
  const one = await stat(a).catch(() => undefined)
  for (let path = b; ; path = dirname(path)) {
    const other = await stat(path).catch(() => undefined)
    if (other) return other.isDirectory() && other.dev === one?.dev
    if (path === dirname(path)) return false
  }
}

function inBytes(bytes: number): string {
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`
}

/** Names the place when the system refuses. */
async function output<T>(path: string, write: () => T | Promise<T>): Promise<T> {
  try {
    return await write()
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && 'syscall' in cause)) throw cause
    throw new FlowSegError(
      'ERR_OUTPUT',
      `${printable(path)} can't be written: ${reasonOf(cause)}.${remedyFor(cause.code)}`,
      {
        cause,
      },
    )
  }
}

function remedyFor(code: unknown): string {
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return ' Make room and run the same command again: shards that are whole are kept.'
  }
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') return ' Give a folder that may be written.'
  if (code === 'ENOTDIR' || code === 'EEXIST') return ' A file is in the way: give a folder.'
  return code === 'EFBIG' ? ' Give a smaller --shard-size.' : ''
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
