// The command takes weights from a hub: hf:owner/name, by HF_ENDPOINT from one on this machine.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { LocalHub } from '../io/http/local-hub.ts'
import { flowseg, NANO, ROOT, temporaryFolder } from './cli-harness.ts'

const hub = new LocalHub()
const nano = Object.fromEntries(
  readdirSync(NANO).map((name) => [name, new Uint8Array(readFileSync(join(NANO, name)))]),
)
const nested = Object.fromEntries(
  Object.entries(nano).map(([name, bytes]) => [`stage 3/größe/${name}`, bytes]),
)
const segmentArgs = (weights: string, cwd: string): string[] => [
  ...['segment', join(ROOT, 'examples/scene.png'), 'the dotted shape', '--weights', weights],
  ...['--json', '--mask', join(cwd, 'mask.png')],
]

beforeAll(() => hub.listen())
afterAll(() => hub.close())
beforeEach(async () => {
  vi.stubEnv('XDG_CACHE_HOME', await temporaryFolder())
  vi.stubEnv('HF_ENDPOINT', hub.endpoint)
  vi.stubEnv('HF_TOKEN', 'hf_mine')
  hub.isDown = false
  hub.commit('me/nano', { ...nano, ...nested })
  hub.taken()
})
afterEach(() => {
  vi.unstubAllEnvs()
  expect(hub.leaks).toEqual([])
})

test('segment with weights from the hub; the second time offline; the same mask as from disk', async () => {
  const masks: Buffer[] = []
  for (const [weights, isDown] of [
    [NANO, true],
    ['hf:me/nano', false],
    ['hf:me/nano', true],
  ] as const) {
    hub.isDown = isDown
    const cwd = await temporaryFolder()
    const { code, out, err } = await flowseg(segmentArgs(weights, cwd), { cwd })
    expect({ code, err: isDown ? '' : err }).toEqual({ code: 0, err: '' })
    expect(JSON.parse(out)).toMatchObject({ sentence: 'the dotted shape' })
    masks.push(readFileSync(join(cwd, 'mask.png')))
  }
  expect(masks[1]).toEqual(masks[0])
  expect(masks[2]).toEqual(masks[0])
})
