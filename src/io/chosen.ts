// The files that people choose in a browser: files of an input element, a drop, a folder's handle. Of all that, the
// files of the one folder that is a checkpoint.

import { describe, expectDefined } from '../check.ts'
import { UsageError, WeightsError } from '../errors.ts'
import { firstOf, printable, reasonOf } from '../printable.ts'

/**
 * The files that a user chose in a browser: from `input.files` (with or without webkitdirectory), `event.dataTransfer`,
 * showDirectoryPicker(), showOpenFilePicker().
 */
export type Chosen = Iterable<File | FileSystemFileHandle> | DataTransfer | FileSystemDirectoryHandle

/** Files that a page's user chose, by their names in the folder. */
export interface ChosenFiles {
  /** The files directly in the one folder. */
  readonly files: readonly File[]
  /** Folders beside them, which aren't looked into. */
  readonly folders: readonly string[]
}

const MOST_TOLD = 4

/**
 * The files of one folder, such as those of a checkpoint. They can be posted to a worker, which a drop can't.
 *
 * @param chosen a drop must be given in its event's handler, before anything is awaited: it is empty afterwards
 * @throws WeightsError naming what is one too many or missing, and what to choose instead
 */
export async function chosenFiles(chosen: Chosen): Promise<File[]> {
  if (!isChosen(chosen)) {
    throw new UsageError(
      `chosenFiles was given ${describe(chosen)}; it takes the files of an input element, a drop or a folder's handle.`,
    )
  }
  return [...(await filesOf(chosen)).files]
}

/** The chosen files in words, for messages. */
export function describeChosen(chosen: Chosen): string {
  if (isDrop(chosen)) return 'what was dropped'
  return isDirectory(chosen) ? `the folder ${printable(chosen.name)}` : 'the chosen files'
}

/** Reads a drop before it returns; the rest may take its time. */
export async function filesOf(chosen: Chosen): Promise<ChosenFiles> {
  if (isDrop(chosen)) return droppedFiles(chosen)
  if (isDirectory(chosen)) return filesIn(chosen)
  const files = [...chosen].map(async (file) => {
    const isFile = typeof file === 'object' && file !== null && ('getFile' in file || 'arrayBuffer' in file)
    if (!isFile) throw new UsageError(`Chosen files are files; one of these is ${describe(file)}.`)
    return 'getFile' in file ? file.getFile() : file
  })
  return oneFolderOf(await Promise.all(files))
}

/** True if a value is of one of these kinds. The files themselves are checked when they are read. */
export function isChosen(value: unknown): value is Chosen {
  if (typeof value !== 'object' || value === null) return false
  return Symbol.iterator in value || isDrop(value as Chosen) || isDirectory(value as Chosen)
}

function isDrop(chosen: Chosen): chosen is DataTransfer {
  return 'items' in chosen && 'files' in chosen
}

function isDirectory(chosen: Chosen): chosen is FileSystemDirectoryHandle {
  return 'kind' in chosen && chosen.kind === 'directory'
}

function isHidden(name: string): boolean {
  return name.startsWith('.') // .DS_Store and the like
}

/** An input with webkitdirectory gives every file below the folder, with its path. */
function oneFolderOf(all: readonly File[]): ChosenFiles {
  const byFolder = new Map<string, File[]>()
  for (const file of all) {
    const path = (file.webkitRelativePath || file.name).split('/')
    if (path.some(isHidden)) continue
    const folder = path.slice(0, -1).join('/')
    byFolder.set(folder, [...(byFolder.get(folder) ?? []), file])
  }
  const depth = (folder: string): number => (folder === '' ? 0 : folder.split('/').length)
  const folders = [...byFolder.keys()].sort((a, b) => depth(a) - depth(b))
  const models = folders.filter((folder) =>
    expectDefined(byFolder.get(folder), 'byFolder').some(({ name }) => name === 'config.json'),
  )
  const [first, second] = models
  if (first !== undefined && second !== undefined && depth(first) === depth(second)) {
    throw new WeightsError(
      `There are several folders with a config.json: ${firstOf(models, MOST_TOLD)}. Choose the one that is the model.`,
    )
  }
  const folder = first ?? folders[0] ?? ''
  return { files: byFolder.get(folder) ?? [], folders: folders.filter((other) => other !== folder) }
}

async function droppedFiles(drop: DataTransfer): Promise<ChosenFiles> {
  // Everything that is asked of the drop itself, at once
  const items = [...drop.items].filter(({ kind }) => kind === 'file')
  const entries = items.map((item) => item.webkitGetAsEntry() ?? item.getAsFile())
  if (drop.items.length === 0) {
    throw new WeightsError(
      'The drop is empty. It has to be read while its event is handled: in the handler, before any await.',
    )
  }
  if (entries.length === 0) throw new WeightsError('What was dropped is no file: drop the files of a model.')

  const folders = entries.filter(isFolder)
  const [folder] = folders
  if (folder && entries.length > 1) {
    throw new WeightsError(
      folders.length > 1
        ? `Several folders were dropped: ${firstOf(
            folders.map(({ name }) => name),
            MOST_TOLD,
          )}. Drop the one that is the model.`
        : `The folder ${printable(folder.name)} was dropped together with files. Drop the folder alone, or files alone.`,
    )
  }
  const within: Dropped[] = folder ? await entriesIn(folder) : entries
  const files: Promise<File>[] = []
  const beside: string[] = []
  for (const entry of within) {
    if (!entry || isHidden(entry.name)) continue
    if (isFolder(entry)) beside.push(entry.name)
    else if (isFile(entry)) files.push(fileOf(entry))
    else if (entry instanceof File) files.push(Promise.resolve(entry))
  }
  return { files: await Promise.all(files), folders: beside }
}

type Dropped = FileSystemEntry | File | null

function isFolder(entry: Dropped): entry is FileSystemDirectoryEntry {
  return entry !== null && 'isDirectory' in entry && entry.isDirectory
}

function isFile(entry: Dropped): entry is FileSystemFileEntry {
  return entry !== null && 'isFile' in entry && entry.isFile
}

function fileOf(entry: FileSystemFileEntry): Promise<File> {
  return new Promise((resolve, reject) => {
    entry.file(resolve, (cause) => reject(unreadable(entry.name, cause)))
  })
}

async function entriesIn(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader()
  const all: FileSystemEntry[] = []
  for (;;) {
    // A hundred at a time, in Chrome
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => {
      reader.readEntries(resolve, (cause) => reject(unreadable(folder.name, cause)))
    })
    if (some.length === 0) return all
    all.push(...some)
  }
}

async function filesIn(folder: FileSystemDirectoryHandle): Promise<ChosenFiles> {
  const files: File[] = []
  const folders: string[] = []
  try {
    for await (const handle of folder.values()) {
      if (isHidden(handle.name)) continue
      if (handle.kind === 'file') files.push(await handle.getFile())
      else folders.push(handle.name)
    }
  } catch (cause) {
    throw unreadable(folder.name, cause)
  }
  return { files, folders }
}

function unreadable(name: string, cause: unknown): WeightsError {
  const isForbidden = cause instanceof Error && cause.name === 'NotAllowedError'
  const remedy = isForbidden
    ? "The page needs the user's permission again: call requestPermission() of its handle in a click's handler."
    : 'If it was moved or changed since, choose it again.'
  return new WeightsError(`${printable(name)} can't be read: ${reasonOf(cause)}. ${remedy}`, { cause })
}
