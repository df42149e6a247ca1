// Matrices that a checkpoint holds in 8 or 4 bits already (docs/quantized.md): the codes under the matrix's own name,
// its scales beside them, and a list of such names in the metadata.
//
// They are what quantising at load would make, so that loading them is a copy.

import { WeightsError } from '../../errors.ts'
import { type Checkpoint, DTYPE_BITS, type TensorEntry } from '../../io/safetensors.ts'
import type { TensorOutline } from '../../io/safetensors-writer.ts'
import { type Json, type JsonLimits, parseJson } from '../../io/text/json.ts'
import { type Quantized, quantizedRow } from '../../kernels/quantize.ts'
import { printable } from '../../printable.ts'
import type { Parameter, ParameterComponent } from './parameters.ts'

/** The key of the metadata: a JSON object of names to 'int8' or 'int4'. Every file of a checkpoint has all of them. */
export const QUANTIZED_NAMES = 'flowseg.quantized'

const LIST_LIMITS: JsonLimits = { values: 1_000_000, containers: 10, keyBytes: 4096 }

/**
 * The matrices that are stored in few bits, by their names in the checkpoint.
 *
 * @throws WeightsError if the list makes no sense
 */
export function storedQuantized({
  name,
  metadata,
}: Pick<Checkpoint, 'metadata'> & { readonly name?: string }): ReadonlyMap<string, Quantized> {
  const text = metadata.get(QUANTIZED_NAMES)
  if (text === undefined) return new Map()
  const bad = (): WeightsError =>
    new WeightsError(
      `${printable(name ?? 'The checkpoint')}: metadata "${QUANTIZED_NAMES}" must be a JSON object of tensor names to ` +
        `"int8" or "int4". Convert the checkpoint again.`,
    )
  let listed: Json
  try {
    listed = parseJson(text, LIST_LIMITS)
  } catch {
    throw bad()
  }
  if (!(listed instanceof Map)) throw bad()
  return new Map(
    [...listed].map(([tensor, type]) => {
      if (type !== 'int8' && type !== 'int4') throw bad()
      return [tensor, type]
    }),
  )
}

/** The name of a matrix's scales. */
export function scalesName(name: string): string {
  return `${name}.scales`
}

/** The two tensors that a matrix [N, K] in few bits is stored as: its codes, and its scales. */
export function outlineQuantized(
  { name, shape }: Pick<Parameter, 'name' | 'shape'>,
  dtype: Quantized,
): { readonly codes: TensorOutline; readonly scales: TensorOutline } {
  const [N = 0, K = 0] = shape
  const row = quantizedRow(K, dtype)
  const isInt4 = dtype === 'int4'
  return {
    codes: { name, dtype: isInt4 ? 'U8' : 'I8', shape: [N, row.bytes] },
    scales: { name: scalesName(name), dtype: isInt4 ? 'BF16' : 'F32', shape: isInt4 ? [N, row.scales] : [N] },
  }
}

/** True if a tensor is stored in the type and shape of the outline. */
export function isAsOutlined(entry: TensorEntry | undefined, { dtype, shape }: TensorOutline): boolean {
  return entry !== undefined && entry.dtype === dtype && entry.shape.join() === shape.join()
}

/** The components of which a model may hold matrices in few bits: nine tenths of it, and those that stand rounding. */
const QUANTIZED_PARTS: readonly ParameterComponent[] = [
  'siglip',
  'sam',
  'llm',
  'visualProjector',
  'segProjector',
]

/**
 * The type that a tensor is quantised to when its component is held in 8 or 4 bits; undefined if it stays as it is
 * stored. Tensors that decide between masks stay, and so do matrices whose K isn't a multiple of 4, which not every
 * adapter's kernels read: a model gives the same answer on all adapters. The embedding takes 8 bits at least, as its
 * rows are picked, and no sum over many values evens out an error in them.
 */
export function quantizedTo(
  { kind, component, shape: [, K = 0] }: Parameter,
  quantize: Quantized | undefined,
): Quantized | undefined {
  if (quantize === undefined || K % 4 !== 0 || !QUANTIZED_PARTS.includes(component)) return undefined
  return kind === 'embedding' ? 'int8' : kind === 'matrix' ? quantize : undefined
}

/** Bytes of an element as it is stored. */
export function bytesPerElement({ dtype }: Pick<TensorEntry, 'dtype'>): number {
  return DTYPE_BITS[dtype] / 8
}
