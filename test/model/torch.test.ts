// A checkpoint of PyTorch gives the tensors and the answers of the same checkpoint as safetensors, to the bit, in every
// runtime: whole and in place, as an old generation named it, or with its matrices transposed in one large storage.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Checkpoint } from '../../src/io/checkpoint/checkpoint.ts'
import { DTYPE_BITS } from '../../src/io/checkpoint/dtype.ts'
import { EMBEDDED } from '../../src/io/embedded.ts'
import { openFolder } from '../../src/io/folder.ts'
import { openCheckpoint } from '../../src/io/open-checkpoint.ts'
import { bytesSource } from '../../src/io/source.ts'
import { FlowSeg, type Segmentation } from '../../src/model/flowseg.ts'
import { type TorchTensor, writeTorch } from '../io/torch/torch-writer.ts'
import { readBytes } from '../runtime.ts'
import { anyGpu } from '../support.ts'

const gpu = await anyGpu()
const folder = openFolder(EMBEDDED, { cache: 'none' })
const SENTENCE = 'the umbrella'

let nano: Checkpoint
let tensors: TorchTensor[]
let expected: Segmentation
beforeAll(async () => {
  nano = await openCheckpoint(folder)
  tensors = await Promise.all(
    [...nano.tensors.values()].map(async ({ name, dtype, shape }) => {
      return { name, dtype, shape, bytes: await nano.read(name) }
    }),
  )
  expected = await answerOf(await openFolderWith(undefined))
})
afterAll(() => nano.close())

/** The files of the model, with other weights. */
async function openFolderWith(weights: Uint8Array<ArrayBuffer> | undefined) {
  if (!weights) return folder
  const names = ['config.json', 'tokenizer.json', 'tokenizer_config.json']
  const small = names.map(async (name) => new File([await folder.readText(name)], name))
  return openFolder([...(await Promise.all(small)), new File([weights], 'pytorch_model.bin')])
}

async function answerOf(from: Parameters<typeof FlowSeg.load>[0]): Promise<Segmentation> {
  const model = await FlowSeg.load(from, { gpu })
  const scene = await model.look(await readBytes('test/fixtures/nano/0.png'))
  const answer = await scene.segment(SENTENCE)
  model.close()
  return answer
}

function scoresOf({ candidates }: Segmentation): number[][] {
  return candidates.map(({ query, score }) => [query, score])
}

/** The elements in another order, and the strides that undo it. */
function transposed({ name, dtype, shape, bytes }: TorchTensor): TorchTensor {
  const [rows = 0, columns = 0] = shape
  if (shape.length !== 2 || !(bytes instanceof Uint8Array)) return { name, dtype, shape, bytes }
  const width = DTYPE_BITS[dtype] / 8
  const turned = new Uint8Array(bytes.length)
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      const at = (r * columns + c) * width
      turned.set(bytes.subarray(at, at + width), (c * rows + r) * width)
    }
  }
  return { name, dtype, shape, bytes: turned, strides: [1, rows] }
}

/** All of them in one storage, if they are of one type. */
function inOneStorage(all: readonly TorchTensor[]): TorchTensor[] {
  const parts = all.flatMap(({ bytes }) => (bytes instanceof Uint8Array ? [bytes] : []))
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  return all.map((tensor, i) => {
    const part = parts[i] ?? new Uint8Array()
    bytes.set(part, at)
    const offset = (at * 8) / DTYPE_BITS[tensor.dtype]
    at += part.length
    return { ...tensor, bytes, offset }
  })
}

const VARIANTS: readonly (readonly [title: string, make: (all: TorchTensor[]) => Uint8Array<ArrayBuffer>])[] =
  [
    ['as they are', (all) => writeTorch(all)],
    [
      'with module. before their names, in a state_dict',
      (all) =>
        writeTorch(
          all.map((x) => ({ ...x, name: `module.${x.name}` })),
          { under: ['state_dict'] },
        ),
    ],
    ['transposed, in one storage', (all) => writeTorch(inOneStorage(all.map(transposed)))],
  ]

describe(`flowseg-nano as torch.save writes it, on ${gpu.name}`, () => {
  test.each(VARIANTS)('%s: the same tensors', async (title, make) => {
    const checkpoint = await openCheckpoint(bytesSource(make(tensors), 'pytorch_model.bin'))
    expect(checkpoint.tensors.size).toBe(tensors.length)
    for (const { name, dtype, shape, bytes } of tensors) {
      const stored = title.includes('module') ? `module.${name}` : name
      expect(checkpoint.tensors.get(stored)).toMatchObject({ dtype, shape })
      // Not by toEqual, which takes a minute for all of them
      const read = await checkpoint.read(stored)
      const isSame =
        bytes instanceof Uint8Array && read.length === bytes.length && read.every((b, i) => b === bytes[i])
      expect(isSame, name).toBe(true)
    }
  })

  // The command asks the one as it is: test/e2e/cli-torch.node.test.ts
  test.each(VARIANTS.slice(1))('%s: the same answer', async (_, make) => {
    const answer = await answerOf(await openFolderWith(make(tensors)))
    expect(answer.query).toBe(expected.query)
    expect(answer.mask.data).toEqual(expected.mask.data)
    expect(scoresOf(answer)).toEqual(scoresOf(expected))
  })
})
