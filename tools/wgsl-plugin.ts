// Makes WGSL importable in Vite and Vitest. A kernel, `import rope from '#shaders/attention/rope.wgsl'`, is linked with
// the modules that it imports (link-shader.ts); any other file is its text. 'virtual:shaders' lists all that src/
// imports, and 'virtual:shader-files' has the files as they are written.

import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Plugin } from 'vite'
import type { Shader } from '../src/gpu/shader.ts'
import { withMarksOnly } from '../src/gpu/unroll.ts'
import { inputsOf, linkShader, ROOT, shaderFiles, shaderOf } from './link-shader.ts'

const LIST = 'virtual:shaders'
const FILES = 'virtual:shader-files'
const PIECE = '\0virtual:wgsl/'

/**
 * @param options.comments keep them; a page that loads the library needs none, and they are a fifth of what it loads
 */
export function wgsl({ comments = true }: { comments?: boolean } = {}): Plugin {
  let files: Record<string, string> | undefined
  /** Each declaration is a module of its own, so that kernels that share it ship it once. */
  const pieces = new Map<string, string>()

  function shaderModule({ pieces: own, ...shader }: Shader): string {
    const ids = own.map((piece) => {
      const code = JSON.stringify(comments ? piece : { ...piece, text: withoutComments(piece.text) })
      const id = `${PIECE}${createHash('sha256').update(code).digest('hex').slice(0, 16)}`
      pieces.set(id, code)
      return id
    })
    const imports = ids.map((id, i) => `import p${i} from ${JSON.stringify(id)}`)
    return `${imports.join('\n')}
export default { ...${JSON.stringify(shader)}, pieces: [${ids.map((_, i) => `p${i}`).join(', ')}] }`
  }

  return {
    name: 'wgsl',
    enforce: 'pre',
    resolveId: {
      filter: { id: /^#shaders\/|^virtual:shader(?:s|-files)$|^\0virtual:wgsl\// },
      handler(source) {
        if (source === LIST || source === FILES) return `\0${source}`
        if (source.startsWith(PIECE)) return source
        const [path = '', query = ''] = source.slice('#shaders/'.length).split('?')
        return `${ROOT}${path}?${[...query.split('&').filter(Boolean), 'linked'].join('&')}`
      },
    },
    load: {
      filter: { id: /\.wgsl(?:\?(?!raw)[^/]*)?$|^\0virtual:(?:shaders$|shader-files$|wgsl\/)/ },
      async handler(id: string) {
        if (id === `\0${LIST}`) return listOfShaders()
        if (id === `\0${FILES}`) {
          files ??= shaderFiles()
          for (const file of Object.keys(files)) this.addWatchFile(ROOT + file)
          return { code: `export default ${JSON.stringify(files)}`, moduleType: 'js' }
        }
        if (id.startsWith(PIECE)) return { code: `export default ${pieces.get(id)}`, moduleType: 'js' }
        const imported = shaderOf(id)
        if (!imported?.linked)
          return { code: `export default ${JSON.stringify(await readFile(id, 'utf8'))}`, moduleType: 'js' }
        files ??= shaderFiles()
        for (const file of inputsOf(imported.file, files)) this.addWatchFile(ROOT + file)
        const shader = await linkShader(imported.file, imported.conditions, files)
        return { code: shaderModule(shader), moduleType: 'js' }
      },
    },
    watchChange(id) {
      if (shaderOf(id)) files = undefined
    },
  }
}

/** WGSL without what only people read, comments, indents and spaces beside brackets, on the same lines. */
function withoutComments(text: string): string {
  return withMarksOnly(text)
    .replace(/[ \t]+$/gm, '')
    .replace(/^ +/gm, '')
    .replace(/ ?([,;(){}]) ?/g, '$1')
}
/** A module whose default export is an array of every linked shader that a file in src/ imports. */
function listOfShaders(): { code: string; moduleType: 'js' } {
  const src = fileURLToPath(new URL('../src/', import.meta.url))
  const sources = readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) => readFileSync(join(src, file), 'utf8').match(/(?<=from ')#shaders\/[^']+/g) ?? [])
  const imports = [...new Set(sources)].sort().map((source, i) => `import s${i} from '${source}'`)
  const names = imports.map((_, i) => `s${i}`)
  return { code: `${imports.join('\n')}\nexport default [${names.join(', ')}]`, moduleType: 'js' }
}
