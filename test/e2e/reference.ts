// The answers of PyTorch about the first scenes of the test split, a line per sentence: made by training/reference.py
// from the weights and the scenes, whose images are test/fixtures/nano/*.png.

import { readText } from '../runtime.ts'

export interface Answer {
  readonly scene: number
  readonly sentence: string
  readonly query: number
  /** The mask as lengths of runs, zeros first. */
  readonly runs: readonly number[]
}

export const reference: readonly Answer[] = readText('test/fixtures/nano.jsonl')
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as Answer)

/** The mask, a 0 or 1 a pixel. */
export function pixelsOf({ runs }: Answer): number[] {
  return runs.flatMap((length, i) => Array.from({ length }, () => i % 2))
}
