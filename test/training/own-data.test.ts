// training/ takes the JSON Lines that `flowseg eval` measures on: scenes written so are the scenes themselves, masks in
// every form are the same mask, photographs of other sizes lie on SAM's square, and a step of training works on them.

import { spawnSync } from 'node:child_process'
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test, vi } from 'vitest'
import { encodePng } from '../../src/io/image/image.ts'
import { encodeRle } from '../../src/masks/rle.ts'
import { flowseg, ROOT } from '../e2e/cli-harness.ts'

vi.setConfig({ testTimeout: 300_000 })
const python = process.env['FLOWSEG_PYTHON'] ?? 'python3'
const PACKAGES = ['torch', 'numpy', 'PIL', 'safetensors', 'tokenizers', 'pycocotools']
const missing = whatIsMissing(PACKAGES)
const note = missing === undefined ? '' : ` (not run: ${missing})`
// Masks of PNG need no pycocotools
const missingForPng = whatIsMissing(PACKAGES.filter((name) => name !== 'pycocotools'))
const noteForPng = missingForPng === undefined ? '' : ` (not run: ${missingForPng})`

const folder = mkdtempSync(join(tmpdir(), 'flowseg-own-data-'))
afterAll(() => rmSync(folder, { recursive: true }))

function whatIsMissing(packages: readonly string[]): string | undefined {
  const code = `import importlib.util as u; print(*(p for p in ${JSON.stringify(packages)} if not u.find_spec(p)))`
  const { status, stdout } = spawnSync(python, ['-c', code], { encoding: 'utf8' })
  if (status === 0 && stdout.trim() === '')
    return spawnSync('g++', ['--version']).status === 0 ? undefined : 'there is no g++'
  return `${python} has no ${stdout.trim().replaceAll(' ', ', ')}; FLOWSEG_PYTHON names another`
}

const COMPARE = `
import sys, torch, numpy as np
sys.path.insert(0, sys.argv[1])
from data import Scenes
from own_data import Lines
scenes, lines = Scenes(sys.argv[2]), Lines(sys.argv[3])
# An image may be several scenes, whose objects don't overlap; these scenes' objects never do
assert len(lines) == 3 and len(scenes) == 2, (len(lines), len(scenes))
for i in range(2):
    for own, other in zip(lines.seen(i, 128), scenes.seen(i, 128)):
        assert torch.equal(own, other)
    assert [s["text"] for s in lines.sentences[i]] == [s["text"] for s in scenes.sentences[i]]
    for own, other in zip(lines.sentences[i], scenes.sentences[i]):
        assert (np.array(lines.ids[i] == own["target"] + 1) == (scenes.ids[i] == other["target"] + 1)).all()
        assert torch.allclose(lines.boxes[i, own["target"] + 1], scenes.boxes[i, other["target"] + 1])
# 200 x 100 is 256 x 128 on the square: four forms of one mask, and another that overlaps it, which would be a scene more
assert [s["target"] for s in lines.sentences[2]] == [0, 0, 0, 0], lines.sentences[2]
expected = np.zeros((256, 256), bool)
expected[round(10 * 1.28) : round(60 * 1.28), round(20 * 1.28) : round(120 * 1.28)] = True
assert (lines.masks[2][0] == expected).mean() > 0.995
assert lines.boxes[2, 1].tolist() == [x / 512 for x in (26 + 154, 13 + 77, 2 * 128, 2 * 64)], lines.boxes[2, 1] * 512
assert lines.seen(2, 64)[0].shape == (1, 3, 64, 64) and not lines.seen(2, 64)[1][:, :, 128:].any()
assert lines.labels[2, :3, 0].tolist() == [0, 1, 0]
print("equal")
`

test.skipIf(missing !== undefined)(`scenes, photographs, and a step${note}`, async () => {
  await flowseg(['scenes', 'raw', '--count', '2', '--raw'], { cwd: folder })
  await flowseg(['scenes', 'own', '--count', '2', '--as', 'lines'], { cwd: folder })
  const [width, height] = [200, 100]
  const mask = new Uint8Array(width * height)
  for (let y = 10; y < 60; y++) mask.fill(1, y * width + 20, y * width + 120)
  const rgb = new Uint8Array(width * height * 3).fill(9)
  writeFileSync(join(folder, 'own/photo.png'), encodePng({ width, height, rgb }))
  writeFileSync(join(folder, 'own/mask.png'), encodePng({ width, height, grey: mask }))
  const image = { width, height, data: mask }
  const polygons = [
    [20, 10, 70, 10, 70, 60, 20, 60],
    [60, 10, 120, 10, 120, 60, 60, 60],
  ]
  const masks = ['mask.png', encodeRle(image), encodeRle(image, { compressed: false }), polygons]
  for (const [i, form] of masks.entries()) {
    const line = { image: 'photo.png', sentence: `the box ${i}`, mask: form }
    appendFileSync(join(folder, 'own/scenes.lines.jsonl'), `${JSON.stringify(line)}\n`)
  }
  const lines = join(folder, 'own/scenes.lines.jsonl')
  const training = join(ROOT, 'training')
  const compared = spawnSync(python, ['-c', COMPARE, training, join(folder, 'raw'), lines], {
    encoding: 'utf8',
  })
  expect(compared.stdout, compared.stderr).toBe('equal\n')

  const weights = join(ROOT, 'weights/flowseg-nano')
  const begin = join(weights, 'model.safetensors')
  const steps = ['--minutes', '1', '--steps', '1', '--batch', '2', '--workers', '2', '--phase', 'tune']
  const data = ['--data', lines, join(folder, 'raw')]
  const run = spawnSync(
    join(training, 'run.sh'),
    [...data, '--weights', weights, '--run', join(folder, 'run'), '--begin', begin, ...steps],
    { encoding: 'utf8', env: { ...process.env, PYTHON: python } },
  )
  expect(run.status, `${run.stdout}\n${run.stderr}`.slice(-3000)).toBe(0)
})

const OPEN = `
import sys
sys.path.insert(0, sys.argv[1])
from own_data import Lines
print(len(Lines(sys.argv[2])))
`

test.skipIf(missingForPng !== undefined)(
  `pixels that don't count are refused: there are none in training${noteForPng}`,
  () => {
    const grey = new Uint8Array(64).fill(9)
    writeFileSync(join(folder, 'p.png'), encodePng({ width: 8, height: 8, grey }))
    const line = { image: 'p.png', sentence: 'the box', mask: 'p.png' }
    const open = (ignore: unknown): { status: number | null; stdout: string; stderr: string } => {
      const lines = [line, { ...line, sentence: 'the other', ignore }].map((one) => JSON.stringify(one))
      writeFileSync(join(folder, 'ignore.jsonl'), `${lines.join('\n\n')}\n`)
      const args = ['-c', OPEN, join(ROOT, 'training'), join(folder, 'ignore.jsonl')]
      return spawnSync(python, args, { encoding: 'utf8' })
    }
    for (const nothing of [undefined, null]) expect(open(nothing)).toMatchObject({ status: 0, stdout: '1\n' })
    const { status, stderr } = open('p.png')
    expect([status, stderr]).toEqual([
      1,
      expect.stringMatching(/ignore\.jsonl, line 3: .*`ignore` as background\. Leave out the lines/),
    ])
  },
)
