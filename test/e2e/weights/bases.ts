// Small base models as transformers saves them (training/golden/bases.py), and copies of them that differ.

import { readFileSync } from 'node:fs'
import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Checkpoint } from '../../../src/io/checkpoint/checkpoint.ts'
import { openFolder } from '../../../src/io/folder.ts'
import { openCheckpoint } from '../../../src/io/open-checkpoint.ts'
import { type TensorData, writeSafetensors } from '../../../src/io/safetensors.ts'
import { flowseg, type Outcome, ROOT, type RunOptions } from '../cli-harness.ts'

export const LANGUAGES = ['qwen3', 'phi3'] as const
export type Language = (typeof LANGUAGES)[number]
export type BaseName = 'siglip' | 'sam' | Language

/** Tokens of the small language models, FlowSeg's three included. */
export const TOKENS = { qwen3: 262, phi3: 264 } as const

export function baseFolder(name: BaseName): string {
  return join(ROOT, 'test/fixtures/bases', name)
}

export function openBase(place: string): Promise<Checkpoint> {
  return openCheckpoint(openFolder(place))
}

/** The sizes that the script gives the small models, with a head that is small as well. */
export function smallConfig(language: Language): Record<string, unknown> {
  const path = join(ROOT, 'test/fixtures/golden/small.json')
  const { head, connector, flow, boundary, prompt } = JSON.parse(readFileSync(path, 'utf8'))
  const llm = {
    type: language,
    hidden: 16,
    layers: 2,
    headDim: 8,
    mlp: 32,
    vocab: TOKENS[language],
    ...(language === 'qwen3'
      ? { heads: 4, kvHeads: 2, ropeTheta: 1e6, eps: 1e-6, tied: true, maxPositions: 4096 }
      : { heads: 2, kvHeads: 2, ropeTheta: 1e4, eps: 1e-5, tied: false, maxPositions: 4096, window: 2047 }),
  }
  return {
    model: 'flowseg',
    name: `small-${language}`,
    compat: 'aaai',
    siglip: { image: 30, patch: 8, hidden: 16, layers: 3, heads: 2, mlp: 32, eps: 1e-6 },
    sam: {
      image: 64,
      patch: 8,
      hidden: 16,
      layers: 4,
      heads: 2,
      mlp: 32,
      window: 3,
      eps: 1e-6,
      globalLayers: [1, 3],
      connectorLayers: [2, 3, 4],
      llmLayer: 3,
    },
    connector,
    llm,
    head,
    flow,
    boundary,
    prompt: { ...prompt, chat: language },
  }
}

/** The parts of an assembly. */
export interface Parts {
  readonly siglip?: string
  readonly sam?: string
  readonly llm?: string
}

/** `flowseg convert` with the small models and a small head, written to `small.json` in the folder first. */
export async function assemble(
  cwd: string,
  language: Language,
  args: readonly string[],
  parts: Parts = {},
  options: Partial<RunOptions> = {},
): Promise<Outcome> {
  await writeFile(join(cwd, 'small.json'), JSON.stringify(smallConfig(language)))
  return assembleAs(cwd, language, ['--config', 'small.json', ...args], parts, options)
}

/** The same with the head that models have. */
export function assembleAs(
  cwd: string,
  language: Language,
  args: readonly string[],
  { siglip = baseFolder('siglip'), sam = baseFolder('sam'), llm = baseFolder(language) }: Parts = {},
  options: Partial<RunOptions> = {},
): Promise<Outcome> {
  const places = ['--siglip', siglip, '--sam', sam, '--llm', llm]
  return flowseg(['convert', ...places, ...args], { ...options, cwd })
}

/** A copy of a base in a folder of this name, as a single file, with other tensors or another config. */
export async function changed(
  cwd: string,
  name: BaseName,
  {
    tensors = (all) => all,
    config = (json) => json,
  }: {
    readonly tensors?: (all: TensorData[]) => TensorData[]
    readonly config?: (json: Record<string, unknown>) => object
  },
): Promise<string> {
  const folder = join(cwd, name)
  await cp(baseFolder(name), folder, { recursive: true })
  const checkpoint = await openBase(folder)
  const all: TensorData[] = []
  for (const { name: tensor, dtype, shape } of checkpoint.tensors.values()) {
    all.push({ name: tensor, dtype, shape, bytes: await checkpoint.read(tensor) })
  }
  const files = checkpoint.files ?? []
  await checkpoint.close()
  for (const file of files) await rm(join(folder, file))
  await writeFile(join(folder, 'model.safetensors'), writeSafetensors(tensors(all)))
  const path = join(folder, 'config.json')
  await writeFile(path, JSON.stringify(config(JSON.parse(await readFile(path, 'utf8')))))
  return folder
}

/** The change that a copy has. */
export type Change = Parameters<typeof changed>[2]

/** The option that names each base. */
export const OPTION = { siglip: 'siglip', sam: 'sam', qwen3: 'llm', phi3: 'llm' } as const

/** Tensors under other names. */
export const renamed =
  (change: (name: string) => string): ((all: TensorData[]) => TensorData[]) =>
  (all) =>
    all.map((tensor) => ({ ...tensor, name: change(tensor.name) }))
