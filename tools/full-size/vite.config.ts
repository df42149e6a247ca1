// The steps of tools/full-size.mjs, with the library's sources in them, for Node.

import { builtinModules } from 'node:module'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vite'
import manifest from '../../package.json' with { type: 'json' }
import { wgsl } from '../wgsl-plugin.ts'

export default defineConfig({
  root: fileURLToPath(new URL('../../', import.meta.url)),
  plugins: [wgsl()],
  resolve: { conditions: ['node', 'module'] },
  build: {
    target: 'es2023',
    minify: false,
    outDir: 'node_modules/.cache/flowseg-full-size',
    emptyOutDir: true,
    lib: { entry: { main: 'tools/full-size/main.ts' }, formats: ['es'] },
    rolldownOptions: { external: [...builtinModules, /^node:/, ...Object.keys(manifest.dependencies)] },
  },
})
