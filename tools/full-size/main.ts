// A step of tools/full-size.mjs in a process of its own, so that its memory can be measured:
//
//   make CONFIG FOLDER SEED          a random checkpoint
//   answer FOLDER OUT ADAPTER [TYPE] what the engine answers, and a line of JSON on standard output

import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openGpu } from '../../src/gpu/gpu.ts'
import type { Quantized } from '../../src/kernels/quantize.ts'
import { parseConfig } from '../../src/model/checkpoint/config.ts'
import { answer } from './answer.ts'
import { writeRandomCheckpoint } from './checkpoint.ts'

/** Any tokenizer will do whose ids are rows of the embedding: the weights are random. */
const TOKENIZER = 'weights/flowseg-nano'

const [step, ...args] = process.argv.slice(2)
if (step === 'make') await make()
else await ask()

async function make(): Promise<void> {
  const [configPath = '', folder = '', seed = '1'] = args
  const text = await readFile(configPath, 'utf8')
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
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) {
    await copyFile(join(TOKENIZER, name), join(folder, name))
  }
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
