// A model that knows every task, and the same questions to the command and to the library.

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { encodePng, type Image } from '../../src/io/image/image.ts'
import type { Mask } from '../../src/masks/mask.ts'
import { maskOf } from '../../src/masks/mask.ts'
import { TASKS } from '../../src/model/checkpoint/task-config.ts'
import { FlowSeg, type Scene } from '../../src/model/flowseg.ts'
import { picture, smallCheckpoint } from '../model/checkpoint/small-checkpoint.ts'
import { anyGpu } from '../support.ts'
import { flowseg, type Outcome, temporaryFolder } from './cli-harness.ts'

const gpu = await anyGpu()

/** photo.png */
export const IMAGE: Image = picture(40, 30)
/** region.png, the left half of the photo. */
export const REGION: Mask = maskOf(
  40,
  30,
  Uint8Array.from({ length: 1200 }, (_, i) => (i % 40 < 20 ? 1 : 0)),
)

/** A folder with a picture, a region's mask, and the weights of a model that knows every task. */
export async function setUp(presence = { threshold: 0.0001, all: 0.0001 }): Promise<string> {
  const cwd = await temporaryFolder()
  const files = smallCheckpoint({ maxTokens: 900, positions: 4000, config: { tasks: [...TASKS], presence } })
  await mkdir(join(cwd, 'model'))
  for (const file of files) {
    await writeFile(join(cwd, 'model', file.name), new Uint8Array(await file.arrayBuffer()))
  }
  await writeFile(join(cwd, 'photo.png'), encodePng(IMAGE))
  const grey = REGION.data.map((bit) => 255 * bit)
  await writeFile(join(cwd, 'region.png'), encodePng({ width: 40, height: 30, grey }))
  return cwd
}

/** The same question to the library. */
export async function ask<T>(cwd: string, question: (scene: Scene) => Promise<T>): Promise<T> {
  const model = await FlowSeg.load(join(cwd, 'model'), { gpu })
  try {
    return await question(await model.look(IMAGE))
  } finally {
    model.close()
  }
}

/** The command with this model, and what it printed. */
export async function run(
  cwd: string,
  ...args: string[]
): Promise<Outcome & { readonly json: Record<string, unknown> }> {
  const result = await flowseg([...args, '--weights', 'model', '--json'], { cwd, gpu })
  return { ...result, json: JSON.parse(result.out || '{}') as Record<string, unknown> }
}
