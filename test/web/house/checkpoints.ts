// Small random weights that know every task, as folders to choose; and such that write a sentence that we know.

import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TASKS } from '../../../src/model/checkpoint/task-config.ts'
import { smallCheckpoint } from '../../model/checkpoint/small-checkpoint.ts'

/** The least scores of an answer, and of each object of several. */
interface Presence {
  readonly threshold: number
  readonly all: number
}

/** Ids of the small tokenizer: bytes, the chat's two, and the markers. */
const [END, SEG, OPEN, CLOSE] = [257, 258, 259, 260]
const VOCAB = 261
/** What `writer` says: one phrase, in letters of which none comes twice, as each token follows from the one before. */
export const WRITTEN = 'It mug.'
const CHAIN = [...bytes('\nIt '), OPEN, ...bytes('mug'), CLOSE, ...bytes('.'), SEG, END]

function bytes(text: string): number[] {
  return [...new TextEncoder().encode(text)]
}

/** A folder of random weights. */
export async function everyTask(presence: Presence): Promise<string> {
  return folderOf(
    smallCheckpoint({
      maxTokens: 900,
      positions: 4000,
      config: { tasks: [...TASKS], presence },
      // Queries that differ more than random ones do, so that their masks do, too
      edit(name, values) {
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
  const files = smallCheckpoint({
    maxTokens: 900,
    positions: 4000,
    config: { tasks: [...TASKS], presence },
    edit(name, values) {
      // The state of a token stays its embedding
      if (/^(llm\.)?(model\.)?layers\..*(o_proj|down_proj)\.weight$/.test(name)) values.fill(0)
      if (/^(llm\.)?(model\.)?norm\.weight$/.test(name)) values.fill(1)
      if (name.endsWith('embed_tokens.weight')) embedding = values.slice()
    },
  })
  const hidden = embedding.length / VOCAB
  const head = new Float32Array(VOCAB * hidden)
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
  const changed = files.map(async (file) => {
    if (file.name === 'config.json') {
      const config = JSON.parse(await file.text()) as { llm: object }
      return new File([JSON.stringify({ ...config, llm: { ...config.llm, tied: false } })], file.name)
    }
    if (!file.name.endsWith('.safetensors')) return file
    return withTensor(file, 'llm.lm_head.weight', [VOCAB, hidden], head)
  })
  return folderOf(await Promise.all(changed))
}

/** A safetensors file with one more tensor, at its end. */
async function withTensor(
  file: File,
  name: string,
  shape: number[],
  values: Float32Array<ArrayBuffer>,
): Promise<File> {
  const buffer = await file.arrayBuffer()
  const length = Number(new DataView(buffer).getBigUint64(0, true))
  const header = JSON.parse(new TextDecoder().decode(buffer.slice(8, 8 + length))) as Record<string, unknown>
  const body = buffer.slice(8 + length)
  const data_offsets = [body.byteLength, body.byteLength + values.byteLength]
  const text = JSON.stringify({ ...header, [name]: { dtype: 'F32', shape, data_offsets } })
  const padded = new TextEncoder().encode(text.padEnd(Math.ceil(text.length / 8) * 8))
  const size = new DataView(new ArrayBuffer(8))
  size.setBigUint64(0, BigInt(padded.length), true)
  return new File([size, padded, body, values], file.name)
}

async function folderOf(files: readonly File[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'flowseg-weights-'))
  for (const file of files) await writeFile(join(folder, file.name), new Uint8Array(await file.arrayBuffer()))
  return folder
}
