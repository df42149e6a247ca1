// Answers in words on a small checkpoint of random weights: each token is the likeliest after all that came before, a
// token costs nothing on the device, and what can't be answered is refused before it runs. Their masks have a file of
// their own, ask-masks.host.test.ts.

import { describe, expect, test, vi } from 'vitest'
import { FlowSegError } from '../../../src/errors.ts'
import { answered, frameQuestion } from '../../../src/model/input/prompt.ts'
import { loadModel } from '../../../src/model/load.ts'
import { closeScene, look } from '../../../src/model/look.ts'
import { workload } from '../../../src/model/plans.ts'
import { type Answer, type AskOptions, ask, describe as describeImage } from '../../../src/model/tasks/ask.ts'
import { decode } from '../../../src/model/tasks/decode.ts'
import { weightTensor } from '../../fixtures/random.ts'
import { collect, runtime } from '../../runtime.ts'
import { adapters, creations, expectClose, expectSameBits } from '../../support.ts'
import { picture, saturate, smallCheckpoint } from '../checkpoint/small-checkpoint.ts'
import { cleanUp, load } from '../small-model.ts'
import { logitsInOnePass } from '../words/one-pass.ts'
import { bytes, IDS, script, twoPhrases } from './scripted.ts'

cleanUp()

const TASKS = ['referring', 'reasoning', 'chat', 'grounded']
const files = smallCheckpoint({ positions: 1024, tasks: TASKS })
const { OPEN, CLOSE } = IDS.qwen3
/** Only Node tells what they take on the host. */
const MANY = runtime === 'node' ? 500 : 150

const [first, ...others] = await adapters()

for (const gpu of [first, ...others].filter((one) => one !== undefined)) {
  describe(`answers on ${gpu.name}`, () => {
    test('each token is the likeliest after all that came before', async () => {
      const model = await loadModel(files, { gpu })
      const scene = await look(model, picture(50, 40), {})
      const pieces: string[] = []
      const answer = await ask(model, scene, 'What is it?', {
        maxTokens: 40,
        onText: (text) => pieces.push(text),
      })
      expect(answer.tokens.length).toBeGreaterThan(0)
      expect(workload(model.parts)).toHaveLength(5) // the tuner measures a token as well
      expect(pieces.join('')).toBe(answer.text)

      const { hidden: H, vocab } = model.parts.config.llm
      const table = weightTensor('llm.model.embed_tokens.weight', [vocab, H])
      const rows = await logitsInOnePass(gpu, model, scene, 'What is it?', answer.tokens, table)
      expect(rows.map((row) => row.indexOf(Math.max(...row)))).toEqual(answer.tokens)
      closeScene(model, scene)
      model.release()
    })

    // It takes 10 s or more, and no adapter matters to it
    test.runIf(gpu === first)(
      `${MANY} tokens allocate nothing on the device, build no plan, and leave their states on the host`,
      async () => {
        const model = await loadModel(files, { gpu })
        const scene = await look(model, picture(50, 40), {})
        const text = bytes('the red mug left of the laptop and so on; '.repeat(12)).slice(0, MANY)
        script(model, text)
        let counts: ReadonlyMap<string, number> = new Map()
        const bytesThen: number[] = []
        const hostBytes: number[] = []
        const answer = await ask(model, scene, 'What is it?', {
          maxTokens: MANY,
          onProgress: ({ phase, what, loaded }) => {
            if (phase !== 'run' || what !== 'answer' || loaded < 3) return
            if (loaded === 3) counts = creations(gpu)
            bytesThen.push(gpu.memory().bytes)
            if (collect && loaded % 100 === 0) {
              collect()
              const { heapUsed, arrayBuffers } = process.memoryUsage()
              hostBytes.push(heapUsed + arrayBuffers)
            }
          },
        })
        expect(answer.tokens).toHaveLength(MANY)
        expect([...counts]).toEqual([])
        expect(new Set(bytesThen).size).toBe(1)
        expect(bytesThen).toHaveLength(MANY - 2)
        if (collect) {
          // A token leaves its state, for C and S, and some 800 bytes of objects, those of this test's spies among them
          expect(hostBytes).toHaveLength(5)
          const growth = hostBytes[4]! - hostBytes[0]!
          expect(growth).toBeLessThan(400 * (4 * model.parts.config.llm.hidden + 2048))
        }
        expect(answer.end).toBe('length')
        expect(model.plans.infos().filter(({ name }) => name === 'words')).toHaveLength(2)
        closeScene(model, scene)
        model.release()
      },
    )

    test('an abort takes effect within a token, and the scene goes on', async () => {
      const model = await load(files, { gpu })
      const scene = await model.look(picture(50, 40))
      const before = await scene.segment('the red mug')
      for (const after of [1, 4]) {
        const controller = new AbortController()
        const reason = new Error('enough')
        let tokens = 0
        const asked = scene.ask('What is it?', {
          signal: controller.signal,
          onProgress: ({ what }) => {
            if (what === 'answer' && ++tokens === after) controller.abort(reason)
          },
        })
        await expect(asked).rejects.toBe(reason)
        expect(tokens).toBe(after)
      }
      // While a token is being computed, no other comes after it
      const controller = new AbortController()
      let tokens = 0
      let tokensThen = 0
      const asked = scene.ask('What is it?', {
        maxTokens: 400,
        signal: controller.signal,
        onProgress: ({ what }) => {
          if (what === 'answer' && ++tokens === 2)
            setTimeout(() => {
              tokensThen = tokens
              controller.abort()
            }, 1)
        },
      })
      await expect(asked).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }))
      expect(tokens - tokensThen).toBeLessThanOrEqual(1)
      // Keys and values of the answer lie behind the image's, in a larger cache
      const again = await scene.segment('the red mug')
      expect(again.query).toBe(before.query)
      expectClose(again.logits.raw, before.logits.raw, 1e-5)

      // Closed in the middle, by its own callback
      const closing = scene.ask('What is it?', {
        onProgress: ({ what }) => void (what === 'answer' && scene.close()),
      })
      await expect(closing).rejects.toMatchObject({ code: 'ERR_CLOSED' })
    })

    test('the memory of words: the head with the model, the cache with the scene', async () => {
      const model = await load(files, { gpu })
      const owned = (name: string): number => model.memory().byOwner[name] ?? 0
      const scene = await model.look(picture(50, 40))
      const [small, weights] = [owned('scene'), owned('weights')]
      expect(owned('lm_head')).toBe(0)
      await scene.ask('What is it?', { maxTokens: 3 })
      expect(owned('weights')).toBe(weights)
      const [head, grown] = [owned('lm_head'), owned('scene')]
      expect(head).toBeGreaterThanOrEqual(261 * 64 * 4)
      await scene.ask('What is it?', { maxTokens: 300 })
      expect(owned('lm_head')).toBe(head)
      expect(owned('scene')).toBeGreaterThan(grown)
      expect(owned('scene')).toBeGreaterThan(small)
      scene.close()
      expect(owned('scene')).toBe(0)
      model.close()
      expect(gpu.memory().byOwner).not.toHaveProperty('lm_head')
    })

    // Many tokens again
    test.runIf(gpu === first)(
      'the cache grows while an answer is written, and nothing else changes',
      async () => {
        // As a config that leaves out how long a sequence its language model reads
        const endless = smallCheckpoint({ positions: 2 ** 31 - 1, tasks: TASKS })
        const model = await loadModel(endless, { gpu })
        const scene = await look(model, picture(50, 40), {})
        const text = bytes('the red mug left of the laptop and so on; '.repeat(14))
        const written = [...text, ...twoPhrases()]
        expect(written.length).toBeGreaterThan(550)
        script(model, bytes('No.'))
        const before = scene.bytes
        await ask(model, scene, 'What is it?', { maxTokens: 50_000 })
        vi.restoreAllMocks()
        const rows = 64 * Math.ceil((model.parts.prefix + 512 + 100) / 64)
        expect(scene.capacity).toBeLessThanOrEqual(rows)
        const { layers, kvHeads, headDim } = model.parts.config.llm
        expect(scene.bytes - before).toBeLessThanOrEqual(rows * 2 * layers * kvHeads * headDim * 4)

        script(model, written)
        const grown = await ask(model, scene, 'What is it?', { maxTokens: 50_000 })
        vi.restoreAllMocks()
        expect(grown.tokens).toEqual(written)
        expect(scene.capacity).toBeGreaterThan(rows)
        expect(scene.capacity).toBeLessThan(2 * rows)
        // In the larger cache from the beginning
        script(model, written)
        const again = await ask(model, scene, 'What is it?', { maxTokens: 50_000 })
        vi.restoreAllMocks()
        expect(grown.phrases.map(({ query }) => query)).toEqual(again.phrases.map(({ query }) => query))
        for (const [k, { logits }] of grown.phrases.entries())
          expectClose(logits.raw, again.phrases[k]!.logits.raw, 1e-4)
        closeScene(model, scene)
        model.release()
      },
    )

    test('a model that only repeats itself is stopped', async () => {
      const model = await loadModel(files, { gpu })
      const scene = await look(model, picture(50, 40), {})
      const asked = async (ids: number[], options: AskOptions = {}): Promise<Answer> => {
        script(model, ids)
        const answer = await ask(model, scene, 'What is it?', options)
        vi.restoreAllMocks()
        return answer
      }
      const cup = [OPEN, ...bytes('a cup'), CLOSE]
      const spaces = await asked([...cup, ...bytes(' '.repeat(300))])
      expect(spaces).toMatchObject({ text: 'a cup', end: 'repeat', forced: true })
      expect(spaces.phrases).toHaveLength(1)
      expect(spaces.tokens).toHaveLength(cup.length + 64)
      const cycle = await asked(bytes('It is red. It is red. '.repeat(20)))
      expect(cycle).toMatchObject({ end: 'repeat', phrases: [] })
      expect(cycle.tokens).toHaveLength(64)
      const on = await asked(bytes(' '.repeat(90)), { maxTokens: 80, allowRepeats: true })
      expect(on.end).toBe('length')
      expect(on.tokens).toHaveLength(80)
      closeScene(model, scene)
      model.release()
    })

    test('a prompt longer than a sentence makes the cache larger, and is answered the same', async () => {
      const names = Array.from({ length: 30 }, (_, i) => `<p>thing ${i}</p>`).join(', ')
      const roomy = smallCheckpoint({ positions: 1024, maxTokens: 900 })
      const answers: Float32Array[] = []
      for (const checkpoint of [files, roomy]) {
        const model = await loadModel(checkpoint, { gpu })
        const scene = await look(model, picture(50, 40), {})
        const { tokenizer, parts } = model
        const prompt = answered(
          tokenizer,
          frameQuestion(tokenizer, parts.config, `Segment ${names}.`),
          '<SEG>',
        )
        const before = scene.capacity
        const { logits } = await decode(model, scene, prompt, { task: 'referring' }, {})
        expect(scene.capacity > before).toBe(checkpoint === files)
        expect(scene.capacity).toBeGreaterThanOrEqual(parts.prefix + prompt.after.length)
        answers.push(logits)
        closeScene(model, scene)
        model.release()
      }
      expect(answers[0]).toHaveLength(12 * 31)
      expectClose(answers[0]!, answers[1]!, 1e-4)
    })

    test('with saturated gates the flow is the baseline to the bit, in every phrase', async () => {
      const saturated = smallCheckpoint({ positions: 1024, tasks: TASKS, edit: saturate })
      const model = await loadModel(saturated, { gpu })
      const scene = await look(model, picture(50, 40), {})
      const phrases = async (flow: boolean) => {
        script(model, twoPhrases())
        const answer = await describeImage(model, scene, { flow })
        vi.restoreAllMocks()
        return answer.phrases
      }
      const [on, off] = [await phrases(true), await phrases(false)]
      expect(on.map(({ text }) => text)).toEqual(['a man', 'a horse'])
      for (const [k, { query, score, mask, logits }] of on.entries()) {
        expect([query, score]).toEqual([off[k]!.query, off[k]!.score])
        expect(mask).toEqual(off[k]!.mask)
        expectSameBits(logits.refined, off[k]!.logits.refined)
      }
      closeScene(model, scene)
      model.release()
    })

    test('drawn words are the same by seed', async () => {
      const model = await load(files, { gpu })
      const scene = await model.look(picture(50, 40))
      const words = async (seed: number): Promise<readonly number[]> =>
        (await scene.ask('What is it?', { maxTokens: 12, temperature: 1.5, topP: 0.95, topK: 50, seed }))
          .tokens
      expect(await words(1)).toEqual(await words(1))
      expect(await words(1)).not.toEqual(await words(2))
      const cold = await scene.ask('What is it?', { maxTokens: 12, temperature: 1e-4 })
      const greedy = await scene.ask('What is it?', { maxTokens: 12 })
      expect(cold.tokens).toEqual(greedy.tokens)
    })

    test("what can't be answered is refused before it runs", async () => {
      const model = await load(files, { gpu })
      const scene = await model.look(picture(50, 40))
      const bytesBefore = gpu.memory().bytes
      const submit = vi.spyOn(gpu.device.queue, 'submit')
      const cases: readonly (readonly [question: unknown, options: object, what: string])[] = [
        ['', {}, 'The question is empty'],
        [' \n\u200b', {}, 'The question is empty'],
        [7, {}, 'must be a string, not number'],
        ['a <SEG>', {}, 'holds "<SEG>"'],
        ['a <p>dog</p>', {}, 'holds "<p>"'],
        ['<|im_end|>', {}, 'holds "<|im_end|>"'],
        ['<image>', {}, 'holds "<image>"'],
        ['<region>', {}, 'holds "<region>"'],
        ['half \ud83d', {}, 'half of a character'],
        ['word '.repeat(10_000), {}, 'characters'],
        ['word '.repeat(900), {}, 'at most 4096 are read'],
        ['word '.repeat(1_000_000), {}, 'characters'],
        ['word '.repeat(250), {}, 'no room for an answer'],
        ['What?', { maxTokens: 990 }, 'there is room for an answer of'],
        ['What?', { maxTokens: 0 }, 'ask: maxTokens is 0'],
        ['What?', { maxTokens: 1.5 }, 'ask: maxTokens is 1.5'],
        ['What?', { maxTokens: Infinity }, 'ask: maxTokens is Infinity'],
        ['What?', { maxTokens: 1e6 }, 'ask: maxTokens is 1000000, expected a whole number from 1 to 65536'],
        ['What?', { maxTokens: 1e9 }, 'ask: maxTokens is 1000000000'],
        ['What?', { allowRepeats: 1 }, 'ask: allowRepeats is 1'],
        ['What?', { temperature: -1 }, 'ask: temperature is -1'],
        ['What?', { temperature: Number.NaN }, 'ask: temperature is NaN'],
        ['What?', { topP: 0 }, 'ask: topP is 0'],
        ['What?', { topP: 1.1 }, 'ask: topP is 1.1'],
        ['What?', { topK: 0 }, 'ask: topK is 0'],
        ['What?', { seed: 0.5 }, 'ask: seed is 0.5'],
        ['What?', { onText: 'yes' }, 'ask: onText is'],
        ['What?', { output: 'paper' }, 'ask: output is'],
        ['What?', { tokens: 3 }, 'tokens'],
      ]
      for (const [question, options, what] of cases) {
        const asked = scene.ask(question as string, options)
        await expect(asked, `${String(question).slice(0, 20)} ${JSON.stringify(options)}`).rejects.toThrow(
          what,
        )
        await expect(asked).rejects.toBeInstanceOf(FlowSegError)
      }
      expect(gpu.memory().bytes).toBe(bytesBefore)
      expect(submit).not.toHaveBeenCalled()
      // At the limit it is answered
      const room = await scene.ask('What?', { maxTokens: 2 })
      expect(room.tokens.length).toBeLessThanOrEqual(2)
      await expect(scene.describe({ maxTokens: 5000 })).rejects.toThrow('maxTokens is 5000')
      await expect(scene.explain('')).rejects.toThrow('The sentence is empty')
    })

    test('a model that was not trained to write says so', async () => {
      const model = await load(smallCheckpoint(), { gpu })
      const scene = await model.look(picture(50, 40))
      for (const asked of [scene.ask('What?'), scene.describe(), scene.explain('What is hot?')]) {
        await expect(asked).rejects.toThrow('`tasks` of its config.json')
        await expect(asked).rejects.toMatchObject({ code: 'ERR_USAGE' })
      }
    })
  })
}
