// The command takes weights from a hub: hf:owner/name, by HF_ENDPOINT from one on this machine.

import { readdirSync, readFileSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { LocalHub } from '../../io/http/hub/local-hub.ts'
import { anyGpu } from '../../support.ts'
import { flowseg, NANO, ROOT, temporaryFolder } from '../cli-harness.ts'

const hub = new LocalHub()
const nano = Object.fromEntries(
  readdirSync(NANO).map((name) => [name, new Uint8Array(readFileSync(join(NANO, name)))]),
)
const nested = Object.fromEntries(
  Object.entries(nano).map(([name, bytes]) => [`stage 3/größe/${name}`, bytes]),
)
const segmentArgs = (weights: string, cwd: string): string[] => [
  'segment',
  join(ROOT, 'examples/scene.png'),
  'the dotted shape',
  '--weights',
  weights,
  '--json',
  '--mask',
  join(cwd, 'mask.png'),
]

const gpu = await anyGpu()
/** The output of inspect, without the place of the files, and without the note on a manifest. */
function withoutPlaces(out: string): object {
  const {
    source: _,
    tensors,
    ...account
  } = JSON.parse(out) as { source: string; tensors: { file: string }[] }
  return { ...account, tensors: tensors.map(({ file: __, ...tensor }) => tensor) }
}

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
    const { code, out, err } = await flowseg(segmentArgs(weights, cwd), { cwd, gpu })
    expect(JSON.parse(out)).toMatchObject({ sentence: 'the dotted shape' })
    const note = 'note: The server can not be reached: the weights are those of an earlier visit.\n'
    expect([code, err]).toEqual([0, isDown && weights !== NANO ? note : ''])
    masks.push(readFileSync(join(cwd, 'mask.png')))
  }
  expect(masks[1]).toEqual(masks[0])
  expect(masks[2]).toEqual(masks[0])
})

test.each(['hf:me/nano', 'hf:me/nano/stage 3/größe@main', 'hf:me/nano/stage 3/größe/model.safetensors'])(
  'inspect %s says what it says of the files on disk',
  async (place) => {
    const cwd = await temporaryFolder()
    const onDisk = await flowseg(['inspect', join(NANO, 'model.safetensors'), '--json'], { cwd })
    const { code, out, err } = await flowseg(['inspect', place, '--json'], { cwd })
    expect([code, err]).toEqual([0, ''])
    expect(withoutPlaces(out)).toEqual(withoutPlaces(onDisk.out))
    // The header, not the weights
    expect(hub.taken().contents.length).toBeLessThan(4)
  },
)

test('a place without weights names the folders below that have some, on the hub and on disk', async () => {
  const bytes = new Uint8Array(8)
  const names = [
    's3/phi3/pytorch_model.bin',
    's3/phi3/optimizer.pt',
    's3/qwen3/model.safetensors',
    'README.md',
  ]
  hub.commit('me/stages', Object.fromEntries(names.map((name) => [name, bytes])))
  const cwd = await temporaryFolder()
  for (const name of names) {
    await mkdir(dirname(join(cwd, 'stages', name)), { recursive: true })
    await writeFile(join(cwd, 'stages', name), bytes)
  }
  const both = 'Folders in it have weights: s3/phi3, s3/qwen3. Give the path of one of them.'
  const one = 'A folder in it has weights: phi3. Give the path of that.'
  await rm(join(cwd, 'stages/s3/qwen3'), { recursive: true })
  for (const [place, message] of [
    ['hf:me/stages', both],
    ['hf:me/stages@main', both],
    ['hf:me/stages/s3', 'Folders in it have weights: phi3, qwen3.'],
    ['stages/s3', one],
  ] as const) {
    for (const args of [
      ['convert', place, 'out'],
      ['inspect', place],
    ]) {
      const { code, err } = await flowseg(args, { cwd })
      expect([code, err]).toEqual([1, expect.stringContaining(message)])
    }
  }
})

test('a config from the hub, for weights on disk', async () => {
  const cwd = await temporaryFolder()
  const args = [
    'inspect',
    join(NANO, 'model.safetensors'),
    '--config',
    'hf:me/nano/stage 3/größe/config.json',
  ]
  expect(await flowseg(args, { cwd })).toMatchObject({ code: 0, err: '' })
})

test('cache: what came from the hub is listed and deleted by its place', async () => {
  const cwd = await temporaryFolder()
  await flowseg(['inspect', 'hf:me/nano'], { cwd })
  const { out } = await flowseg(['cache', 'hf:me/nano'], { cwd })
  expect(out).toContain(`${hub.endpoint}/me/nano/resolve/main/model.safetensors`)
  expect((await flowseg(['cache', 'hf:me/nano', '--clear'], { cwd })).out).toMatch(/^Cleared: \d/)
  expect((await flowseg(['cache'], { cwd })).out).toBe('Nothing is kept.\n')
})

test.each([
  [
    'a place without a name',
    ['segment', 'examples/scene.png', 'x', '--weights', 'hf:me'],
    2,
    'hf:me" lacks the name of a repository',
  ],
  [
    'a place that leads up',
    ['inspect', 'hf:me/nano/../other'],
    2,
    'which must lead down from the repository',
  ],
  [
    'an image',
    ['segment', 'hf:me/nano/photo.png', 'x'],
    2,
    'is a place on Hugging Face, from where weights are read',
  ],
  ['a manifest', ['manifest', 'hf:me/nano'], 2, 'takes a folder on disk, not hf:me/nano'],
  ['no repository', ['inspect', 'hf:me/nothing'], 1, 'there is no repository me/nothing'],
  ['no file', ['inspect', 'hf:me/nano/stage 9'], 1, 'in hf:me/nano/stage 9'],
  ['no revision', ['inspect', 'hf:me/nano@v9'], 1, 'me/nano has no revision "v9"'],
] as const)('%s is refused: %#', async (_, args, status, message) => {
  const { code, out, err } = await flowseg(args, { cwd: ROOT })
  expect([code, out]).toEqual([status, ''])
  expect(err).toContain(message)
  expect(err).not.toContain('hf_mine')
})
