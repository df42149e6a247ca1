// The head of the language model comes to the device when it is asked for, once, from the matrix that the config says,
// in any type that weights have; and it goes with the model.

import { describe, expect, test } from 'vitest'
import { WeightsError } from '../../../src/errors.ts'
import { openSafetensors, type TensorData, writeSafetensors } from '../../../src/io/safetensors.ts'
import { bytesSource } from '../../../src/io/source.ts'
import { quantizeRows } from '../../../src/kernels/quantize.ts'
import { fitOf } from '../../../src/model/checkpoint/fit.ts'
import { LanguageHead } from '../../../src/model/checkpoint/language-head.ts'
import { QUANTIZED_NAMES } from '../../../src/model/checkpoint/stored.ts'
import { linear } from '../../../src/ops/matmul/matmul.ts'
import type { Tensor } from '../../../src/tensor/tensor.ts'
import { weightTensor } from '../../fixtures/random.ts'
import { adapters, expectClose, random, toBf16 } from '../../support.ts'
import { compute, smallConfig } from '../networks/networks.ts'

const HEAD = 'llm.lm_head.weight'
const EMBEDDING = 'llm.model.embed_tokens.weight'
const SMALL = { tied: smallConfig('small'), untied: smallConfig('small-phi3') }

const x = random([1, 96])

/** x's logits in float64, of a matrix [N, K]. */
function logitsOf(matrix: Float32Array, K: number): number[] {
  return Array.from({ length: matrix.length / K }, (_, n) =>
    matrix.subarray(n * K, (n + 1) * K).reduce((sum, w, k) => sum + w * x.data[k]!, 0),
  )
}

function f32(name: string, values: Float32Array<ArrayBuffer>, K: number): TensorData {
  return { name, dtype: 'F32', shape: [values.length / K, K], bytes: new Uint8Array(values.buffer) }
}

for (const gpu of await adapters()) {
  describe(`the head on ${gpu.name}`, () => {
    const held = (): number => gpu.memory().byOwner['lm_head'] ?? 0

    async function headOf(
      kind: keyof typeof SMALL,
      tensors: TensorData[],
      { metadata = {}, quantize }: { metadata?: Record<string, string>; quantize?: 'int8' | 'int4' } = {},
    ): Promise<LanguageHead> {
      const checkpoint = await openSafetensors(
        bytesSource(writeSafetensors(tensors, metadata), 'test.safetensors'),
      )
      const { head } = fitOf(checkpoint, SMALL[kind])
      return new LanguageHead({ gpu, checkpoint, match: head, quantize })
    }

    async function expectLogits(
      head: LanguageHead,
      K: number,
      expected: number[],
      rtol: number,
    ): Promise<Tensor> {
      const matrix = await head.load()
      const data = x.data.slice(0, K)
      const { y } = await compute(gpu, { x: { data, shape: [1, K] } }, (t) => ({ y: linear(t.x, matrix) }))
      expectClose(y, expected, rtol)
      return matrix
    }

    test('tied it is the embedding, else a matrix of its own, as they are stored', async () => {
      for (const kind of ['tied', 'untied'] as const) {
        const { hidden: K, vocab } = SMALL[kind].llm
        const [own, table] = [weightTensor(HEAD, [vocab, K]), weightTensor(EMBEDDING, [vocab, K])]
        const head = await headOf(kind, [f32(HEAD, own, K), f32(EMBEDDING, table, K)])
        expect(held()).toBe(0)
        const matrix = await expectLogits(head, K, logitsOf(kind === 'tied' ? table : own, K), 1e-6)
        const bytes = held()
        expect(bytes).toBeGreaterThanOrEqual(vocab * K * 4)
        expect(await head.load()).toBe(matrix)
        expect(held()).toBe(bytes)
        head.release()
        head.release()
        expect(held()).toBe(0)
      }
    })

    test('bfloat16 stays so; in few bits it has eight', async () => {
      const { hidden: K, vocab } = SMALL.untied.llm
      const { bits, values } = toBf16(weightTensor(HEAD, [vocab, K]))
      const table = f32(EMBEDDING, weightTensor(EMBEDDING, [vocab, K]), K)
      const bf16: TensorData = {
        name: HEAD,
        dtype: 'BF16',
        shape: [vocab, K],
        bytes: new Uint8Array(bits.buffer),
      }
      const short = await headOf('untied', [bf16, table])
      expect((await expectLogits(short, K, logitsOf(values, K), 1e-6)).dtype).toBe('bf16')
      short.release()
      for (const quantize of ['int8', 'int4'] as const) {
        const head = await headOf('untied', [bf16, table], { quantize })
        expect((await expectLogits(head, K, logitsOf(values, K), 0.02)).dtype).toBe('int8')
        head.release()
      }
    })

    test('an embedding that is stored in eight bits is the head as well', async () => {
      const { hidden: K, vocab } = SMALL.tied.llm
      const values = weightTensor(EMBEDDING, [vocab, K])
      const { data, scales } = quantizeRows(values, K, 'int8')
      const stored: TensorData[] = [
        { name: EMBEDDING, dtype: 'I8', shape: [vocab, K], bytes: new Uint8Array(data) },
        {
          name: `${EMBEDDING}.scales`,
          dtype: 'F32',
          shape: [vocab],
          bytes: new Uint8Array(scales.slice().buffer),
        },
      ]
      const metadata = { [QUANTIZED_NAMES]: JSON.stringify({ [EMBEDDING]: 'int8' }) }
      const head = await headOf('tied', stored, { metadata })
      const widened = Float32Array.from(
        new Int8Array(data.buffer, data.byteOffset, data.length),
        (code, i) => code * scales[Math.floor(i / K)]!,
      )
      await expectLogits(head, K, logitsOf(widened, K), 1e-5)
      head.release()
    })

    test('what is missing, of another shape or not finite is named, and leaves nothing', async () => {
      const { hidden: K, vocab } = SMALL.untied.llm
      const table = f32(EMBEDDING, weightTensor(EMBEDDING, [vocab, K]), K)
      const absent = await headOf('untied', [table])
      await expect(absent.load()).rejects.toThrow(WeightsError)
      await expect(absent.load()).rejects.toThrow('There is no llm.lm_head.weight in test.safetensors')
      const short = await headOf('untied', [table, f32(HEAD, weightTensor(HEAD, [vocab - 1, K]), K)])
      await expect(short.load()).rejects.toThrow(`${HEAD} is [${vocab - 1}, ${K}], expected [${vocab}, ${K}]`)
      const spoilt = weightTensor(HEAD, [vocab, K])
      spoilt[K + 3] = Number.NaN
      const broken = await headOf('untied', [table, f32(HEAD, spoilt, K)])
      await expect(broken.load()).rejects.toThrow(`tensor "${HEAD}": the value at [1, 3] is NaN`)
      const whole = await headOf('untied', [table, f32(HEAD, weightTensor(HEAD, [vocab, K]), K)])
      const reason = new Error('enough')
      await expect(whole.load({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
      expect(held()).toBe(0)
      await whole.load()
      whole.release()
      expect(held()).toBe(0)
    })
  })
}
