// The fingerprint of a checkpoint: a hash of its tensors' names, types and shapes, and of a few of their values. A
// shard of an earlier conversion is kept only if it came from the same weights, in whatever file they were.

import type { Checkpoint, TensorEntry } from '../../io/safetensors.ts'
import { Sha256 } from '../../io/sha256.ts'
import { canonicalName } from '../checkpoint/parameters.ts'

/** Tensors of which values are looked at: training changes all of them. */
const SAMPLES = 16
const SAMPLE_BYTES = 4096

/** The fingerprint: SHA-256 in hex. */
export async function fingerprintOf(checkpoint: Checkpoint, signal?: AbortSignal): Promise<string> {
  const entries = [...checkpoint.tensors.values()]
    .map((entry) => ({ entry, name: canonicalName(entry.name) }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
  const hash = new Sha256()
  for (const { name, entry } of entries) {
    hash.update(new TextEncoder().encode(`${JSON.stringify([name, entry.dtype, entry.shape])}\n`))
  }
  for (let i = 0; i < SAMPLES && entries.length > 0; i++) {
    const at = entries[Math.floor((i * entries.length) / SAMPLES)]
    if (at) hash.update(await beginOf(checkpoint, at.entry, signal))
  }
  return hash.digest()
}

/** True if two checkpoints have the same tensors, to the bit. Reads all of both only where their fingerprints agree. */
export async function haveSameValues(a: Checkpoint, b: Checkpoint, signal?: AbortSignal): Promise<boolean> {
  if ((await fingerprintOf(a, signal)) !== (await fingerprintOf(b, signal))) return false
  const others = new Map([...b.tensors.keys()].map((name) => [canonicalName(name), name]))
  for (const name of a.tensors.keys()) {
    const other = others.get(canonicalName(name))
    if (other === undefined) return false
    const [own, its] = [await a.read(name, { signal }), await b.read(other, { signal })]
    if (own.length !== its.length || own.some((byte, i) => byte !== its[i])) return false
  }
  return true
}

function beginOf(
  checkpoint: Checkpoint,
  { name, begin, end }: TensorEntry,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  return checkpoint.read(name, { offset: 0, length: Math.min(SAMPLE_BYTES, end - begin), signal })
}
