// The facts that an op may know of the adapter it records for: they decide which variants of a kernel can run there,
// and the choices among those that can (by measurement, by a veto, or by force).

/** The features that the device was opened with. */
export interface Features {
  /** Shaders may compute in f16. */
  readonly f16: boolean
  /** Shaders may exchange values between the lanes of a subgroup. */
  readonly subgroups: boolean
  /** Passes can be timed on the device, which `profile` of a plan needs. */
  readonly timestamps: boolean
}

/** The facts about an adapter that kernels are chosen by. */
export interface AdapterFacts {
  /** The optional features that its device was opened with. */
  readonly features: Features
  /** Lanes of a subgroup where that is one fixed number; 0 without subgroups, or where sizes can differ. */
  readonly subgroupSize: number
  /** Kernels may read storage textures: a WGSL language feature. */
  readonly readsTextures: boolean
  /** Kernels that use subgroups may ask which of the workgroup's they are in: a WGSL language feature. */
  readonly countsSubgroups: boolean
  /** The adapter is a CPU: loads and barriers cost more than arithmetic, and caches are large. */
  readonly software: boolean
  /** The most threads per workgroup that its device allows. */
  readonly maxInvocations: number
  /** The most bytes of shared (workgroup) memory per workgroup that its device allows. */
  readonly maxWorkgroupBytes: number
  /** The variants to take, and those taken so far; each Gpu has its own. */
  readonly choices: Choices
}

/**
 * The choices that a caller can force, and their values:
 *
 * - a kernel family (src/ops)  the variant that computes it
 * - `weights`                  the weight layout (src/kernels/packed.ts)
 * - `tiles`                    the type of weights of 16 or 8 bits in the workgroup memory of matmul/tiled: f32, or
 *                              f16, which stands for the weights' own 16 bits
 */
export const VARIANTS: Readonly<Record<string, readonly string[]>> = {
  matmul: ['subgroup', 'tiled', 'gemv', 'registers'],
  conv: ['subgroup', 'tiled', 'registers'],
  attention: ['subgroup', 'tiled', 'registers'],
  layerNorm: ['thread', 'shared'],
  rmsNorm: ['thread', 'shared'],
  softmax: ['thread', 'shared'],
  reduce: ['thread', 'shared'],
  argmax: ['thread', 'shared'],
  normalizeRows: ['thread', 'shared'],
  weights: ['rows', 'packed'],
  tiles: ['f32', 'f16'],
}

/**
 * The variants of kernel families to take.
 *
 * - `forced`  by family, for tests and for reproducing another machine's run
 * - `tuned`   by family and class of shapes, from measurements on this adapter
 * - `vetoed`  'family/variant' that gave wrong results on this adapter: never taken
 */
export class Choices {
  /** The variant by kernel family; comes before `tuned`, and is ignored where it can't run. */
  readonly forced: ReadonlyMap<string, string>
  /** The variant by family and class, 'matmul <class>'; and under 'weights', the weight layout. */
  readonly tuned: Map<string, string> = new Map()
  /** 'family/variant' of those that failed their tests here; even `forced` doesn't bring one back. */
  readonly vetoed: Set<string> = new Set()
  /** The variants taken so far, by family and class. */
  readonly taken: Map<string, string> = new Map()

  constructor(forced: Readonly<Record<string, string>> = {}) {
    this.forced = new Map(Object.entries(forced))
  }

  /** The same choices for another device; none is taken there yet. */
  copy(): Choices {
    const copy = new Choices(Object.fromEntries(this.forced))
    for (const [key, variant] of this.tuned) copy.tuned.set(key, variant)
    for (const variant of this.vetoed) copy.vetoed.add(variant)
    return copy
  }

  /** Records in `taken` that an op took the variant for a problem of this class. */
  note(family: string, shapes: string, variant: string): void {
    this.taken.set(`${family} ${shapes}`, variant)
  }
}

/** An adapter that can do the least. */
export const PLAIN_ADAPTER: AdapterFacts = {
  features: { f16: false, subgroups: false, timestamps: false },
  subgroupSize: 0,
  readsTextures: false,
  countsSubgroups: false,
  software: false,
  maxInvocations: 256,
  maxWorkgroupBytes: 16_384,
  choices: new Choices(),
}
