// The result of tuning on an adapter, as plain JSON that can be kept.
//
// It counts only for what it was measured on: the adapter, its driver, the runtime, and this version of the engine.
// Anything else, and anything damaged, is left aside with a note; the defaults are right everywhere, only slower.

import type { Choices } from './adapter.ts'

/** The engine's version: that of package.json. */
export const ENGINE_VERSION = '0.1.0'

/** Version of the layout below, and of the names in it. */
const FORMAT = 2

/** The adapter, driver and engine that choices are made for. */
export interface Identity {
  /** The adapter's name, as {@link Gpu.name}. */
  readonly adapter: string
  /** The driver and its version, where WebGPU reveals them. */
  readonly driver: string
  /** The WebGPU implementation: 'Dawn', 'wgpu' or 'browser'. */
  readonly runtime: string
  /** The version of the engine. */
  readonly engine: string
}

/** Saved choices: what `tune` returns and `openGpu({ tuned })` takes. */
export interface Tuned extends Identity {
  /** The version of this layout. */
  readonly format: number
  /** The time of the measurement, in ISO 8601. */
  readonly when: string
  /** The variant by family and class of shapes, 'matmul 256x256x256 f32': 'subgroup'; and the form of 'weights'. */
  readonly choices: Readonly<Record<string, string>>
  /** The reason of each veto, by variant: 'matmul/subgroup'. Vetoed variants are not used on this adapter. */
  readonly vetoes: Readonly<Record<string, string>>
  /** Milliseconds of the variants that were timed, by family and class. */
  readonly times: Readonly<Record<string, Readonly<Record<string, number>>>>
}

/** The identity of an adapter, as far as its driver tells it. */
export function identityOf(adapter: string, { description }: GPUAdapterInfo, runtime: string): Identity {
  // Another Node is no other driver, nor is Bun
  const speaker = runtime.replace(/^\w+ [\d.]+, /, '')
  return { adapter, driver: description, runtime: speaker, engine: ENGINE_VERSION }
}

/** Choices with the identity that they were measured on and the time of it. */
export function makeTuned(identity: Identity, measured: Pick<Tuned, 'choices' | 'vetoes' | 'times'>): Tuned {
  const { adapter, driver, runtime, engine } = identity
  return { format: FORMAT, adapter, driver, runtime, engine, when: new Date().toISOString(), ...measured }
}

/** All that two tunings of one adapter found; the later one counts where both did. */
export function mergeTuned(earlier: Tuned, later: Tuned): Tuned {
  const vetoes = { ...earlier.vetoes, ...later.vetoes }
  const choices = { ...earlier.choices, ...later.choices }
  return { ...later, choices, vetoes, times: { ...earlier.times, ...later.times } }
}

/**
 * Saved choices, if they are whole and made for this.
 *
 * @param text a Tuned, or its JSON
 * @returns the choices, or a note that says why they are left aside
 */
export function readTuned(text: unknown, identity: Identity): { tuned: Tuned } | { note: string } {
  let value = text
  try {
    if (typeof text === 'string') value = JSON.parse(text)
  } catch {
    return { note: 'The saved choices of kernels are damaged (no JSON): the defaults are taken.' }
  }
  if (!isTuned(value)) {
    return { note: 'The saved choices of kernels are damaged: the defaults are taken.' }
  }
  for (const key of ['adapter', 'driver', 'runtime', 'engine'] as const) {
    if (value[key] === identity[key]) continue
    return {
      note:
        `The saved choices of kernels were made for another ${key} (${value[key]}, now ${identity[key]}): ` +
        'the defaults are taken.',
    }
  }
  return { tuned: value }
}

/** Makes these the choices of an adapter. */
export function applyTuned(choices: Choices, { choices: tuned, vetoes }: Tuned): void {
  choices.tuned.clear()
  choices.vetoed.clear()
  for (const [key, variant] of Object.entries(tuned)) choices.tuned.set(key, variant)
  for (const variant of Object.keys(vetoes)) choices.vetoed.add(variant)
}

function isTuned(value: unknown): value is Tuned {
  if (!isRecord(value) || value['format'] !== FORMAT) return false
  const texts = ['adapter', 'driver', 'runtime', 'engine', 'when'].map((key) => value[key])
  const { choices, vetoes, times } = value
  if (!isRecord(choices) || !isRecord(vetoes) || !isRecord(times)) return false
  return [...texts, ...Object.values(choices), ...Object.values(vetoes)].every((x) => typeof x === 'string')
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
