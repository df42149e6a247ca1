// Two builds of one source: for Node, Deno and Bun, whose packages stay packages; and with --mode browser for
// everything that has `navigator.gpu`, whole in itself, so that a page needs an import map of one line and no bundler.

import { builtinModules } from 'node:module'
import { defineConfig, type Plugin, type UserConfig } from 'vite'
import manifest from './package.json' with { type: 'json' }
import { notices } from './tools/notices.ts'
import { wgsl } from './tools/wgsl-plugin.ts'

const DOORS = { index: 'src/index.ts', engine: 'src/engine.ts' }
/** Without hashes: a second build leaves nothing of the first behind. */
const NAMES = { chunkFileNames: '[name].js' }
const SHARED = { target: 'es2023', minify: false } as const

const host: UserConfig = {
  plugins: [wgsl(), weights('../weights'), notices()],
  // The import conditions of package.json that Node has; Vite takes those of browsers by default
  resolve: { conditions: ['node', 'module'] },
  build: {
    ...SHARED,
    emptyOutDir: true,
    lib: { entry: { ...DOORS, 'cli/main': 'src/cli/main.ts' }, formats: ['es'] },
    rolldownOptions: {
      external: [...builtinModules, /^node:/, ...Object.keys(manifest.dependencies)],
      output: NAMES,
      checks: { pluginTimings: false }, // kernels take two seconds to link
    },
  },
}

const browser: UserConfig = {
  plugins: [wgsl({ comments: false }), withoutFiles(), weights('../../weights'), notices()],
  build: {
    ...SHARED,
    outDir: 'dist/browser',
    lib: { entry: DOORS, formats: ['es'] },
    rolldownOptions: { output: { ...NAMES, minify: true }, checks: { pluginTimings: false } },
  },
}

/** What reads files is imported when a path is given, which no page does: Node's modules are left empty. */
function withoutFiles(): Plugin {
  const EMPTY = '\0no-files'
  return {
    name: 'without-files',
    enforce: 'pre',
    resolveId: {
      filter: { id: /^node:|(cache-folder|make-folders|write-whole)\.ts$/ },
      handler: () => EMPTY,
    },
    load: { filter: { id: /^\0no-files$/ }, handler: () => 'export {}' },
  }
}

/**
 * The addresses of the embedded model lead from dist/ into the package, for whoever bundles it to find: here they are neither
 * followed, which would write 20 MB of base64 into the code, nor those of src/.
 *
 * @param folder from where this build's files lie
 */
function weights(folder: string): Plugin {
  const HERE = '__import_meta_url__'
  return {
    name: 'weights',
    enforce: 'pre',
    transform: {
      filter: { id: /src\/io\/embedded\.ts$/ },
      handler: (code) =>
        code.replaceAll('import.meta.url', HERE).replaceAll("'../../weights/", `'${folder}/`),
    },
    renderChunk: (code) => code.replaceAll(HERE, 'import.meta.url'),
  }
}

export default defineConfig(({ mode }) => (mode === 'browser' ? browser : host))
