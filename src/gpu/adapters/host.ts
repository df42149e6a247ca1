// `#runtime` outside of browsers: `navigator.gpu` where there is one (Deno, with wgpu), else Dawn (Node, Bun).

import { openNavigator, type Provider } from './provider.ts'

/**
 * @param adapterName  part of the wanted adapter's name; the default adapter if absent
 * @param boundsChecks as in OpenOptions
 * @throws NoAdapterError
 */
export async function openProvider(adapterName?: string, boundsChecks?: boolean): Promise<Provider> {
  // Node and Bun have a navigator too, but without gpu
  const gpu = globalThis.navigator?.gpu
  if (gpu) {
    const { offerDriver } = await import('./software-driver.ts')
    offerDriver(adapterName)
    return openNavigator(gpu, `Deno ${process.versions['deno']}, wgpu`, adapterName)
  }
  const { openDawn } = await import('./dawn.ts')
  return openDawn(adapterName, boundsChecks)
}

/** Names of the adapters that can be opened now, without opening one; none where the runtime doesn't tell. */
export async function listAdapters(): Promise<string[]> {
  if (globalThis.navigator?.gpu) return []
  const dawn = await import('./dawn.ts')
  return dawn.listAdapters()
}
