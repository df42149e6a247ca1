// Small random weights that know every task, as folders to choose; such that write a sentence that we know; and the
// embedded ones saying of themselves what they know, or that they know sentences alone.

import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TensorData } from '../../../src/io/safetensors.ts'
import { TASKS } from '../../../src/model/checkpoint/task-config.ts'
import { NANO, rewriteNano } from '../../e2e/cli-harness.ts'
import { smallCheckpoint } from '../../model/checkpoint/small-checkpoint.ts'
import { fillWorld, knowsOf } from '../../model/knows/knowing.ts'

/** The least scores of an answer, and of each object of several. */
interface Presence {
  readonly threshold: number
  readonly all: number
}

/** Ids of the small tokenizer: bytes, the chat's two, and the markers. */
const [END, SEG, OPEN, CLOSE] = [257, 258, 259, 260]
const VOCAB = 261
/**
 * The answer of `writer`: one phrase, in letters of which none comes twice, as each token follows from the one before.
 */
export const WRITTEN = 'It mug.'
const CHAIN = [...bytes('\nIt '), OPEN, ...bytes('mug'), CLOSE, ...bytes('.'), SEG, END]

function bytes(text: string): number[] {
  return [...new TextEncoder().encode(text)]
}

/** A folder of random weights. @param knows what they say that they know */
export async function everyTask(presence: Presence, knows?: object): Promise<string> {
  return folderOf(
    smallCheckpoint({
      maxTokens: 900,
      positions: 4000,
      config: { tasks: [...TASKS], presence, ...(knows && { knows }) },
      // Queries that differ more than random ones do, so that their masks do, too
      edit(name, values) {
        fillWorld(name, values)
        if (name.endsWith('queries_features.weight'))
          for (const [i, v] of values.entries()) values[i] = 20 * v
        if (name.includes('mask_embedder') && name.endsWith('bias')) values.fill(0)
      },
    }),
  )
}

/** A folder of weights whose language model writes WRITTEN, whatever it is asked. */
export async function writer(presence: Presence): Promise<string> {
  let embedding = new Float32Array()
  return folderOf(
    smallCheckpoint({
      maxTokens: 900,
      positions: 4000,
      config: { tasks: [...TASKS], presence },
      tied: false,
      edit(name, values) {
        // The state of a token stays its embedding
        if (/^(llm\.)?(model\.)?layers\..*(o_proj|down_proj)\.weight$/.test(name)) values.fill(0)
        if (/^(llm\.)?(model\.)?norm\.weight$/.test(name)) values.fill(1)
        if (name.endsWith('embed_tokens.weight')) embedding = values.slice()
        if (name.endsWith('lm_head.weight')) chain(embedding, values)
      },
    }),
  )
}

/** Makes a head that takes each token of CHAIN for the one after the token before. */
function chain(embedding: Float32Array, head: Float32Array): void {
  const hidden = embedding.length / VOCAB
  head.fill(0)
  for (const [i, from] of CHAIN.entries()) {
    const to = CHAIN[i + 1]
    if (to === undefined) continue
    const row = embedding.subarray(from * hidden, (from + 1) * hidden)
    const length = Math.hypot(...row)
    head.set(
      row.map((value) => (8 * value) / length),
      to * hidden,
    )
  }
}

/** A folder of the embedded weights under a name of their own, with what they say that they know. */
export async function knowing(
  name: string,
  presence: Presence,
  world: Parameters<typeof knowsOf>[0],
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'flowseg-weights-'))
  const config = JSON.parse(await readFile(join(NANO, 'config.json'), 'utf8')) as { llm: { hidden: number } }
  const features = 4 * config.llm.hidden
  const shapes = { 'world.mean': [features], 'world.axes': [3, features], 'world.scale': [3] }
  const tensors = Object.entries(shapes).map(([tensor, shape]): TensorData => {
    const values = new Float32Array(shape.reduce((product, side) => product * side, 1))
    fillWorld(tensor, values)
    return { name: tensor, dtype: 'F32', shape, bytes: new Uint8Array(values.buffer) }
  })
  await rewriteNano(folder, (all) => [...all.filter((one) => !(one.name in shapes)), ...tensors])
  const json = JSON.stringify({ ...config, name, presence, knows: knowsOf(world) })
  await writeFile(join(folder, 'config.json'), json)
  return folder
}

/** A folder of the embedded weights under a name of their own, as if they had been trained on sentences alone. */
export async function sentencesAlone(name: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'flowseg-weights-'))
  await rewriteNano(folder, (all) => all)
  const config = JSON.parse(await readFile(join(NANO, 'config.json'), 'utf8')) as Record<string, object>
  const flow = { ...config.flow, tasks: undefined }
  const sentences = { ...config, name, tasks: undefined, regions: undefined, knows: undefined, flow }
  await writeFile(join(folder, 'config.json'), JSON.stringify(sentences))
  return folder
}

async function folderOf(files: readonly File[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'flowseg-weights-'))
  for (const file of files) await writeFile(join(folder, file.name), new Uint8Array(await file.arrayBuffer()))
  return folder
}
