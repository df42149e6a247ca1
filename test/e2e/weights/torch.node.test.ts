// The command takes a checkpoint of PyTorch wherever it takes weights: a folder, or the file in it; and converts it.

import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { openFolder } from '../../../src/io/folder.ts'
import { openCheckpoint } from '../../../src/io/open-checkpoint.ts'
import { writeSafetensors } from '../../../src/io/safetensors.ts'
import { FlowSeg } from '../../../src/model/flowseg.ts'
import { Pickle, type TorchTensor, torchEntries, writeTorch } from '../../io/torch/torch-writer.ts'
import { zip } from '../../io/torch/zip-writer.ts'
import { picture, smallCheckpoint } from '../../model/checkpoint/small-checkpoint.ts'
import { anyGpu, toBf16 } from '../../support.ts'
import { flowseg, NANO, ROOT, temporaryFolder } from '../cli-harness.ts'

const PICTURE = join(ROOT, 'examples/scene.png')
let tensors: TorchTensor[]
beforeAll(async () => {
  const nano = await openCheckpoint(openFolder(NANO))
  tensors = await Promise.all(
    [...nano.tensors.values()].map(async ({ name, dtype, shape }) => {
      return { name, dtype, shape, bytes: await nano.read(name) }
    }),
  )
  await nano.close()
})

/** A model's folder with these weights. */
async function modelWith(name: string, weights: Uint8Array): Promise<string> {
  const folder = await temporaryFolder()
  for (const file of ['config.json', 'tokenizer.json', 'tokenizer_config.json']) {
    await copyFile(join(NANO, file), join(folder, file))
  }
  await writeFile(join(folder, name), weights)
  return folder
}

const segment = async (weights: string) =>
  flowseg(['segment', PICTURE, 'the umbrella', '--weights', weights, '--json'], {
    cwd: await temporaryFolder(),
  })

test('segment loads a folder with pytorch_model.bin, and a .pth by its path, as it loads safetensors', async () => {
  const plain = await segment(NANO)
  const answer = ({ out }: { out: string }): object => {
    const { query, score, box, pixels } = JSON.parse(out) as Record<string, unknown>
    return { query, score, box, pixels }
  }
  expect(answer(plain)).toMatchObject({ query: expect.any(Number) })

  const folder = await modelWith('pytorch_model.bin', writeTorch(tensors))
  const fromFolder = await segment(folder)
  expect([fromFolder.code, fromFolder.err]).toEqual([0, ''])
  expect(answer(fromFolder)).toEqual(answer(plain))

  const named = await modelWith('epoch-3.pth', writeTorch(tensors, { under: ['model'] }))
  await writeFile(join(named, 'pytorch_model.bin'), 'not this one')
  const fromFile = await segment(join(named, 'epoch-3.pth'))
  expect([fromFile.code, fromFile.err]).toEqual([0, ''])
  expect(answer(fromFile)).toEqual(answer(plain))
})

test('inspect lists it, compares it with the manifest, and says what it left out', async () => {
  const old = tensors.map((x) => ({
    ...x,
    name: `module.${x.name.replace(/^vision_encoder/, 'visual_encoder')}`,
  }))
  const folder = await modelWith('pytorch_model.bin', writeTorch(old, { under: ['state_dict'] }))
  expect(await flowseg(['manifest', folder], { cwd: folder })).toMatchObject({ code: 0 })
  const { code, out, err } = await flowseg(['inspect', folder], { cwd: folder })
  expect([code, err]).toEqual([0, ''])
  expect(out).toContain(`All `)
  expect(out).toContain('The names begin with "module.", which is left out.')
  expect(out).toMatch(/pytorch_model\.bin +as listed/)

  const file = join(folder, 'pytorch_model.bin')
  const bytes = await readFile(file)
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1
  await writeFile(file, bytes)
  expect((await flowseg(['inspect', folder], { cwd: folder })).out).toMatch(/pytorch_model\.bin +differs/)
  const loaded = await segment(folder)
  expect(loaded.code).toBe(1)
  expect(loaded.out).toMatch(/its bytes are damaged/)
})

test('safetensors go before it, and the other one is named', async () => {
  const folder = await modelWith('pytorch_model.bin', new TextEncoder().encode('not read'))
  await copyFile(join(NANO, 'model.safetensors'), join(folder, 'model.safetensors'))
  const said = 'The weights are those of model.safetensors; pytorch_model.bin beside it is not read.'
  const { code, out } = await flowseg(['inspect', folder], { cwd: folder })
  expect(code).toBe(0)
  expect(out).toContain(said)
  const loaded = await segment(folder)
  expect(loaded).toMatchObject({ code: 0, err: `note: ${said}\n` })
})

test.each(['qwen3', 'phi3'] as const)(
  'X-SAM with %s in bf16, as PyTorch wrote it: converted, it has the same bytes, and all of them answer alike',
  async (type) => {
    // A tied head is stored beside the embedding, in one storage
    const files = smallCheckpoint({ type, flow: false, head: type === 'phi3' })
    const wide = await openCheckpoint(openFolder(files))
    const original: (TorchTensor & { bytes: Uint8Array })[] = []
    for (const { name, shape } of wide.tensors.values()) {
      const { bits } = toBf16(new Float32Array((await wide.read(name)).buffer))
      original.push({ name, dtype: 'BF16', shape, bytes: new Uint8Array(bits.buffer) })
    }
    const published = original.map((x) => ({
      ...x,
      name: x.name.replace(/^vision_encoder/, 'visual_encoder'),
    }))
    const embedding = original.find(({ name }) => name === 'llm.model.embed_tokens.weight')
    if (type === 'qwen3') published.push({ ...embedding!, name: 'llm.lm_head.weight' })
    const cwd = await temporaryFolder()
    for (const name of ['original', 'torch']) {
      await mkdir(join(cwd, name))
      for (const file of files) await writeFile(join(cwd, name, file.name), file.stream())
    }
    await writeFile(join(cwd, 'original/model.safetensors'), writeSafetensors(original))
    await rm(join(cwd, 'torch/model.safetensors'))
    await writeFile(join(cwd, 'torch/pytorch_model.bin'), writeTorch(published, { under: ['state_dict'] }))
    const { code, err } = await flowseg(['convert', 'torch', 'converted', '--shard-size', '1MiB'], { cwd })
    expect(code, err).toBe(0)

    const converted = await openCheckpoint(openFolder(join(cwd, 'converted')))
    expect([...converted.tensors.keys()].sort()).toEqual(original.map(({ name }) => name).sort())
    for (const { name, dtype, shape, bytes } of original) {
      expect(converted.tensors.get(name), name).toMatchObject({ dtype, shape })
      expect(Buffer.compare(await converted.read(name), bytes), name).toBe(0)
    }
    await converted.close()

    const gpu = await anyGpu()
    const answers: object[] = []
    for (const name of ['original', 'torch', 'converted']) {
      using model = await FlowSeg.load(join(cwd, name), { gpu })
      expect(model.config.llm.type).toBe(type)
      using scene = await model.look(picture(150, 100))
      const { candidates, logits, mask } = await scene.segment('the red mug')
      const scores = candidates.map(({ query, score }) => [query, score])
      answers.push({ scores, logits: logits.refined, mask: mask.data })
    }
    expect(answers[1]).toEqual(answers[0])
    expect(answers[2]).toEqual(answers[0])
  },
)

test('a pickle that would run a program is refused by its name, and nothing runs', async () => {
  const folder = await temporaryFolder()
  const trace = join(folder, 'trace')
  const pickle = new Pickle()
    .op(0x80, 2)
    .global('os', 'system')
    .mark()
    .text(`touch ${trace}`)
    .op(0x74, 0x52, 0x2e)
  const [, ...others] = torchEntries([])
  const weights = zip([{ name: 'archive/data.pkl', data: pickle.bytes() }, ...others])
  await mkdir(join(folder, 'm'))
  await writeFile(join(folder, 'm', 'pytorch_model.bin'), weights)
  const { code, err } = await flowseg(['inspect', 'm'], { cwd: folder })
  expect(code).toBe(1)
  expect(err).toMatch(/pytorch_model\.bin: its pickle asks for "os\.system"/)
  await expect(readFile(trace)).rejects.toThrow('ENOENT')
})
