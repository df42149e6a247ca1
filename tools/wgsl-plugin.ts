// What `import` of a WGSL file gives in Vite and Vitest. A kernel, `import tiles from '#shaders/matmul/tiles.wgsl'`, is linked with
// the modules that it imports (link-shader.ts); any other file is its text.

import { readFile } from 'node:fs/promises'
import type { Plugin } from 'vite'
import { withMarksOnly } from '../src/gpu/unroll.ts'
import { linkShader, ROOT, shaderFiles, shaderOf } from './link-shader.ts'

/** @param options.comments keep them; a page that loads the library needs none, and they are a fifth of what it loads */
export function wgsl({ comments = true }: { comments?: boolean } = {}): Plugin {
  let files: Record<string, string> | undefined
  return {
    name: 'wgsl',
    enforce: 'pre',
    resolveId: {
      filter: { id: /^#shaders\// },
      handler(source) {
        const [path = '', query = ''] = source.slice('#shaders/'.length).split('?')
        return `${ROOT}${path}?${[...query.split('&').filter(Boolean), 'linked'].join('&')}`
      },
    },
    load: {
      filter: { id: /\.wgsl(?:\?(?!raw)[^/]*)?$/ },
      async handler(id: string) {
        const found = shaderOf(id)
        if (found && !found.linked) {
          const text = (await readFile(id, 'utf8')).replace(/^import .*\n/gm, '')
          return { code: `export default ${JSON.stringify(text)}`, moduleType: 'js' }
        }
        if (!found)
          return { code: `export default ${JSON.stringify(await readFile(id, 'utf8'))}`, moduleType: 'js' }
        files ??= shaderFiles()
        for (const file of Object.keys(files)) if (file.startsWith('lib/')) this.addWatchFile(ROOT + file)
        const shader = await linkShader(found.file, found.conditions, files)
        const kept = comments ? shader : { ...shader, text: withoutComments(shader.text) }
        return { code: `export default ${JSON.stringify(kept)}`, moduleType: 'js' }
      },
    },
    watchChange(id) {
      if (shaderOf(id)) files = undefined
    },
  }
}

/** WGSL without what only people read, on the same lines. */
function withoutComments(text: string): string {
  return withMarksOnly(text).replace(/[ \t]+$/gm, '')
}
