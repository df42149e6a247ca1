// A tensor of the original, slice by slice, as it is written: as it is, or rounded to codes and scales.

import { firstNotFinite } from '../../io/finite.ts'
import { type Checkpoint, toFloat32 } from '../../io/safetensors.ts'
import { heldScales, quantizeRows } from '../../kernels/quantize.ts'
import { notFinite } from '../checkpoint/fill.ts'
import { bytesPerElement } from '../checkpoint/stored.ts'
import type { ConversionStep } from './convert-plan.ts'

/** Bytes that are read at a time. */
const SLICE_BYTES = 4 * 2 ** 20
/** Bytes of a tensor to be quantised that are read at a time. */
const ROUNDED_BYTES = 2 ** 20
/** Slices begin at multiples of this (Checkpoint.slices). */
const ALIGNMENT = 16

/** The next bytes of an output. */
export interface ConvertedPiece {
  /** The index of the output among the step's `outputs`. */
  readonly output: number
  /** The bytes of that output which follow those of the previous piece. */
  readonly bytes: Uint8Array
  /** Bytes of the original that were read for it. */
  readonly read: number
}

/**
 * Converts a tensor.
 *
 * @throws WeightsError if it can't be read, or has a number that isn't finite
 */
export async function* convertedPieces(
  checkpoint: Checkpoint,
  { entry, quantized, isRounded }: ConversionStep,
  signal?: AbortSignal,
): AsyncGenerator<ConvertedPiece, void, void> {
  const [, K = 1] = entry.shape
  const most = isRounded ? wholeRows(K * bytesPerElement(entry)) : SLICE_BYTES
  const scales: Uint8Array[] = []
  for await (const { offset, bytes } of checkpoint.slices(entry.name, most, { signal })) {
    signal?.throwIfAborted()
    const bad = firstNotFinite(bytes, entry.dtype)
    if (bad)
      throw notFinite([{ entry, value: bad.value, index: offset / bytesPerElement(entry) + bad.index }])
    if (isRounded && quantized) {
      const rows = quantizeRows(toFloat32(bytes, entry.dtype), K, quantized)
      scales.push(new Uint8Array(heldScales(rows.scales, quantized).buffer))
      yield { output: 0, bytes: rows.data, read: bytes.length }
    } else {
      yield { output: 0, bytes, read: bytes.length }
    }
  }
  for (const bytes of scales) yield { output: 1, bytes, read: 0 }
}

/** Bytes of as many whole rows as fit, so that every slice begins with a row. */
function wholeRows(rowBytes: number): number {
  let rows = 1
  while ((rows * rowBytes) % ALIGNMENT !== 0) rows *= 2
  const step = rows * rowBytes
  return step * Math.max(1, Math.floor(ROUNDED_BYTES / step))
}
