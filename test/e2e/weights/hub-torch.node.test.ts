// The command takes files of PyTorch from a hub, by their path or by their folder, at a revision, and reads what
// PyTorch reads.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { openFolder } from '../../../src/io/folder.ts'
import { openCheckpoint } from '../../../src/io/open-checkpoint.ts'
import { LocalHub } from '../../io/http/hub/local-hub.ts'
import { EXPECTED, FIXTURES, rowsOf } from '../../io/torch/torch-files.ts'
import { type TorchTensor, writeTorch } from '../../io/torch/torch-writer.ts'
import { flowseg, NANO, ROOT, temporaryFolder } from '../cli-harness.ts'

test.each([
  'hf:me/x/s3_mixed_finetune/xtuner_x/pytorch_model.bin@main',
  'hf:me/x/s3_mixed_finetune/xtuner_x/pytorch_model.bin',
  'hf:me/x/s3_mixed_finetune/xtuner_x@v1',
  'hf:me/x/other@v1',
])('%s', async (place) => {
  const hub = await new LocalHub().listen()
  const bytes = new Uint8Array(readFileSync(join(ROOT, FIXTURES, 'phi3.bin')))
  const files = { 's3_mixed_finetune/xtuner_x/pytorch_model.bin': bytes, 'other/epoch_3.bin': bytes }
  hub.commit('me/x', files)
  hub.commit('me/x', files, 'v1')
  vi.stubEnv('HF_ENDPOINT', hub.endpoint)
  vi.stubEnv('XDG_CACHE_HOME', await temporaryFolder())
  const cwd = ROOT
  const here = await flowseg(['inspect', `${FIXTURES}/phi3.bin`, '--json'], { cwd })
  const { code, out, err } = await flowseg(['inspect', place, '--json'], { cwd })
  expect([code, err]).toEqual([0, ''])
  const names = (text: string): string[] =>
    (JSON.parse(text) as { tensors: { name: string; dtype: string; shape: number[] }[] }).tensors.map(
      ({ name, dtype, shape }) => `${name} ${dtype} ${shape.join()}`,
    )
  expect(names(out)).toEqual(names(here.out))
  const checkpoint = await openCheckpoint(openFolder(place))
  expect(await rowsOf(checkpoint)).toEqual(EXPECTED['phi3.bin'])
  await checkpoint.close()
  await hub.close()
})

test('what a model takes is told from headers, with a config from elsewhere, before it is downloaded', async () => {
  const nano = await openCheckpoint(openFolder(NANO))
  const tensors: TorchTensor[] = []
  for (const { name, dtype, shape } of nano.tensors.values()) {
    const old = name.replace(/^vision_encoder/, 'visual_encoder')
    tensors.push({ name: old, dtype, shape, bytes: await nano.read(name) })
  }
  await nano.close()
  const hub = await new LocalHub().listen()
  const bytes = writeTorch(tensors)
  hub.commit('me/x', { 'stage 3/run/pytorch_model.bin': bytes })
  vi.stubEnv('HF_ENDPOINT', hub.endpoint)
  vi.stubEnv('XDG_CACHE_HOME', await temporaryFolder())
  const config = join(NANO, 'config.json')
  const args = ['inspect', 'hf:me/x/stage 3/run@main', '--config', config, '--json']
  const { code, out, err } = await flowseg(args, { cwd: ROOT })
  expect([code, err]).toEqual([0, ''])
  const { memory } = JSON.parse(out) as { memory: { forms: Record<string, unknown>[] } }
  expect(memory.forms.map(({ weights }) => weights)).toEqual(['as stored', 'int8', 'int4'])
  for (const { disk, device, host } of memory.forms) {
    for (const need of [disk, device, host]) expect(need).toBeGreaterThan(1e6)
  }
  const sent = hub.contents.map((range) => / (\d+)-(\d+)$/.exec(range) ?? [])
  expect(sent.reduce((sum, [, from, to]) => sum + Number(to) - Number(from), 0)).toBeLessThan(bytes.length)
  await hub.close()
})
