// The command takes files of PyTorch from a hub, by their path or by their folder, at a revision, and reads what
// PyTorch reads.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { openFolder } from '../../../src/io/folder.ts'
import { openCheckpoint } from '../../../src/io/open-checkpoint.ts'
import { LocalHub } from '../../io/http/hub/local-hub.ts'
import { EXPECTED, FIXTURES, rowsOf } from '../../io/torch/torch-files.ts'
import { flowseg, ROOT, temporaryFolder } from '../cli-harness.ts'

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
