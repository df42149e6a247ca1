// Whatever people choose or drop, the files of one folder come out of it, or a message that names what to choose.

import { afterEach, describe, expect, test, vi } from 'vitest'
import { WeightsError } from '../../src/errors.ts'
import { chosenFiles } from '../../src/io/chosen.ts'
import { openFolder } from '../../src/io/folder.ts'
import { browser } from './cache/opfs.ts'

afterEach(() => {
  vi.unstubAllGlobals()
})

const namesOf = (files: readonly File[]) => files.map(({ name }) => name).sort()

/** As an input with webkitdirectory gives it. */
function at(path: string): File {
  const file = new File([path], path.split('/').at(-1)!)
  Object.defineProperty(file, 'webkitRelativePath', { value: path })
  return file
}

describe('files of an input element', () => {
  test('chosen one by one', async () => {
    const files = [
      new File(['{}'], 'config.json'),
      new File([''], 'tokenizer.json'),
      new File([''], '.DS_Store'),
    ]
    expect(namesOf(await chosenFiles(files))).toEqual(['config.json', 'tokenizer.json'])
    const list = Object.assign(Object.create({ [Symbol.iterator]: () => files[Symbol.iterator]() }), {
      length: 3,
    })
    expect(await openFolder(list).readText('config.json')).toBe('{}')
  })

  test.each([
    ['the folder itself', ['m/config.json', 'm/a', 'm/.git/config.json'], ['a', 'config.json']],
    ['one above it', ['all/x.txt', 'all/m/config.json', 'all/m/a', 'all/n/b'], ['a', 'config.json']],
    ['with another below it', ['m/config.json', 'm/a', 'm/onnx/config.json'], ['a', 'config.json']],
    ['without a config.json', ['m/a', 'm/n/b'], ['a']],
  ])('a folder: %s', async (_, paths, names) => {
    expect(namesOf(await chosenFiles(paths.map(at)))).toEqual(names)
  })

  test('several models', async () => {
    const files = ['all/a/config.json', 'all/b/config.json', 'all/c'].map(at)
    await expect(chosenFiles(files)).rejects.toThrow(
      'several folders with a config.json: all/a, all/b. Choose the one that is the model.',
    )
  })

  test('without what is asked for', async () => {
    await expect(openFolder(['m/a', 'm/n/b'].map(at)).open('config.json')).rejects.toThrow(
      "There is no config.json in the chosen files, which has a, m/n/. Choose the model's folder, or all files in it.",
    )
  })

  test('handles of files', async () => {
    const handle = { kind: 'file', name: 'config.json', getFile: async () => new File(['{}'], 'config.json') }
    expect(await openFolder([handle as FileSystemFileHandle]).readText('config.json')).toBe('{}')
  })
})

describe("a folder's handle", () => {
  test('gives the files in it, and no others', async () => {
    await browser()
    const root = await navigator.storage.getDirectory()
    const folder = await root.getDirectoryHandle('m', { create: true })
    await folder.getDirectoryHandle('below', { create: true })
    const file = await (await folder.getFileHandle('config.json', { create: true })).createWritable()
    await file.write(new TextEncoder().encode('{}'))
    await file.close()
    expect(namesOf(await chosenFiles(folder))).toEqual(['config.json'])
    expect(await openFolder(folder).readText('config.json')).toBe('{}')
    await expect(openFolder(folder).open('none')).rejects.toThrow(
      'There is no none in the folder m, which has below/, config.json.',
    )
    await root.removeEntry('m', { recursive: true })
    await expect(openFolder(folder).open('config.json')).rejects.toThrow(/m can't be read: .*choose it again/)
  })

  test('that may no longer be read', async () => {
    const values = () => {
      throw new DOMException('no', 'NotAllowedError')
    }
    const handle = { kind: 'directory', name: 'm', values } as unknown as FileSystemDirectoryHandle
    await expect(chosenFiles(handle)).rejects.toThrow(/permission again: call requestPermission/)
  })
})

// As much of a drop as is read. Its items are gone once its event is over
type Dropped = string | File | Record<string, string>

class Drop {
  readonly files = []
  readonly #dropped: Record<string, Dropped>
  isOver = false

  constructor(dropped: Record<string, Dropped>) {
    this.#dropped = dropped
  }

  get items() {
    if (this.isOver) return []
    return Object.entries(this.#dropped).map(([name, what]) => ({
      kind: name === 'text/plain' ? 'string' : 'file',
      getAsFile: () => (this.isOver ? null : what instanceof File ? what : new File([], name)),
      webkitGetAsEntry: () => (this.isOver || what instanceof File ? null : entry(name, what)),
    }))
  }
}

function entry(name: string, what: Exclude<Dropped, File>): object {
  if (typeof what === 'string') {
    const file = (resolve: (file: File) => void) => setTimeout(() => resolve(new File([what], name)))
    return { name, isFile: true, isDirectory: false, file }
  }
  const createReader = () => {
    const rest = Object.entries(what).map(([key, text]) => (text === '/' ? entry(key, {}) : entry(key, text)))
    // Two at a time
    return {
      readEntries: (resolve: (entries: object[]) => void) => setTimeout(() => resolve(rest.splice(0, 2))),
    }
  }
  return { name, isFile: false, isDirectory: true, createReader }
}

/** Loads as a handler does, and ends the event. */
function dropped(what: Record<string, Dropped>) {
  const drop = new Drop(what)
  const folder = openFolder(drop as unknown as DataTransfer)
  drop.isOver = true
  return folder
}

describe('a drop', () => {
  const model = { 'config.json': '{}', 'tokenizer.json': 'a', 'b.json': 'b', 'c.json': 'c', '.DS_Store': 'x' }

  test('of files', async () => {
    expect(await dropped(model).readText('c.json')).toBe('c')
    await expect(dropped(model).open('none')).rejects.toThrow(
      'There is no none in what was dropped, which has b.json, c.json, config.json, tokenizer.json. Choose',
    )
  })

  test('of a folder', async () => {
    const folder = dropped({ m: { ...model, below: '/' } })
    expect(await folder.readText('tokenizer.json')).toBe('a')
    await expect(folder.open('none')).rejects.toThrow('which has b.json, below/, c.json')
  })

  test('of files that a script made', async () => {
    expect(await dropped({ f: new File(['{}'], 'config.json') }).readText('config.json')).toBe('{}')
  })

  test.each([
    ['two folders', { m: {}, n: {} }, 'Several folders were dropped: m, n. Drop the one that is the model.'],
    ['a folder and files', { m: {}, 'a.json': '' }, 'The folder m was dropped together with files.'],
    ['text', { 'text/plain': 'x' }, 'What was dropped is no file'],
    ['nothing', {}, 'in the handler, before any await'],
  ])('of %s is refused', async (_, what, why) => {
    await expect(dropped(what).open('config.json')).rejects.toThrow(WeightsError)
    await expect(dropped(what).open('config.json')).rejects.toThrow(why)
  })

  test('that is given too late', async () => {
    const drop = new Drop(model)
    drop.isOver = true
    await expect(chosenFiles(drop as unknown as DataTransfer)).rejects.toThrow('The drop is empty.')
  })
})
