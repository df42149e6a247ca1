// A checkpoint of any config with random weights, written tensor by tensor: to run a model of true size that nobody has
// to download. The same seed gives the same bytes.

import { mkdir, open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../../src/model/checkpoint/config.ts'
import { HEAD_NAME } from '../../src/model/checkpoint/fit.ts'
import { type Parameter, parameters } from '../../src/model/checkpoint/parameters.ts'
import { distributionOf, Noise } from '../../src/model/checkpoint/random-weights.ts'

/** Bytes of tensors in a file; a larger tensor has a file of its own. */
const SHARD_BYTES = 2 ** 30
/** Values that are made at once. */
const PIECE = 2 ** 20

/** A tensor of bf16 and its place in its file, counted from the first tensor's first byte. */
interface Placed {
  readonly parameter: Parameter
  readonly seed: number
  readonly begin: number
  readonly end: number
}

/**
 * Writes sharded safetensors with their index: every tensor of the config in bf16, those that no network reads
 * included, as in published checkpoints. A tied head of the language model is left out: it is the embedding.
 *
 * @param onTensor told the name and the bytes of each tensor once it is written
 */
export async function writeRandomCheckpoint(
  folder: string,
  config: Config,
  seed: number,
  onTensor: (name: string, bytes: number) => void = () => undefined,
): Promise<void> {
  await mkdir(folder, { recursive: true })
  // A tensor's seed is its place among all, so that what is left out changes no other
  const numbered = parameters(config).map((parameter, i) => ({ parameter, seed: seed * 100_003 + i }))
  const isTied = ({ name }: Parameter): boolean => config.llm.tied && name === HEAD_NAME
  const shards = shardsOf(numbered.filter(({ parameter }) => !isTied(parameter)))
  const weightMap: Record<string, string> = {}
  for (const [i, shard] of shards.entries()) {
    const name = shardName(i, shards.length)
    for (const { parameter } of shard) weightMap[parameter.name] = name
    await writeShard(join(folder, name), shard, onTensor)
  }
  const total = shards.flat().reduce((sum, { begin, end }) => sum + end - begin, 0)
  const index = { metadata: { total_size: total }, weight_map: weightMap }
  await writeFile(join(folder, 'model.safetensors.index.json'), `${JSON.stringify(index, null, 1)}\n`)
}

function shardName(i: number, count: number): string {
  const number = (n: number): string => String(n).padStart(5, '0')
  return `model-${number(i + 1)}-of-${number(count)}.safetensors`
}

function shardsOf(all: readonly Pick<Placed, 'parameter' | 'seed'>[]): Placed[][] {
  const shards: Placed[][] = []
  let shard: Placed[] = []
  let end = 0
  for (const { parameter, seed } of all) {
    const bytes = 2 * sizeOf(parameter)
    if (shard.length > 0 && end + bytes > SHARD_BYTES) {
      shards.push(shard)
      shard = []
      end = 0
    }
    shard.push({ parameter, seed, begin: end, end: end + bytes })
    end += bytes
  }
  return [...shards, shard]
}

function sizeOf({ shape }: Parameter): number {
  return shape.reduce((product, n) => product * n, 1)
}

async function writeShard(
  path: string,
  shard: readonly Placed[],
  onTensor: (name: string, bytes: number) => void,
): Promise<void> {
  const entries = shard.map(({ parameter: { name, shape }, begin, end }) => [
    name,
    { dtype: 'BF16', shape, data_offsets: [begin, end] },
  ])
  const text = JSON.stringify(Object.fromEntries(entries))
  const header = new TextEncoder().encode(text.padEnd(Math.ceil(text.length / 8) * 8))
  const length = new Uint8Array(8)
  new DataView(length.buffer).setBigUint64(0, BigInt(header.length), true)
  const file = await open(path, 'w')
  try {
    await file.writeFile(length)
    await file.writeFile(header)
    for (const { parameter, seed } of shard) {
      const { scale, centre } = distributionOf(parameter)
      const noise = new Noise(seed)
      for (let left = sizeOf(parameter); left > 0; left -= PIECE) {
        const values = noise.nextBf16(Math.min(left, PIECE), scale, centre)
        await file.writeFile(new Uint8Array(values.buffer))
      }
      onTensor(parameter.name, 2 * sizeOf(parameter))
    }
  } finally {
    await file.close()
  }
}
