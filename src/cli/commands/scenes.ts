// flowseg scenes: writes a dataset of synthetic scenes.

import { existsSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { LISTING, writeScenesAs } from '../../datasets/write-scenes.ts'
import { FlowSegError } from '../../errors.ts'
import { isFolder, makeFolders } from '../../make-folders.ts'
import { printable, reasonOf } from '../../printable.ts'
import { writeDataset } from '../../scenes/dataset.ts'
import { SPLITS } from '../../scenes/scene.ts'
import { type Command, expectOperands, type Given, type Page, SHARED, UsageError } from '../args.ts'
import { jsonLine } from '../json.ts'
import { ProgressLine } from '../output/progress-line.ts'
import { grouped, type Terminal } from '../output/terminal.ts'

const page: Page = {
  name: 'scenes',
  operands: 'DIR',
  summary: 'draw scenes with sentences and masks',
  details:
    'Scenes depend on split and number alone: the same command writes the same bytes. The test split holds ' +
    'combinations of colour and shape, and of things side by side, that the other two never show. train2, val2 and ' +
    'test2 are the second generation: richer pictures, some of other worlds, with sentences about nothing or about ' +
    'several objects, lists, regions, questions and descriptions; style2 is test2 with other icons.',
  options: {
    split: { value: 'NAME', help: 'train, val, test, train2, val2, test2 or style2; by default test' },
    count: { value: 'N', help: 'scenes to write; by default 100' },
    start: { value: 'N', help: 'number of the first; by default 0' },
    as: {
      value: 'LAYOUT',
      help: 'lines (JSON Lines) or refcoco, as data of your own; by default as training reads it',
    },
    raw: { help: 'all images in one file, images.u8 (and ids.u8), rather than PNGs' },
    every: { help: 'every sentence found, some sixty a scene, rather than 8 to 14' },
    json: SHARED.json,
  },
  examples: [
    ['scenes scenes/ --split val --count 10', 'ten scenes to look at'],
    ['scenes refcoco/ --count 89 --as refcoco', 'the test split as `flowseg eval refcoco/` takes it'],
    ['scenes train0/ --split train --count 16000 --raw --every', 'what the model is trained on'],
  ],
}

/** Scenes are numbered in 32 bits. */
const LAST = 2 ** 32 - 1

/** `flowseg scenes` */
export const scenes: Command = { page, run }

async function run(args: Given, terminal: Terminal): Promise<number> {
  expectOperands(page, args, 1)
  const [name = ''] = args.operands
  const folder = resolve(terminal.cwd, name)
  const split = args.oneOf('split', SPLITS) ?? 'test'
  const start = args.number('start', 0, LAST) ?? 0
  const count = args.number('count', 1, LAST + 1 - start) ?? 100
  const layout = args.oneOf('as', ['lines', 'refcoco'])
  if (layout && args.has('raw'))
    throw new UsageError(`--raw doesn't go with --as ${layout}: leave one of them out.`)
  if (existsSync(folder) && !isFolder(folder)) {
    throw new UsageError(`${printable(name)} is no folder. Give a new one, or that of an earlier dataset.`)
  }
  const isTaken = existsSync(folder) && (await readdir(folder)).length > 0
  if (isTaken && !existsSync(join(folder, layout ? LISTING[layout] : 'scenes.jsonl'))) {
    throw new UsageError(
      `${printable(name)} holds other files. Give a new folder, or that of an earlier dataset.`,
    )
  }

  // A new folder goes again when it can't be finished; an earlier dataset is overwritten in place
  const progress = new ProgressLine(terminal)
  const begun = performance.now()
  let newFolders: string[] = []
  try {
    newFolders = makeFolders(folder)
    const { signal } = terminal
    const options = { split, count, start, every: args.has('every'), onProgress: progress.on, signal }
    if (layout) await writeScenesAs(layout, folder, options)
    else await writeDataset(folder, { ...options, raw: args.has('raw') })
  } catch (error) {
    if (newFolders[0]) await rm(newFolders[0], { recursive: true, force: true })
    if (terminal.signal.aborted || error instanceof FlowSegError) throw error
    throw new FlowSegError('ERR_OUTPUT', `${printable(name)} can't be written: ${reasonOf(error)}.`, {
      cause: error,
    })
  } finally {
    progress.clear()
  }
  const each = (performance.now() - begun) / count
  const noun = count === 1 ? 'scene' : 'scenes'
  terminal.out.write(
    args.has('json')
      ? jsonLine({ folder, split, start, count, msEach: each })
      : `${grouped(count)} ${noun} of split ${split} in ${printable(name, Infinity)}, ${each.toFixed(0)} ms each\n`,
  )
  return 0
}
