// Where WebGPU comes from: the runtime's own `navigator.gpu` (browsers, Deno), else Dawn (Node).

import { NoAdapterError } from '../errors.ts'

/** What this runtime's WGSL has beyond the first version, of what we use. */
export interface Language {
  /** Read-only storage textures. */
  readonly readsTextures: boolean
  /** Where there are subgroups, `subgroup_id` and `num_subgroups`: which of a workgroup's subgroups one is. */
  readonly countsSubgroups: boolean
}

export interface Provider {
  /** 'Node 20.20.2, Dawn' or 'browser'. */
  readonly runtime: string
  readonly adapter: GPUAdapter
  readonly language: Language
  /** Awaits without burning a core while the device works. */
  calm<T>(promise: Promise<T>): Promise<T>
  /** Lets go of the implementation, so that the process can end. */
  close(): void
}

/**
 * @param adapterName  part of the wanted adapter's name; the default adapter if absent
 * @throws NoAdapterError
 */
export async function openProvider(adapterName?: string): Promise<Provider> {
  // Node has a navigator too, but without gpu
  if (globalThis.navigator?.gpu) return openNavigator(globalThis.navigator.gpu, adapterName)
  if (typeof process === 'object' && process.versions?.node) {
    const { openDawn } = await import('./dawn.ts')
    return openDawn(adapterName)
  }
  throw new NoAdapterError(
    'This runtime has no WebGPU (navigator.gpu is missing). Use a current Chrome, Edge, Firefox or Safari ' +
      'on a secure page (https or localhost), Deno, or Node with the webgpu package.',
  )
}

async function openNavigator(gpu: GPU, adapterName?: string): Promise<Provider> {
  const adapter = await gpu.requestAdapter()
  const runtime = 'Deno' in globalThis ? 'Deno' : 'browser'
  if (!adapter) {
    throw new NoAdapterError(
      `${runtime} supports WebGPU but offers no adapter. Check that hardware acceleration is on and that the ` +
        'graphics driver is not blocked (chrome://gpu), then reload.',
    )
  }
  const { description, device, vendor } = adapter.info
  const name = `${vendor} ${device} ${description}`
  if (adapterName && !name.toLowerCase().includes(adapterName.toLowerCase())) {
    throw new NoAdapterError(
      `No adapter matches '${adapterName}': this runtime offers only '${name.trim()}'.`,
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

export function languageOf(gpu: GPU | undefined): Language {
  const has = (name: string): boolean => gpu?.wgslLanguageFeatures?.has(name) ?? false
  return {
    readsTextures: has('readonly_and_readwrite_storage_textures'),
    countsSubgroups: has('subgroup_id'),
  }
}
