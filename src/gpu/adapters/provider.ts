// Providers of WebGPU. This file serves runtimes that have `navigator.gpu` (browsers, Deno). The import `#runtime` of
// package.json selects a file per build: host.ts, which adds Dawn for Node, or browser.ts, which has `navigator.gpu`
// alone, so that bundles for browsers don't contain Dawn.

import { NoAdapterError } from '../../errors.ts'
import { printable } from '../../printable.ts'

/** The extensions of this runtime's WGSL that we use. */
export interface WgslExtensions {
  /** Read-only storage textures. */
  readonly readsTextures: boolean
  /**
   * The built-ins `subgroup_id` and `num_subgroups`, on devices with subgroups: the index of a subgroup in its
   * workgroup, and their number.
   */
  readonly countsSubgroups: boolean
}

/** A device of one runtime, before it is opened: its adapter, and how to await and close it. */
export interface Provider {
  /** 'Node 20.20.2, Dawn', 'Deno 2.9.6, wgpu' or 'browser'. */
  readonly runtime: string
  /** The adapter that was chosen; no device has been requested of it yet. */
  readonly adapter: GPUAdapter
  /** The WGSL language features of the runtime, the same for all its adapters. */
  readonly language: WgslExtensions
  /** Awaits without burning a core while the device works. */
  calm<T>(promise: Promise<T>): Promise<T>
  /** Lets go of the implementation, so that the process can end. */
  close(): void
}

/**
 * The runtime's own adapter.
 *
 * @param runtime      who offers it, for people
 * @param adapterName  part of the adapter's name, which it must match: there is no choice
 * @throws NoAdapterError
 */
export async function openNavigator(gpu: GPU, runtime: string, adapterName?: string): Promise<Provider> {
  const adapter = await gpu.requestAdapter()
  if (!adapter) {
    throw new NoAdapterError(
      `${runtime} supports WebGPU but offers no adapter. Check that ` +
        (runtime === 'browser'
          ? 'hardware acceleration is on and that the graphics driver is not blocked (chrome://gpu), then reload.'
          : "a GPU's Vulkan driver is installed, or Mesa's for processors (`mesa-vulkan-drivers`)."),
    )
  }
  const { description, device, vendor } = adapter.info
  const name = `${vendor} ${device} ${description}`
  if (adapterName && namesMeant(adapterName, [name]).length === 0) {
    throw new NoAdapterError(
      `No adapter matches '${printable(adapterName)}': this runtime offers only '${printable(name.trim())}'.`,
    )
  }
  return {
    runtime,
    adapter,
    language: languageOf(gpu),
    calm: (promise) => promise,
    close: () => undefined,
  }
}

/**
 * The names that a part means: the name that it is, else those that have it in them. Upper and lower case are the same.
 */
export function namesMeant(part: string, names: readonly string[]): string[] {
  const wanted = part.trim().toLowerCase()
  const same = names.filter((name) => name.trim().toLowerCase() === wanted)
  return same.length > 0 ? same : names.filter((name) => name.toLowerCase().includes(wanted))
}

/** The features of the WGSL language that this implementation has; none where it doesn't say. */
export function languageOf(gpu: GPU | undefined): WgslExtensions {
  const has = (name: string): boolean => gpu?.wgslLanguageFeatures?.has(name) ?? false
  return {
    readsTextures: has('readonly_and_readwrite_storage_textures'),
    countsSubgroups: has('subgroup_id'),
  }
}
