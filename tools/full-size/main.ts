// A step of tools/full-size.mjs in a process of its own, so that its memory can be measured:
//
//   make CONFIG FOLDER SEED [small]  a random checkpoint; with few layers and tokens, if it says so
//   pack FOLDER OUT                  the same as pytorch_model.bin
//   same FOLDER OTHER                fails if a tensor of FOLDER hasn't the same bits in OTHER; prints their number
//   loading FOLDER INT4 ADAPTER      how long loading takes, rounded to int4 and stored in it: a line of JSON
//   answer FOLDER OUT ADAPTER [TYPE] what the engine answers, and a line of JSON on standard output

import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openGpu } from '../../src/gpu/gpu.ts'
import { openFolder } from '../../src/io/folder.ts'
import { openCheckpoint } from '../../src/io/open-checkpoint.ts'
import { FLOWSEG_TOKENS } from '../../src/io/text/tokenizer.ts'
import type { Quantized } from '../../src/kernels/quantize.ts'
import { parseConfig } from '../../src/model/checkpoint/config.ts'
import { answer } from './answer.ts'
import { writeRandomCheckpoint } from './checkpoint.ts'
import { compareLoading } from './loading.ts'
import { countSame, writeTorchFile } from './torch-file.ts'

/** Its words stand for any: the weights are random. */
const TOKENIZER = 'weights/flowseg-nano'

const [step, ...args] = process.argv.slice(2)
if (step === 'make') await make()
else if (step === 'pack') await pack()
else if (step === 'same') await compareBits()
else if (step === 'loading') await compare()
else await ask()

async function make(): Promise<void> {
  const [configPath = '', folder = '', seed = '1', size] = args
  const text = await configText(configPath, size === 'small')
  const config = parseConfig(JSON.parse(text), configPath)
  await mkdir(folder, { recursive: true })
  let total = 0
  await writeRandomCheckpoint(folder, config, Number(seed), (_, bytes) => {
    const before = total
    total += bytes
    if (Math.floor(total / 1e9) > Math.floor(before / 1e9))
      console.error(`${(total / 1e9).toFixed(1)} GB written`)
  })
  await writeFile(join(folder, 'config.json'), text)
  const tokenizer = await readFile(join(TOKENIZER, 'tokenizer.json'), 'utf8')
  await writeFile(join(folder, 'tokenizer.json'), withTokens(tokenizer, config.llm.vocab))
  await copyFile(join(TOKENIZER, 'tokenizer_config.json'), join(folder, 'tokenizer_config.json'))
}

/**
 * The config without `knows`, as random weights know nothing. Of a small one, a tenth of the layers is enough to see
 * what a byte of weights costs, and the nano's vocabulary needs no table.
 */
async function configText(path: string, isSmall: boolean): Promise<string> {
  const read = async (file: string) => JSON.parse(await readFile(file, 'utf8')) as Layers
  const { knows: _, ...config } = await read(path)
  if (!isSmall) return JSON.stringify(config)
  const nano = await read(join(TOKENIZER, 'config.json'))
  const llm = { ...config.llm, layers: Math.min(4, config.llm.layers), vocab: nano.llm.vocab }
  const siglip = { ...config.siglip, layers: Math.min(4, config.siglip.layers) }
  return JSON.stringify({ ...config, llm, siglip })
}

async function pack(): Promise<void> {
  const [folder = '', out = ''] = args
  const config = await readFile(join(folder, 'config.json'), 'utf8')
  await mkdir(out, { recursive: true })
  const checkpoint = await openCheckpoint(openFolder(folder))
  try {
    const { tied } = parseConfig(JSON.parse(config), folder).llm
    await writeTorchFile(join(out, 'pytorch_model.bin'), checkpoint, tied)
  } finally {
    await checkpoint.close()
  }
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) {
    await copyFile(join(folder, name), join(out, name))
  }
  // Last, as it tells that all is there
  await writeFile(join(out, 'config.json'), config)
}

async function compareBits(): Promise<void> {
  const [folder = '', other = ''] = args
  const [checkpoint, original] = await Promise.all([
    openCheckpoint(openFolder(folder)),
    openCheckpoint(openFolder(other)),
  ])
  try {
    console.log(await countSame(checkpoint, original))
  } finally {
    await checkpoint.close()
    await original.close()
  }
}

interface Layers {
  readonly llm: { readonly layers: number; readonly vocab: number }
  readonly siglip: { readonly layers: number }
  readonly knows?: object
}

async function compare(): Promise<void> {
  const [original = '', int4 = '', adapter = ''] = args
  const gpu = await openGpu(adapter ? { adapter } : {})
  try {
    console.log(JSON.stringify(await compareLoading(gpu, original, int4)))
  } finally {
    gpu.close()
  }
}

interface TokenizerFile {
  readonly model: { readonly vocab: Record<string, number> }
  readonly added_tokens: readonly { readonly content: string }[]
}

/** The same tokenizer with a token for each row of the embedding; FlowSeg's own, the last three, are added at load. */
function withTokens(text: string, rows: number): string {
  const file = JSON.parse(text) as TokenizerFile
  const isOwn = (token: string): boolean => (FLOWSEG_TOKENS as readonly string[]).includes(token)
  const vocab = Object.fromEntries(Object.entries(file.model.vocab).filter(([token]) => !isOwn(token)))
  const added = file.added_tokens.filter(({ content }) => !isOwn(content))
  const ids = new Set([...Object.values(vocab), ...added.map((token) => (token as { id?: number }).id)])
  for (let id = 0; id < rows - FLOWSEG_TOKENS.length; id++) if (!ids.has(id)) vocab[`<unused ${id}>`] = id
  return JSON.stringify({ ...file, model: { ...file.model, vocab }, added_tokens: added })
}

async function ask(): Promise<void> {
  const [folder = '', out = '', adapter = '', type] = args
  const gpu = await openGpu(adapter ? { adapter } : {})
  try {
    const { measured, file } = await answer(gpu, folder, type as Quantized | undefined)
    await writeFile(out, file)
    console.log(JSON.stringify(measured))
  } finally {
    gpu.close()
  }
}
