// A language model whose head isn't its embedding answers by that head: as it is stored, converted, and in few bits. A
// checkpoint that has none, or one that the device can't bind, is refused when it is asked for words, and goes on with
// masks.

import { describe, expect, test } from 'vitest'
import { LimitError, WeightsError } from '../../../src/errors.ts'
import { type Gpu, openGpu } from '../../../src/gpu/gpu.ts'
import { openSafetensors } from '../../../src/io/safetensors.ts'
import { blobSource } from '../../../src/io/source.ts'
import { parseConfig } from '../../../src/model/checkpoint/config.ts'
import { loadModel } from '../../../src/model/load.ts'
import { closeScene, look } from '../../../src/model/look.ts'
import { ask } from '../../../src/model/tasks/ask.ts'
import { weightTensor } from '../../fixtures/random.ts'
import { onlyInNode, runtime } from '../../runtime.ts'
import { adapterNames, adapters, expectSameBits, forcedVariants } from '../../support.ts'
import { picture, smallCheckpoint } from '../checkpoint/small-checkpoint.ts'
import { convertedFolder } from '../convert/converted-folder.ts'
import { cleanUp, load } from '../small-model.ts'
import { logitsInOnePass } from './one-pass.ts'

cleanUp()

const HEAD = 'llm.lm_head.weight'
const QUESTION = 'What is it?'
const TASKS = ['referring', 'chat']
const CHECKPOINT = { positions: 1024, tasks: TASKS, tied: false }

const largest = (row: Float32Array): number => row.indexOf(Math.max(...row))

/** The checkpoint as `flowseg convert` writes it. */
async function converted(files: readonly File[], recipe: string | undefined) {
  const beside = new Map<string, Uint8Array>()
  for (const file of files) beside.set(file.name, new Uint8Array(await file.arrayBuffer()))
  const weights = files.find(({ name }) => name === 'model.safetensors')
  if (!weights) throw new Error('There are no weights.')
  beside.delete('model.safetensors')
  const config = parseConfig(JSON.parse(new TextDecoder().decode(beside.get('config.json'))), 'config.json')
  const original = await openSafetensors(blobSource(weights))
  return { original, folder: await convertedFolder(original, config, recipe, beside) }
}

/** The second rounds what the others round, too; each more is a set of kernels to compile. */
const FEW = [undefined, 'llm=int8'] as const
const RECIPES = [...FEW, 'int8', 'int4'] as const

for (const [i, gpu] of (await adapters()).entries()) {
  const isFirst = i === 0 && runtime === 'node'
  describe(`a head of its own on ${gpu.name}`, () => {
    test.each(['qwen3', 'phi3'] as const)(
      'chooses the words, and the embedding does not: %s',
      async (type) => {
        const model = await loadModel(smallCheckpoint({ ...CHECKPOINT, type }), { gpu })
        const scene = await look(model, picture(50, 40), {})
        const { tokens } = await ask(model, scene, QUESTION, { maxTokens: 20 })
        expect(tokens.length).toBeGreaterThan(0)
        const { hidden: H, vocab } = model.parts.config.llm
        const choices = async (name: string): Promise<number[]> => {
          const matrix = weightTensor(name, [vocab, H])
          return (await logitsInOnePass(gpu, model, scene, QUESTION, tokens, matrix)).map(largest)
        }
        expect(await choices(HEAD)).toEqual(tokens)
        expect(await choices('llm.model.embed_tokens.weight')).not.toEqual(tokens)
        closeScene(model, scene)
        model.release()
      },
    )

    test.each(isFirst ? RECIPES : FEW)(
      'is converted with the rest, and gives the same words: %s',
      async (recipe) => {
        const files = smallCheckpoint({ ...CHECKPOINT, type: 'phi3' })
        const { original, folder } = await converted(files, recipe)
        const stored = (await openSafetensors(folder)).tensors.get(HEAD)
        // As words hang on it, it has eight bits at least
        expect(stored?.dtype).toBe(recipe ? 'I8' : 'F32')
        expect(stored?.shape).toEqual(original.tensors.get(HEAD)?.shape)

        const quantize = recipe === 'int8' || recipe === 'int4' ? recipe : undefined
        const atLoad = await load(files, { gpu, quantize })
        const copied = await load(folder, { gpu })
        const [expected, actual] = await Promise.all(
          [atLoad, copied].map(async (model) => {
            const scene = await model.look(picture(50, 40))
            return scene.ask(QUESTION, { maxTokens: 20, temperature: 1.2, seed: 3 })
          }),
        )
        // A conversion of the language model alone rounds other tensors than loading does
        if (recipe !== 'llm=int8') expect(actual?.tokens).toEqual(expected?.tokens)
        expect(actual?.tokens.length).toBeGreaterThan(0)
        expect(copied.memory().byOwner).toHaveProperty('lm_head')
        const head = (model: typeof copied): number => model.memory().byOwner['lm_head'] ?? 0
        if (recipe !== 'llm=int8') expect(head(copied)).toBe(head(atLoad))
      },
    )

    test('that is missing is told of, and masks are answered all the same', async () => {
      const whole = await load(smallCheckpoint(CHECKPOINT), { gpu })
      const model = await load(smallCheckpoint({ ...CHECKPOINT, head: false }), { gpu })
      const expected = await (await whole.look(picture(50, 40))).segment('the red mug')
      const scene = await model.look(picture(50, 40))
      await scene.segment('the red mug')
      const bytes = gpu.memory().bytes
      for (const _ of [1, 2]) {
        const asked = scene.ask(QUESTION)
        await expect(asked).rejects.toThrow(WeightsError)
        await expect(asked).rejects.toThrow('There is no llm.lm_head.weight in the chosen files: without it')
      }
      expect(gpu.memory().bytes).toBe(bytes)
      expectSameBits((await scene.segment('the red mug')).logits.raw, expected.logits.raw)
    })

    // Each limit is a device of its own, whose kernels are compiled
    test.runIf(isFirst)(
      `that is larger than one binding lies in several buffers, if its bits allow it${onlyInNode}`,
      async () => {
        const vocab = 6000 // 1.5 MB in f32, 0.4 MB in int8
        const files = smallCheckpoint({ ...CHECKPOINT, vocab })
        const adapter = adapterNames()[i]
        const options = { ...(adapter && { adapter }), variants: { ...forcedVariants(), weights: 'rows' } }
        const narrow = await openGpu({ ...options, bindingLimit: 2 ** 20 })
        const narrower = await openGpu({ ...options, bindingLimit: 380_000 })
        const wordsOn = async (one: Gpu, from: Parameters<typeof load>[0], quantize?: 'int8') => {
          const model = await load(from, { gpu: one, quantize })
          const { tokens } = await (await model.look(picture(50, 40))).ask(QUESTION, { maxTokens: 8 })
          return tokens
        }
        const expected = await wordsOn(gpu, files)
        expect(expected.some((id) => id > vocab / 2)).toBe(true) // beyond the first buffer
        expect(await wordsOn(narrow, files)).toEqual(expected)

        // Codes of eight bits lie in one buffer. Rounded at load, the head stays in more bits where they don't fit
        const { folder } = await converted(files, 'int8')
        expect(await wordsOn(narrower, files)).toEqual(expected)
        const asked = wordsOn(narrower, folder)
        await expect(asked).rejects.toThrow(LimitError)
        await expect(asked).rejects.toThrow(HEAD)
        narrow.close()
        narrower.close()
      },
    )
  })
}
