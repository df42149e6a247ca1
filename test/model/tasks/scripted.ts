// Answers that are written in advance, for the small checkpoints: the model reads what it would have chosen.

import { vi } from 'vitest'
import type { LoadedModel } from '../../../src/model/load.ts'
import type { Plan } from '../../../src/tensor/plan.ts'

/** The ids of a small checkpoint's markers. */
export const IDS = {
  qwen3: { OPEN: 259, CLOSE: 260, SEG: 258, END: 257 },
  phi3: { OPEN: 261, CLOSE: 262, SEG: 260, END: 259 },
} as const

/** The ids of a text: the small checkpoints' are its bytes. */
export const bytes = (text: string): number[] => [...new TextEncoder().encode(text)]

/**
 * Replaces the model's choices by these, one after the other; what it reads stays its own. After the last of them it
 * ends the answer.
 *
 * @param logits also replaces the class logits of the decoder, [N, P + 1]
 */
export function script(
  model: LoadedModel,
  ids: readonly number[],
  end: number = IDS.qwen3.END,
  logits?: Float32Array,
): void {
  const left = [...ids]
  const get = model.plans.get.bind(model.plans)
  vi.spyOn(model.plans, 'get').mockImplementation(async (key: string, make: () => Promise<Plan>) => {
    const ready = await get(key, make)
    const replace = (more: () => Readonly<Record<string, Float32Array | Uint32Array>>): Plan => ({
      ...ready,
      run: async (values) => {
        const { read, kept } = await ready.run(values)
        return { kept, read: { ...read, ...more() } }
      },
    })
    if (key.startsWith('words')) return replace(() => ({ id: Uint32Array.of(left.shift() ?? end) }))
    return logits && key.startsWith('segment ') ? replace(() => ({ logits })) : ready
  })
}

/** An answer with two phrases, in the ids of a checkpoint. */
export function twoPhrases(
  type: keyof typeof IDS = 'qwen3',
  [a, b]: readonly [string, string] = ['a man', 'a horse'],
): number[] {
  const { OPEN, CLOSE, SEG, END } = IDS[type]
  return [
    [OPEN, ...bytes(a), CLOSE, ...bytes('  on ')],
    [OPEN, ...bytes(b), CLOSE, ...bytes(' . And ')],
    [SEG, ...bytes('.'), END],
  ].flat()
}
