// Answers in words on a small checkpoint of random weights: each token is the likeliest after all that came before, an
// answer's masks are those of a prompt that holds the same text, a token costs nothing on the device, and what can't be
// answered is refused before it runs.

import { describe, expect, test, vi } from 'vitest'
import { answered, frameQuestion, spansOf } from '../../../src/model/input/prompt.ts'
import { GROUNDED_TEMPLATES } from '../../../src/model/input/questions.ts'
import { type LoadedModel, loadModel } from '../../../src/model/load.ts'
import { closeScene, look } from '../../../src/model/look.ts'
import { rank } from '../../../src/model/matching.ts'
import { llm } from '../../../src/model/networks/llm.ts'
import { boundCache } from '../../../src/model/plans.ts'
import { flowLayers } from '../../../src/model/segmentation.ts'
import { type Answer, ask, describe as describeImage, explain } from '../../../src/model/tasks/ask.ts'
import { decode } from '../../../src/model/tasks/decode.ts'
import { finish } from '../../../src/model/tasks/finish.ts'
import { linear } from '../../../src/ops/matmul/matmul.ts'
import type { Plan } from '../../../src/tensor/plan.ts'
import { weightTensor } from '../../fixtures/random.ts'
import { adapters, creations, expectClose } from '../../support.ts'
import { runOnce } from '../checkpoint/parts.ts'
import { picture, smallCheckpoint } from '../checkpoint/small-checkpoint.ts'
import { cleanUp, load } from '../small-model.ts'

cleanUp()

const TASKS = ['referring', 'reasoning', 'chat', 'grounded']
const files = smallCheckpoint({ positions: 1024, tasks: TASKS })
const [OPEN, CLOSE, SEG, END] = [259, 260, 258, 257]

/** Replaces the model's choices by these, one after the other; what it reads stays its own. */
function script(model: LoadedModel, ids: number[]): void {
  const get = model.plans.get.bind(model.plans)
  vi.spyOn(model.plans, 'get').mockImplementation(async (key: string, make: () => Promise<Plan>) => {
    const ready = await get(key, make)
    if (!key.startsWith('words')) return ready
    const run: Plan['run'] = async (values) => {
      const { read, kept } = await ready.run(values)
      return { kept, read: { ...read, id: Uint32Array.of(ids.shift() ?? END) } }
    }
    return { ...ready, run }
  })
}

const bytes = (text: string): number[] => [...new TextEncoder().encode(text)].map((byte) => idOfByte(byte))

/** The ids of the small checkpoint's tokenizer are the bytes. */
function idOfByte(byte: number): number {
  return byte
}

for (const gpu of await adapters()) {
  describe(`answers on ${gpu.name}`, () => {
    test('each token is the likeliest after all that came before', async () => {
      const model = await loadModel(files, { gpu })
      const scene = await look(model, picture(50, 40), {})
      const told: string[] = []
      const answer = await ask(model, scene, 'What is it?', {
        maxTokens: 40,
        onText: (text) => told.push(text),
      })
      expect(answer.tokens.length).toBeGreaterThan(0)
      expect(told.join('')).toBe(answer.text)

      // In one pass: the question and all tokens but the last
      const { parts, tokenizer, embeddings } = model
      const { after } = frameQuestion(tokenizer, parts.config, 'What is it?')
      const ids = [...after, ...answer.tokens.slice(0, -1)]
      const { hidden: H, vocab } = parts.config.llm
      const table = weightTensor('llm.model.embed_tokens.weight', [vocab, H])
      const all = { ...parts, capacity: scene.capacity }
      const { read } = await runOnce(
        gpu,
        ({ input, bound }) => {
          const x = input('x', [ids.length, H])
          const w = parts.weights.scope('llm.')
          const states = llm(x, w, parts.config.llm, boundCache(bound, all), parts.prefix)
          return { read: { logits: linear(states, input('head', [vocab, H])) } }
        },
        { inputs: { x: await embeddings.rows(ids), head: table }, bound: scene.cache },
      )
      answer.tokens.forEach((id, i) => {
        const row = (read.logits as Float32Array).subarray(
          (after.length - 1 + i) * vocab,
          (after.length + i) * vocab,
        )
        expect(row.indexOf(Math.max(...row)), `token ${i}`).toBe(id)
      })
      model.release()
    })

    test.each([
      [
        'phrases of the answer',
        [
          OPEN,
          ...bytes('a man'),
          CLOSE,
          ...bytes('  on '),
          OPEN,
          ...bytes('a horse'),
          CLOSE,
          ...bytes(' . And '),
          SEG,
          ...bytes('.'),
          END,
        ],
      ],
      ['one phrase', [...bytes('It is '), OPEN, ...bytes('a dog'), CLOSE, ...bytes(' '), SEG, END]],
    ] as const)('the masks are those of a prompt with the same text: %s', async (_, ids) => {
      const model = await loadModel(files, { gpu })
      const scene = await look(model, picture(50, 40), {})
      script(model, [...ids])
      const answer = await describeImage(model, scene, { flow: true })
      vi.restoreAllMocks()
      expect(answer.tokens).toEqual(ids)
      expect(answer.phrases.length).toBeGreaterThan(0)

      const { tokenizer, parts } = model
      const written = tokenizer.decode(ids)
      const question = frameQuestion(tokenizer, parts.config, GROUNDED_TEMPLATES[1])
      const prompt = answered(tokenizer, question, written)
      const spans = spansOf(prompt.after, tokenizer)
      const options = { task: 'grounded', flow: true, every: true } as const
      const decoded = await decode(model, scene, { ...prompt, spans }, options, {})
      const layers = flowLayers(decoded.read, 4, decoded.language.length * 64, decoded.baseline)
      expect(answer.flow).toHaveLength(4)
      answer.flow?.forEach((layer, l) => {
        expectClose(layer.logits, layers[l]!.logits, 1e-4)
        expectClose(layer.masks, layers[l]!.masks, 1e-4)
        if (l > 0) expect(layer.moved).toBeCloseTo(layers[l]!.moved, 4)
      })
      for (const [k, phrase] of answer.phrases.entries()) {
        const [best] = rank(decoded.logits, false, { phrases: spans.length, phrase: k })
        expect(phrase).toMatchObject({ query: best!.query })
        expect(phrase.score).toBeCloseTo(best!.score, 4)
        const { mask, logits } = await finish(model, scene, decoded, best!.query, {})
        expectClose(phrase.logits.refined, logits.refined, 1e-4)
        const differ = phrase.mask.data.reduce((sum, bit, i) => sum + (bit === mask.data[i] ? 0 : 1), 0)
        expect(differ).toBeLessThanOrEqual(2) // where a logit is as good as zero
      }
      closeScene(model, scene)
      model.release()
    })

    test('500 tokens allocate nothing on the device, and build no plan', async () => {
      const model = await loadModel(files, { gpu })
      const scene = await look(model, picture(50, 40), {})
      const script500 = bytes('the red mug left of the laptop and so on; '.repeat(12)).slice(0, 499)
      script(model, [...script500])
      let made: ReadonlyMap<string, number> = new Map()
      const bytesThen: number[] = []
      const answer = await ask(model, scene, 'What is it?', {
        maxTokens: 499,
        onProgress: ({ phase, what, loaded }) => {
          if (phase !== 'run' || what !== 'answer' || loaded < 3) return
          if (loaded === 3) made = creations(gpu)
          bytesThen.push(gpu.memory().bytes)
        },
      })
      expect(answer.tokens).toHaveLength(499)
      expect([...made]).toEqual([])
      expect(new Set(bytesThen).size).toBe(1)
      expect(answer.end).toBe('length')
      expect(model.plans.infos().filter(({ name }) => name === 'words')).toHaveLength(2)
      closeScene(model, scene)
      model.release()
    })
  })
}
