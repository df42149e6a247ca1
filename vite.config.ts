// Two builds of one source: for Node, Deno and Bun, whose packages stay packages; and with --mode browser for
// everything that has `navigator.gpu`, whole in itself, so that a page needs an import map of one line and no bundler.

import { builtinModules } from 'node:module'
import { defineConfig, type Plugin, type UserConfig } from 'vite'
import manifest from './package.json' with { type: 'json' }
import { wgsl } from './tools/wgsl-plugin.ts'

const DOORS = { index: 'src/index.ts', engine: 'src/engine.ts' }
/** Without hashes: a second build leaves nothing of the first behind. */
const NAMES = { chunkFileNames: '[name].js' }
const SHARED = { target: 'es2023', minify: false } as const

const host: UserConfig = {
  plugins: [wgsl()],
  // The import conditions of package.json that Node has; Vite takes those of browsers by default
  resolve: { conditions: ['node', 'module'] },
  build: {
    ...SHARED,
    emptyOutDir: true,
    lib: { entry: { ...DOORS, 'cli/main': 'src/cli/main.ts' }, formats: ['es'] },
    rolldownOptions: {
      external: [...builtinModules, /^node:/, ...Object.keys(manifest.dependencies)],
      output: NAMES,
    },
  },
}

const browser: UserConfig = {
  plugins: [wgsl({ comments: false }), withoutFiles()],
  build: {
    ...SHARED,
    outDir: 'dist/browser',
    lib: { entry: DOORS, formats: ['es'] },
    rolldownOptions: { output: { ...NAMES, minify: true } },
  },
}

/** What reads files is imported when a path is given, which no page does: Node's modules are left empty. */
function withoutFiles(): Plugin {
  const EMPTY = '\0no-files'
  return {
    name: 'without-files',
    enforce: 'pre',
    resolveId: { filter: { id: /^node:|cache-folder\.ts$/ }, handler: () => EMPTY },
    load: { filter: { id: /^\0no-files$/ }, handler: () => 'export {}' },
  }
}

export default defineConfig(({ mode }) => (mode === 'browser' ? browser : host))
