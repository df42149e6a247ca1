// flowseg eval --asks: how good a model is at everything that a scene of the second generation is asked. Scenes are
// drawn as they are needed, or come from a folder that `flowseg scenes` wrote.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { FlowSegError } from '../../../errors.ts'
import { printable } from '../../../printable.ts'
import { type DatasetScene, datasetScene, readManifest } from '../../../scenes/dataset.ts'
import { isSecond } from '../../../scenes/scene.ts'
import { type Given, UsageError } from '../../args.ts'
import { Drafts, locationOf } from '../../files.ts'
import { jsonLine } from '../../json.ts'
import { inputsOf, loadModel } from '../../model.ts'
import { expectApart, type KeptPaths } from '../../output/outputs.ts'
import { ProgressLine } from '../../output/progress-line.ts'
import { grouped, type Terminal } from '../../output/terminal.ts'
import { duration, REPORT_SECONDS } from '../measure.ts'
import { damaged, folderScenes, keptScenes } from '../source.ts'
import type { Run } from '../summary.ts'
import { answerScene } from './answer.ts'
import { figuresOf } from './figures.ts'
import type { AskRow } from './row.ts'
import { tellAsks } from './tell.ts'

/** The splits that scenes are drawn of. */
const SPLITS = ['test2', 'style2', 'val2'] as const
/** Scenes of a split, if nobody says how many. */
const SCENES = 120
/** Options of `flowseg eval` that are about one mask per sentence. */
const OTHERS = [
  'count',
  'images',
  'exif',
  'no-oracle',
  'results',
  'shard',
  'merge',
  'baseline',
  'task',
  'template',
  'answer',
  'padding',
] as const

/** The scenes to ask about. */
interface AskSource {
  readonly name: string
  readonly count: number
  readonly scenes: AsyncIterable<DatasetScene>
  readonly kept: KeptPaths
}

/** @throws UsageError if an option doesn't go with --asks */
export function expectAsks(args: Given): void {
  const clash = OTHERS.find((option) => args.has(option))
  if (clash) throw new UsageError(`--${clash} doesn't go with --asks. Leave one of them out.`)
}

/** `flowseg eval --asks` */
export async function evaluateAsks(args: Given, terminal: Terminal): Promise<number> {
  const source = await sourceOf(args, terminal)
  const dump = args.text('dump')
  const { files, folders } = inputsOf(args, terminal, source.kept.files)
  const outputs = dump === undefined ? [] : [dump]
  await expectApart({ files, folders: [...folders, ...source.kept.folders] }, outputs, terminal)

  const progress = new ProgressLine(terminal)
  const model = await loadModel(args, terminal, progress)
  const begun = performance.now()
  const seconds = (): number => (performance.now() - begun) / 1000
  const rows: AskRow[] = []
  let [scenes, reported] = [0, 0]
  try {
    for await (const scene of source.scenes) {
      rows.push(...(await answerScene(model, scene, terminal.signal)))
      if (++scenes === source.count) break
      const share = scenes / source.count
      const line = `${grouped(rows.length)} asks, ${duration((seconds() * (1 - share)) / share)} left`
      progress.show('eval', share, line)
      if (!terminal.err.isTTY && seconds() - reported > REPORT_SECONDS) {
        reported = seconds()
        terminal.err.write(`eval: ${Math.floor(100 * share)} %, ${line}\n`)
      }
    }
  } finally {
    progress.clear()
    model.close()
  }
  const run: Run = {
    model: model.config.name,
    adapter: model.gpu.name,
    data: source.name,
    scenes,
    seconds: seconds(),
  }
  tellAsks(run, figuresOf(rows), args.has('json'), terminal)
  if (dump !== undefined) {
    const drafts = new Drafts(terminal)
    drafts.add(dump, rows.map(jsonLine).join(''))
    await drafts.commit()
  }
  return 0
}

/** @throws FlowSegError 'ERR_DATASET' for a folder without asks, of its scenes too */
async function sourceOf(args: Given, terminal: Terminal): Promise<AskSource> {
  const limit = args.number('limit', 1)
  const [name] = args.operands
  if (name === undefined) {
    const split = args.oneOf('split', SPLITS) ?? 'test2'
    const kept = { files: [], folders: [] }
    return { name: `split ${split}`, count: limit ?? SCENES, scenes: scenesOf(split), kept }
  }
  if (args.has('split'))
    throw new UsageError('--split names a split to draw, and DATA is drawn already. Leave one of them out.')
  const folder = locationOf(name, terminal)
  const shown = printable(name)
  const remedy = '--asks takes a folder that `flowseg scenes DIR --split test2` wrote.'
  if (!existsSync(folder)) {
    throw new FlowSegError('ERR_DATASET', `There is nothing at ${shown}. Check the path; ${remedy}`)
  }
  if (!existsSync(join(folder, 'scenes.json'))) {
    throw new FlowSegError(
      'ERR_DATASET',
      `There are no scenes in ${shown}: scenes.json is missing. ${remedy}`,
    )
  }
  const { count, split } = await readManifest(folder).catch((cause: unknown) => {
    throw damaged(name, cause)
  })
  if (!isSecond(split)) {
    throw new FlowSegError(
      'ERR_DATASET',
      `The scenes in ${shown} are of split ${printable(split)}, which has no asks: ${remedy}`,
    )
  }
  if (count === 0) {
    throw new FlowSegError('ERR_DATASET', `There is no scene in ${shown}. Write some: ${remedy}`)
  }
  return {
    name,
    count: Math.min(count, limit ?? count),
    scenes: folderScenes(folder, name),
    kept: keptScenes(folder),
  }
}

async function* scenesOf(split: (typeof SPLITS)[number]): AsyncGenerator<DatasetScene> {
  if (split === 'style2') (await import('../../../scenes/world/second-style.ts')).addSecondStyle()
  for (let index = 0; ; index++) yield datasetScene(split, index)
}
