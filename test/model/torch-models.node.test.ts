// Whole models of X-SAM as PyTorch saved them (test/fixtures/io/torch_models.py): the tensors are those that the rule
// of the golden files makes, to the bit; and the answers in place, converted, and converted to few bits are, bit for
// bit, those of the same weights as safetensors.

import { expect, test } from 'vitest'
import type { Checkpoint } from '../../src/io/checkpoint/checkpoint.ts'
import { type Folder, openFolder } from '../../src/io/folder.ts'
import { openCheckpoint } from '../../src/io/open-checkpoint.ts'
import { writeSafetensors } from '../../src/io/safetensors.ts'
import { parseConfig } from '../../src/model/checkpoint/config.ts'
import { canonicalName } from '../../src/model/checkpoint/parameters.ts'
import { FlowSeg, type Segmentation } from '../../src/model/flowseg.ts'
import { weightTensor } from '../fixtures/random.ts'
import { readBytes } from '../runtime.ts'
import { anyGpu } from '../support.ts'
import { picture, smallCheckpoint } from './checkpoint/small-checkpoint.ts'
import { convertedFolder } from './convert/converted-folder.ts'
import { expectSame } from './small-model.ts'

const FIXTURES = 'test/fixtures/io/torch-models'
const EMBEDDING = 'llm.model.embed_tokens.weight'
const HEAD = 'llm.lm_head.weight'

const gpu = await anyGpu()

async function answerOf(from: File[] | Folder): Promise<Segmentation> {
  const model = await FlowSeg.load(from, { gpu })
  try {
    const scene = await model.look(picture(50, 40))
    return await scene.segment('the red mug')
  } finally {
    model.close()
  }
}

/** The bits of a weight in bfloat16. */
function bitsOf(name: string, shape: readonly number[]): Uint8Array<ArrayBuffer> {
  const values = new Uint32Array(weightTensor(name, shape, 'bf16').buffer)
  return new Uint8Array(Uint16Array.from(values, (bits) => bits >>> 16).buffer)
}

/** The name that safetensors of X-SAM's main branch have it under. */
function plainName(name: string): string {
  return canonicalName(name.replace(/^module\./, ''))
}

/** The same weights as safetensors, made without PyTorch's file but for its names and shapes. */
function asSafetensors(checkpoint: Checkpoint, isTied: boolean): Uint8Array<ArrayBuffer> {
  const tensors = [...checkpoint.tensors.values()].flatMap(({ name, shape }) => {
    const plain = plainName(name)
    if (isTied && plain === HEAD) return []
    return [{ name: plain, dtype: 'BF16' as const, shape, bytes: bitsOf(plain, shape) }]
  })
  return writeSafetensors(tensors)
}

test.each(['phi3', 'qwen3'] as const)(`X-SAM with %s, saved by PyTorch, on ${gpu.name}`, async (llm) => {
  const bin = await readBytes(`${FIXTURES}/${llm}.bin`)
  const json = await readBytes(`${FIXTURES}/${llm}.json`)
  const config = parseConfig(JSON.parse(new TextDecoder().decode(json)), `${llm}.json`)
  const tokenizer = smallCheckpoint({ type: llm }).filter(({ name }) => name.startsWith('tokenizer'))
  const beside = [new File([json], 'config.json'), ...tokenizer]
  const original = [...beside, new File([bin], 'pytorch_model.bin')]
  const checkpoint = await openCheckpoint(openFolder(original))

  // 1. The tensors, those that no network reads among them
  const { tied } = config.llm
  for (const { name, dtype, shape } of checkpoint.tensors.values()) {
    const plain = plainName(name)
    expect(dtype, name).toBe('BF16')
    const wanted = bitsOf(tied && plain === HEAD ? EMBEDDING : plain, shape)
    const read = await checkpoint.read(name)
    expect(read.length === wanted.length && read.every((byte, i) => byte === wanted[i]), name).toBe(true)
  }
  const names = [...checkpoint.tensors.keys()]
  const [embedding, head] = [EMBEDDING, HEAD].map((wanted) => {
    return checkpoint.tensors.get(names.find((name) => plainName(name) === wanted) ?? '')
  })
  expect(head?.begin === embedding?.begin).toBe(tied)
  expect(names.some((name) => name.endsWith('neck.conv1.weight'))).toBe(true)

  // 2. The answers
  const plain = [...beside, new File([asSafetensors(checkpoint, tied)], 'model.safetensors')]
  const expected = await answerOf(plain)
  expect(expected.mask.data.some((x) => x > 0)).toBe(true)
  expectSame(await answerOf(original), expected)

  const files = new Map<string, Uint8Array>()
  for (const file of beside) files.set(file.name, new Uint8Array(await file.arrayBuffer()))
  expectSame(await answerOf(await convertedFolder(checkpoint, config, undefined, files)), expected)

  const safetensors = await openCheckpoint(openFolder(plain))
  const [fromBin, fromPlain] = await Promise.all(
    [checkpoint, safetensors].map((from) => convertedFolder(from, config, 'int4', files)),
  )
  if (!fromBin || !fromPlain) throw new Error('two folders were converted')
  expectSame(await answerOf(fromBin), await answerOf(fromPlain))
  await checkpoint.close()
  await safetensors.close()
})
