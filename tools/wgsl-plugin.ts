// Shaders are imported as text: `import source from './x.wgsl' with { type: 'text' }`. Deno and Bun do
// that natively; this plugin does it for Vite and Vitest, and inlines the text when the library is built.

import { readFile } from 'node:fs/promises'
import type { Plugin } from 'vite'

export function wgsl(): Plugin {
  return {
    name: 'wgsl-text',
    enforce: 'pre',
    load: {
      filter: { id: /\.wgsl$/ },
      async handler(id: string) {
        return { code: `export default ${JSON.stringify(await readFile(id, 'utf8'))}`, moduleType: 'js' }
      },
    },
  }
}
