// Training and the engine read the same ids: a hundred asks of every task become prompts here, as the engine makes
// them, and are kept in test/fixtures/nano2-prompts.json, from which training/prompts.py must make the same. After a
// change of the vocabulary, `vitest -u` writes the file anew.

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { loadTokenizer } from '../../src/io/text/tokenizer.ts'
import { parseConfig } from '../../src/model/checkpoint/config.ts'
import { answered, buildPrompt, frameQuestion, type PromptQuestion } from '../../src/model/input/prompt.ts'
import type { Ask } from '../../src/scenes/asks/ask.ts'
import { pixelsOf } from '../../src/scenes/asks/gestures.ts'
import { datasetScene } from '../../src/scenes/dataset.ts'
import { ROOT } from '../e2e/cli-harness.ts'

const WEIGHTS = join(ROOT, 'weights/flowseg-nano')
const FIXTURE = join(ROOT, 'test/fixtures/nano2-prompts.json')
const read = (name: string) => readFileSync(join(WEIGHTS, name), 'utf8')
const config = parseConfig(JSON.parse(read('config.json')), 'config.json')
const tokenizer = await loadTokenizer(read('tokenizer.json'), read('tokenizer_config.json'), config.llm.vocab)

const CATEGORIES =
  'Can you segment the image based on the following categories: {list}? Please output the segmentation masks.'
const REGIONS =
  'Can you segment the image based on the following regions: {list}? Please output the corresponding segmentation mask.'
const DESCRIBE =
  'Can you provide a brief description of the this image? Please output interleaved segmentation masks for the corresponding phrases.'

interface Line {
  readonly ids: readonly number[]
  readonly spans: readonly (readonly number[])[]
  readonly regions: readonly number[]
  readonly seg: number
}

function promptOf(ask: Ask): Line {
  const list = (template: string, items: readonly string[]) => {
    const text = template.replace('{list}', items.map((item) => `<p>${item}</p>`).join(', '))
    return answered(tokenizer, frameQuestion(tokenizer, config, text), 'It is <SEG>.')
  }
  if (ask.task === 'phrase') {
    const roomy = { ...config, prompt: { ...config.prompt, maxTokens: 500 } }
    return lineOf(buildPrompt(tokenizer, ask.text, roomy))
  }
  if (ask.task === 'categories') return lineOf(list(CATEGORIES, ask.names))
  if (ask.task === 'region') return lineOf(list(REGIONS, ['<region>']))
  return said(frameQuestion(tokenizer, config, ask.task === 'chat' ? ask.text : DESCRIBE), ask.answer)
}

function lineOf({ after, spans, regions, seg }: PromptQuestion & { readonly seg: number }): Line {
  return { ids: after, spans, regions, seg }
}

/** A question with the answer that a model should say, and the end of its turn. */
function said({ after }: PromptQuestion, answer: string): Line {
  const ids = [...after, ...tokenizer.encode(answer), tokenizer.idOf('<|im_end|>')]
  const at = (marker: string) => ids.flatMap((id, i) => (id === tokenizer.idOf(marker) ? [i] : []))
  const ends = at('</p>')
  return {
    ids,
    spans: at('<p>').map((begin, k) => [begin, (ends[k] ?? Number.NaN) + 1]),
    regions: [],
    seg: ids.indexOf(tokenizer.idOf('<SEG>')),
  }
}

/** Two asks of each kind from each of a few scenes. */
function someAsks(): Ask[] {
  const asks: Ask[] = []
  for (const [split, i] of [
    ['train2', 1],
    ['train2', 2],
    ['test2', 3],
  ] as const) {
    const taken = new Map<string, number>()
    for (const ask of datasetScene(split, i, true).asks ?? []) {
      const count = taken.get(ask.kind) ?? 0
      if (ask.task === 'region' ? count < 1 : count < 2) asks.push(ask)
      taken.set(ask.kind, count + 1)
    }
  }
  return asks
}

/** The number of pixels that a gesture covers, and the sum of their indices: training draws the same ones. */
function pixels(ask: Ask): { readonly pixels?: readonly number[] } {
  if (ask.task !== 'region') return {}
  const inside = pixelsOf(ask.gesture)
  let [count, sum] = [0, 0]
  for (const [i, value] of inside.entries()) {
    count += value
    sum += value * i
  }
  return { pixels: [count, sum] }
}

test('prompts of every task are those of the fixture', async () => {
  const lines = someAsks().map((ask) => JSON.stringify({ ask, ...promptOf(ask), ...pixels(ask) }))
  expect(lines.length).toBeGreaterThan(100)
  await expect(`[\n${lines.join(',\n')}\n]\n`).toMatchFileSnapshot(FIXTURE)
})

const python = process.env['FLOWSEG_PYTHON'] ?? 'python3'
const hasPackages = spawnSync(python, ['-c', 'import torch, tokenizers, PIL']).status === 0

test.skipIf(!hasPackages)(`training makes the same${hasPackages ? '' : ' (not run: no torch)'}`, () => {
  const args = ['prompts.py', '--check', FIXTURE, '--weights', WEIGHTS]
  const { status, stdout, stderr } = spawnSync(python, args, {
    cwd: join(ROOT, 'training'),
    encoding: 'utf8',
  })
  expect(status, stderr).toBe(0)
  expect(stdout).toMatch(/\d{3} prompts are the same/)
})
