// The command takes a checkpoint of PyTorch wherever it takes weights: a folder, or the file in it.

import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { openFolder } from '../../../src/io/folder.ts'
import { openCheckpoint } from '../../../src/io/open-checkpoint.ts'
import { Pickle, type TorchTensor, torchEntries, writeTorch } from '../../io/torch/torch-writer.ts'
import { zip } from '../../io/torch/zip-writer.ts'
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
