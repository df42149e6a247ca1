// A checkpoint that is converted in memory: a folder as `flowseg convert` would write it.

import { type Folder, folderWith, openFolder } from '../../../src/io/folder.ts'
import { type Checkpoint, type TensorData, writeSafetensors } from '../../../src/io/safetensors.ts'
import { bytesSource } from '../../../src/io/source.ts'
import type { Config } from '../../../src/model/checkpoint/config.ts'
import { type ConvertPlan, planConversion } from '../../../src/model/convert/convert-plan.ts'
import { convertedPieces } from '../../../src/model/convert/convert-step.ts'
import { parseRecipe } from '../../../src/model/convert/recipe.ts'

/** Changes the tensors and the metadata of a shard before it is written. */
export type Change = (tensors: TensorData[], metadata: Record<string, string>) => void

/** @param beside the files beside the weights, by name */
export async function convertedFolder(
  original: Checkpoint,
  config: Config,
  recipe: string | undefined,
  beside: ReadonlyMap<string, Uint8Array>,
  change: Change = () => undefined,
): Promise<Folder> {
  const settings = { recipe: parseRecipe(recipe), shardBytes: 2 ** 22, source: 'test', all: false }
  const plan = planConversion(original, config, settings)
  const files = new Map(beside)
  for (const shard of plan.shards) files.set(shard.file, await shardBytes(original, shard, change))
  files.set('model.safetensors.index.json', new TextEncoder().encode(plan.index))
  return folderWith(openFolder([]), async (file) => {
    const bytes = files.get(file)
    return bytes && bytesSource(bytes, file)
  })
}

async function shardBytes(
  original: Checkpoint,
  { steps, outline }: ConvertPlan['shards'][number],
  change: Change,
): Promise<Uint8Array> {
  const tensors: TensorData[] = []
  for (const step of steps) {
    const parts = step.outputs.map((): Uint8Array<ArrayBuffer>[] => [])
    for await (const { output, bytes } of convertedPieces(original, step)) {
      parts[output]?.push(bytes.slice())
    }
    for (const [i, one] of step.outputs.entries()) {
      tensors.push({ ...one, bytes: new Uint8Array(await new Blob(parts[i]).arrayBuffer()) })
    }
  }
  const header = new TextDecoder().decode(outline.header().subarray(8))
  const metadata = metadataIn(header)
  change(tensors, metadata)
  return writeSafetensors(tensors, metadata)
}

function metadataIn(header: string): Record<string, string> {
  const { ['__metadata__']: metadata } = JSON.parse(header) as Record<string, Record<string, string>>
  return metadata ?? {}
}
