// Shaders are imported as text: `import source from './x.wgsl' with { type: 'text' }`. Deno and Bun do
// that natively; this plugin does it for Vite and Vitest, and inlines the text when the library is built.

import { readFile } from 'node:fs/promises'
import type { Plugin } from 'vite'

/** @param options.comments keep them; a page that loads the library needs none, and they are a fifth of what it loads */
export function wgsl({ comments = true }: { comments?: boolean } = {}): Plugin {
  return {
    name: 'wgsl-text',
    enforce: 'pre',
    load: {
      filter: { id: /\.wgsl$/ },
      async handler(id: string) {
        const text = await readFile(id, 'utf8')
        const kept = comments ? text : withoutComments(text)
        return { code: `export default ${JSON.stringify(kept)}`, moduleType: 'js' }
      },
    },
  }
}

/** WGSL without what only people read: `/*unroll*\/` stays, which src/kernels/unroll.ts reads. */
function withoutComments(text: string): string {
  return text
    .replace(/\/\*(?!unroll\*\/)[\s\S]*?\*\//g, '')
    .replace(/[ \t]*\/\/.*$/gm, '')
    .replace(/^\s*\n/gm, '')
}
