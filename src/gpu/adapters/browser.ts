// `#runtime` in browsers and their workers: `navigator.gpu`, or a sentence that says what to use instead.

import { NoAdapterError } from '../../errors.ts'
import { openNavigator, type Provider } from './provider.ts'

/**
 * @param _boundsChecks there always are, in browsers
 * @throws NoAdapterError
 */
export async function openProvider(adapterName?: string, _boundsChecks?: boolean): Promise<Provider> {
  // Looked for now and not when this module loads: pages are also rendered where there is no navigator
  const gpu = globalThis.navigator?.gpu
  if (gpu) return openNavigator(gpu, 'browser', adapterName)
  throw new NoAdapterError(
    'This runtime has no WebGPU (navigator.gpu is missing). Use a current Chrome, Edge, Firefox or Safari ' +
      'on a secure page (https or localhost), Deno, or Node with the webgpu package.',
  )
}

/** A browser lists none: it offers one, once it is asked. */
export async function listAdapters(): Promise<string[]> {
  return []
}
