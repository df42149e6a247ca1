// The language model's table of token embeddings, which stays on the host: a sentence needs a few dozen of its 150,000
// rows, and on the device it would take a tenth of a model in bf16, a sixth of one in 4 bits.
//
// A small table is held as it is stored. The rows of a large one are read from the checkpoint when they are asked for,
// and the last ones are kept. A model in few bits has a table in int8 with a scale per row, stored so or rounded here.

import { expectDefined } from '../../check.ts'
import { WeightsError } from '../../errors.ts'
import { firstNotFinite } from '../../io/finite.ts'
import { type Checkpoint, type TensorEntry, toFloat32 } from '../../io/safetensors.ts'
import { quantizeRows } from '../../kernels/quantize.ts'
import { printable, quoted } from '../../printable.ts'

/** Bytes of a table that are held in memory. */
export const HELD_BYTES: number = 32 * 2 ** 20
/** Rows of a larger one that are kept: a few sentences. */
const ROWS_KEPT = 1024

/** Rows of the table of token embeddings, by token id. */
export class TokenEmbeddings {
  /** Values of a row: the width of the language model. */
  readonly width: number
  /** True if rows are read from the checkpoint when they are needed; it must stay open then. */
  readonly isStreamed: boolean
  readonly #checkpoint: Checkpoint
  readonly #entry: TensorEntry
  readonly #rowBytes: number
  /** The whole table as it is stored; empty where it is streamed. */
  readonly #held: Uint8Array<ArrayBuffer>
  /** The scales of a table that is stored in int8, one per row. */
  readonly #scales: Float32Array | undefined
  /** Rows are rounded to int8 and back. */
  readonly #isRounded: boolean
  readonly #rows = new Map<number, Float32Array>()

  /**
   * @param entry   the table, [rows, width], of any float type, or the codes of one in int8
   * @param isCodes the table is stored in int8, and its scales will be given by `holdScales`
   * @param round   rows are rounded to int8, as storing the table in that would
   */
  constructor(
    checkpoint: Checkpoint,
    entry: TensorEntry,
    { isCodes = false, round = false }: { readonly isCodes?: boolean; readonly round?: boolean } = {},
  ) {
    const bytes = entry.end - entry.begin
    const [rows = 0, width = 0] = entry.shape
    this.#checkpoint = checkpoint
    this.#entry = entry
    this.width = width
    this.#rowBytes = bytes / rows
    this.isStreamed = bytes > HELD_BYTES
    this.#held = new Uint8Array(this.isStreamed ? 0 : bytes)
    this.#scales = isCodes ? new Float32Array(rows) : undefined
    this.#isRounded = round
  }

  /** Takes a piece of the table on its way; a streamed table keeps none. */
  hold(offset: number, stored: Uint8Array): void {
    if (!this.isStreamed) this.#held.set(stored, offset)
  }

  /** Takes scales on their way, f32. */
  holdScales(offset: number, bytes: Uint8Array<ArrayBuffer>): void {
    this.#scales?.set(toFloat32(bytes, 'F32'), offset / 4)
  }

  /**
   * The rows of these tokens, one after another, in f32.
   *
   * @param count rows of the result; those beyond the tokens are zero
   * @throws WeightsError if a row can't be read, or holds a value that isn't finite
   */
  async rows(
    ids: ArrayLike<number>,
    count: number = ids.length,
    signal?: AbortSignal,
  ): Promise<Float32Array<ArrayBuffer>> {
    const result = new Float32Array(count * this.width)
    await Promise.all(
      Array.from(ids, async (id, i) => result.set(await this.#row(id, signal), i * this.width)),
    )
    return result
  }

  async #row(id: number, signal: AbortSignal | undefined): Promise<Float32Array> {
    const known = this.#rows.get(id)
    if (known) return known
    const { name } = this.#entry
    const offset = id * this.#rowBytes
    const bytes = this.isStreamed
      ? await this.#checkpoint.read(name, { offset, length: this.#rowBytes, signal })
      : this.#held.slice(offset, offset + this.#rowBytes)
    const row = this.#scales
      ? widened(bytes, expectDefined(this.#scales[id], 'the scale of a row'))
      : this.#floats(id, bytes)
    if (this.#rows.size >= ROWS_KEPT) this.#rows.clear()
    this.#rows.set(id, row)
    return row
  }

  #floats(id: number, bytes: Uint8Array<ArrayBuffer>): Float32Array {
    const { name, dtype, file } = this.#entry
    const wrong = firstNotFinite(bytes, dtype)
    if (wrong) {
      throw new WeightsError(
        `${printable(file)}, tensor ${quoted(name)}: the value at [${id}, ${wrong.index}] is ${wrong.value}, and was finite ` +
          'when the model was loaded. Load the model again.',
      )
    }
    const row = toFloat32(bytes, dtype)
    if (!this.#isRounded) return row
    const { data, scales } = quantizeRows(row, this.width, 'int8')
    return widened(data, expectDefined(scales[0], 'the scale of a row'))
  }
}

function widened(codes: Uint8Array, scale: number): Float32Array {
  return Float32Array.from(
    new Int8Array(codes.buffer, codes.byteOffset, codes.length),
    (code) => code * scale,
  )
}
