// The model that comes with the package, wherever that was put.
//
// Each file is named by an address beside this code. That is what bundlers know: they copy the file and write its new
// address here. Without one, the addresses lead into the package: in Node, Deno and Bun on the disk, in a page on its
// server.

import { hasFiles } from '../has-files.ts'

/** The place of the model that comes with the package: `FlowSeg.load(EMBEDDED, options)`. */
export const EMBEDDED: unique symbol = Symbol('flowseg-nano')

const WEIGHTS = 'weights/flowseg-nano'

/** Written out one by one, or else no bundler sees them. */
const FILES = (): Readonly<Record<string, URL>> => ({
  'manifest.json': new URL('../../weights/flowseg-nano/manifest.json', import.meta.url),
  'config.json': new URL('../../weights/flowseg-nano/config.json', import.meta.url),
  'tokenizer.json': new URL('../../weights/flowseg-nano/tokenizer.json', import.meta.url),
  'tokenizer_config.json': new URL('../../weights/flowseg-nano/tokenizer_config.json', import.meta.url),
  'model.safetensors': new URL('../../weights/flowseg-nano/model.safetensors', import.meta.url),
})

/** The address of a file of the embedded model; undefined if it has none of that name. */
export async function embeddedFile(name: string): Promise<URL | undefined> {
  const files = FILES()
  const url = Object.hasOwn(files, name) ? files[name] : undefined
  if (!url || url.protocol !== 'file:' || !hasFiles()) return url
  return (await isThere(url)) ? url : installed(name)
}

async function isThere(url: URL): Promise<boolean> {
  const { stat } = await import('node:fs/promises')
  return stat(url).then(
    () => true,
    () => false,
  )
}

/** A bundle for Node that was written elsewhere: the package may still be installed where the program runs. */
async function installed(name: string): Promise<URL | undefined> {
  const { createRequire } = await import('node:module')
  const { pathToFileURL } = await import('node:url')
  for (const from of [import.meta.url, pathToFileURL(`${process.cwd()}/`)]) {
    try {
      return pathToFileURL(createRequire(from).resolve(`flowseg/${WEIGHTS}/${name}`))
    } catch {
      // not there
    }
  }
  return undefined
}
