// The masks of answers in words, on small checkpoints of random weights with both language models: they are those of a
// prompt that holds the same text, phrases are found each by itself, and an answer without <SEG> gets one.

import { describe, expect, test, vi } from 'vitest'
import { answered, frameQuestion, spansOf } from '../../../src/model/input/prompt.ts'
import { GROUNDED_TEMPLATES } from '../../../src/model/input/questions.ts'
import { loadModel } from '../../../src/model/load.ts'
import { closeScene, look } from '../../../src/model/look.ts'
import { rank } from '../../../src/model/matching.ts'
import { flowLayers } from '../../../src/model/segmentation.ts'
import { type Answer, ask, describe as describeImage, explain } from '../../../src/model/tasks/ask.ts'
import { decode } from '../../../src/model/tasks/decode.ts'
import { finish } from '../../../src/model/tasks/finish.ts'
import { adapters, expectClose } from '../../support.ts'
import { valuesOf } from '../../values.ts'
import { picture, smallCheckpoint } from '../checkpoint/small-checkpoint.ts'
import { cleanUp } from '../small-model.ts'
import { bytes, IDS, script, twoPhrases } from './scripted.ts'

cleanUp()

const TASKS = ['referring', 'reasoning', 'chat', 'grounded']
/** Queries of the small checkpoints. */
const N = 12

const [first, ...others] = await adapters()

for (const gpu of [first, ...others].filter((one) => one !== undefined)) {
  // No adapter matters to the second language model
  describe.each(gpu === first ? (['qwen3', 'phi3'] as const) : (['qwen3'] as const))(
    `%s on ${gpu.name}`,
    (type) => {
      const { OPEN, CLOSE, SEG, END } = IDS[type]
      const files = smallCheckpoint({ positions: 1024, tasks: TASKS, type })
      /** What stands before a <SEG> that is added: Phi-3's own tokenizer puts a space there itself. */
      const gap = type === 'phi3' ? '' : ' '

      test.each([
        ['phrases of the answer', twoPhrases(type)],
        ['one phrase', [...bytes('It is '), OPEN, ...bytes('a dog'), CLOSE, ...bytes(' '), SEG, END]],
      ] as const)('the masks are those of a prompt with the same text: %s', async (_, ids) => {
        const model = await loadModel(files, { gpu })
        const scene = await look(model, picture(50, 40), {})
        script(model, ids, END)
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
        // C and S of the answer are there until the next prompt is read
        const [own] = model.language.values()
        const [C, S] = [await valuesOf(gpu, own!['condition']!), await valuesOf(gpu, own!['seg']!)]
        const decoded = await decode(model, scene, { ...prompt, spans }, options, {})
        const rows = decoded.language.length * model.parts.config.head.hidden
        expectClose(
          C.subarray(0, rows),
          (await valuesOf(gpu, decoded.language.condition)).subarray(0, rows),
          1e-4,
        )
        expectClose(S, await valuesOf(gpu, decoded.language.seg), 1e-4)
        const P = spans.length
        const layers = flowLayers(decoded.read, 4, rows, decoded.baseline, P)
        const { flow } = answer
        expect(flow?.phrases).toEqual(decoded.language.spans.map((span, phrase) => ({ phrase, rows: span })))
        expect(flow?.layers).toHaveLength(4)
        flow?.layers.forEach((layer, l) => {
          expectClose(layer.logits, layers[l]!.logits, 1e-4)
          expectClose(layer.masks, layers[l]!.masks, 1e-4)
          if (l > 0) expect(layer.moved).toBeCloseTo(layers[l]!.moved, 4)
          expect(layer.ranking.map(({ query }) => query).toSorted((a, b) => a - b)).toEqual(
            Array.from({ length: N }, (_, query) => query),
          )
        })
        const last = flow?.layers.at(-1)
        expect(last?.ranking).toEqual(rank(last?.logits ?? [], false, { phrases: P }))
        const ranking = rank(decoded.logits, false, { phrases: P })
        last?.ranking.forEach(({ score }, i) => expect(score).toBeCloseTo(ranking[i]!.score, 4))
        for (const [k, phrase] of answer.phrases.entries()) {
          const [best] = rank(decoded.logits, false, { phrases: spans.length, phrase: k })
          expect(phrase).toMatchObject({ query: best!.query })
          const [own, background] = [k, P].map((column) => decoded.logits[best!.query * (P + 1) + column]!)
          expect(phrase.score).toBeCloseTo(1 / (1 + Math.exp(background! - own!)), 4)
          const { mask, logits } = await finish(model, scene, decoded, best!.query, {})
          expectClose(phrase.logits.refined, logits.refined, 1e-4)
          const differ = phrase.mask.data.reduce((sum, bit, i) => sum + (bit === mask.data[i] ? 0 : 1), 0)
          expect(differ).toBeLessThanOrEqual(2) // where a logit is as good as zero
        }
        closeScene(model, scene)
        model.release()
      })

      test('two phrases of one object are both found, in the same words or in others', async () => {
        const model = await loadModel(files, { gpu })
        const scene = await look(model, picture(50, 40), {})
        // Query 5 is what both name: over all columns each has half of the probability
        const both = Float32Array.from({ length: N * 3 }, (_, i) => [-4, -4, 0][i % 3]!)
        both.set([4, 3.99, 0], 5 * 3)
        for (const words of [
          ['a clock', 'a clock'],
          ['a clock', 'A clock'],
          ['a clock', 'the round clock'],
        ] as const) {
          script(model, twoPhrases(type, words), END, both)
          const { phrases } = await describeImage(model, scene, { flow: false })
          vi.restoreAllMocks()
          expect(phrases).toMatchObject(words.map((text) => ({ text, found: true, query: 5 })))
          expect(phrases[0]!.score).toBeCloseTo(1 / (1 + Math.exp(-4)), 6)
        }
        // Of something else, one alone is there
        const one = both.slice()
        one.set([4, -3, 0], 5 * 3)
        script(model, twoPhrases(type), END, one)
        const { phrases } = await describeImage(model, scene, { flow: false })
        vi.restoreAllMocks()
        expect(phrases.map(({ found }) => found)).toEqual([true, false])
        closeScene(model, scene)
        model.release()
      })

      test('an answer without <SEG> gets one where it has phrases, or explains', async () => {
        const model = await loadModel(files, { gpu })
        const scene = await look(model, picture(50, 40), {})
        const written = [OPEN, ...bytes('a cup'), CLOSE, ...bytes(' of tea.')]
        const answerTo = async (ids: number[], asked: () => Promise<Answer>): Promise<Answer> => {
          script(model, ids, END)
          const answer = await asked()
          vi.restoreAllMocks()
          return answer
        }
        const forced = await answerTo([...written, END], () => ask(model, scene, 'What is it?', {}))
        expect(forced).toMatchObject({ text: 'a cup of tea.', forced: true, end: 'stop', caption: '' })
        expect(forced.phrases).toMatchObject([{ text: 'a cup', span: [0, 5] }])
        expect(forced.parts).toEqual([{ text: 'a cup', phrase: 0 }, { text: ' of tea.' }])
        // As if it had written one
        const own = await answerTo([...written, ...bytes(gap), SEG, END], () =>
          ask(model, scene, 'What is it?', {}),
        )
        expect(own.forced).toBe(false)
        expectClose(forced.phrases[0]!.logits.raw, own.phrases[0]!.logits.raw, 1e-5)
        // Cut off: the last token is read after all
        const cut = await answerTo(written, () =>
          ask(model, scene, 'What is it?', { maxTokens: written.length }),
        )
        expect(cut).toMatchObject({ text: 'a cup of tea.', forced: true, end: 'length' })
        expectClose(cut.phrases[0]!.logits.raw, own.phrases[0]!.logits.raw, 1e-5)
        const atLast = await answerTo([...written, ...bytes(gap), SEG], () =>
          ask(model, scene, 'What is it?', { maxTokens: written.length + gap.length + 1 }),
        )
        expectClose(atLast.phrases[0]!.logits.raw, own.phrases[0]!.logits.raw, 1e-5)
        // A phrase that was not read to its end is none
        const unread = await answerTo(written.slice(0, 7), () =>
          ask(model, scene, 'What is it?', { maxTokens: 7 }),
        )
        expect(unread).toMatchObject({ text: 'a cup', phrases: [], forced: false })

        const plain = await answerTo([...bytes('No.'), END], () => ask(model, scene, 'Is it?', {}))
        expect(plain).toMatchObject({ text: 'No.', phrases: [], forced: false })
        const lone = await answerTo([SEG, END], () => ask(model, scene, 'Is it?', {}))
        expect(lone).toMatchObject({ text: '', phrases: [], forced: false })

        const why = await answerTo([...bytes('It is hot.'), END], () =>
          explain(model, scene, 'What burns?', {}),
        )
        expect(why).toMatchObject({ text: 'It is hot.', forced: true })
        expect(why.phrases).toMatchObject([{ text: 'What burns?' }])
        expect(why.phrases[0]).not.toHaveProperty('span')
        expect(why.prompt).toContain('<p>What burns?</p> Please explain why and output the')
        const said = await answerTo([...bytes(`It is hot.${gap}It is `), SEG, ...bytes('.'), END], () =>
          explain(model, scene, 'What burns?', {}),
        )
        expect(said).toMatchObject({ forced: false, ...(gap && { text: 'It is hot.' }) })
        expectClose(why.phrases[0]!.logits.raw, said.phrases[0]!.logits.raw, 1e-4)
        // Of several the last counts
        const twice = await answerTo([SEG, ...bytes(`It is hot.${gap}It is `), SEG, END], () =>
          explain(model, scene, 'What burns?', {}),
        )
        expect(twice.phrases).toHaveLength(1)
        closeScene(model, scene)
        model.release()
      })
    },
  )
}
