// All of training/nano2.sh with a few scenes and two steps of each phase: it ends with weights, thresholds and figures,
// a second call has nothing left to do, and training's own checks hold. Where FLOWSEG_PYTHON names a Python with torch.

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { openFolder } from '../../src/io/folder.ts'
import { openCheckpoint } from '../../src/io/open-checkpoint.ts'
import { FlowSeg } from '../../src/model/flowseg.ts'
import { upToDate } from '../built.ts'
import { ROOT } from '../e2e/cli-harness.ts'
import { anyGpu } from '../support.ts'

const python = process.env['FLOWSEG_PYTHON'] ?? 'python3'
const code = 'import torch, numpy, PIL, safetensors, tokenizers'
const canTrain = spawnSync(python, ['-c', code]).status === 0 && spawnSync('g++', ['--version']).status === 0

/** A hash of each tensor. */
async function tensorsOf(weights: string): Promise<Map<string, string>> {
  const checkpoint = await openCheckpoint(openFolder(weights))
  const hashes = new Map<string, string>()
  for (const name of [...checkpoint.tensors.keys()].sort()) {
    hashes.set(
      name,
      createHash('sha256')
        .update(await checkpoint.read(name))
        .digest('hex'),
    )
  }
  await checkpoint.close()
  return hashes
}

const folder = mkdtempSync(join(tmpdir(), 'flowseg-nano2-'))
afterAll(() => rmSync(folder, { recursive: true }))

test.skipIf(!canTrain)(
  `training/nano2.sh gives weights and figures${canTrain ? '' : ' (not run: no Python with torch, or no g++)'}`,
  async () => {
    const main = join(await upToDate(), 'cli/main.js')
    const env = { ...process.env, PYTHON: python, FLOWSEG: `${process.execPath} ${main}` }
    const small = { STEPS: '2', COUNT: '16', TESTS: '2' }
    const make = () =>
      spawnSync('sh', [join(ROOT, 'training/nano2.sh'), folder], {
        env: { ...env, ...small },
        encoding: 'utf8',
      })
    const first = make()
    expect(first.status, `${first.stdout}\n${first.stderr}`.slice(-4000)).toBe(0)
    expect(first.stdout).toMatch(/tune1 .* s a step/)
    const config = JSON.parse(readFileSync(join(folder, 'weights/config.json'), 'utf8'))
    expect(config.tasks).toContain('grounded')
    expect(config.presence.threshold).toBeGreaterThan(0)
    for (const name of ['val2.json', 'test2.json', 'style2.json', 'test.json']) {
      expect(existsSync(join(folder, name)), name).toBe(true)
    }

    // `knows` has words that were asked, and no typos of them; and the engine tells how far an image is
    const { domain, words, examples, world } = config.knows
    expect(domain).toContain('shapes')
    expect(words).toEqual(expect.arrayContaining(['the', 'shape']))
    expect(words.filter((word: string) => /shpe|shhape|sahpe|zebra|dragon/.test(word))).toEqual([])
    expect(examples.length).toBeGreaterThan(3)
    expect(world.threshold).toBeGreaterThan(0)
    const weights = join(folder, 'weights')
    const model = await FlowSeg.load(weights, { gpu: await anyGpu() })
    const scene = await model.look({ width: 64, height: 64, rgb: new Uint8Array(64 * 64 * 3) })
    expect(scene.world).toMatchObject({ threshold: world.threshold, isKnown: expect.any(Boolean) })
    expect(scene.world?.distance).toBeGreaterThan(0)
    model.close()

    // Measured again, into a copy: all other tensors stay as they are, to the bit
    const copy = join(folder, 'copy')
    const data = ['--data', join(folder, 'train2-0'), '--val', join(folder, 'val2'), '--weights', weights]
    const again = spawnSync(python, ['world.py', ...data, '--out', copy], { cwd: join(ROOT, 'training') })
    expect(again.status, String(again.stderr)).toBe(0)
    const [before, after] = await Promise.all([tensorsOf(weights), tensorsOf(copy)])
    expect(after).toEqual(before)
    expect([...after.keys()]).toContain('world.axes')
    const second = make()
    expect(second.stdout).not.toContain('==')

    // Kept in float16, taken up elsewhere, kept again: the same bytes
    const keep = (...args: string[]) => {
      const { status, stderr } = spawnSync(python, ['keep.py', ...args], {
        cwd: join(ROOT, 'training'),
        encoding: 'utf8',
      })
      expect(status, stderr.slice(-2000)).toBe(0)
    }
    const [kept, other, keptAgain] = ['kept', 'other', 'kept-again'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ]
    keep('--of', folder, '--in', kept)
    keep('--to', other, '--in', kept)
    keep('--of', other, '--in', keptAgain)
    const state = (of: string) => readFileSync(join(of, 'state.safetensors'))
    expect(state(keptAgain).equals(state(kept))).toBe(true)
    expect(existsSync(join(other, 'done/tune3'))).toBe(true)
    for (const part of ['rows1', 'rows2']) expect(existsSync(join(other, 'done', part))).toBe(false)

    const checks = spawnSync(python, ['smoke.py', folder], { cwd: join(ROOT, 'training'), encoding: 'utf8' })
    expect(checks.status, `${checks.stdout}\n${checks.stderr}`.slice(-4000)).toBe(0)
  },
  900_000,
)
