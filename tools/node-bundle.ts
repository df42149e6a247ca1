// A tool's program with the library's sources in it, for Node: written where npm keeps caches.

import { builtinModules } from 'node:module'
import { fileURLToPath } from 'node:url'
import { defineConfig, type UserConfig } from 'vite'
import manifest from '../package.json' with { type: 'json' }
import { wgsl } from './wgsl-plugin.ts'

/**
 * The Vite config of such a program.
 *
 * @param folder of the program, in tools/; it is built into node_modules/.cache/flowseg-<folder>
 * @param file   the program's file in that folder, without its extension
 */
export function nodeBundle(folder: string, file: string): UserConfig {
  return defineConfig({
    root: fileURLToPath(new URL('../', import.meta.url)),
    plugins: [wgsl()],
    resolve: { conditions: ['node', 'module'] },
    build: {
      target: 'es2023',
      minify: false,
      outDir: `node_modules/.cache/flowseg-${folder}`,
      emptyOutDir: true,
      lib: { entry: { [file]: `tools/${folder}/${file}.ts` }, formats: ['es'] },
      rolldownOptions: { external: [...builtinModules, /^node:/, ...Object.keys(manifest.dependencies)] },
    },
  })
}
