import { builtinModules } from 'node:module'
import { defineConfig } from 'vite'
import manifest from './package.json' with { type: 'json' }
import { wgsl } from './tools/wgsl-plugin.ts'

const external = [...builtinModules, /^node:/, ...Object.keys(manifest.dependencies)]

export default defineConfig({
  plugins: [wgsl()],
  build: {
    target: 'es2023',
    minify: false,
    lib: { entry: { index: 'src/index.ts', 'cli/main': 'src/cli/main.ts' }, formats: ['es'] },
    rolldownOptions: { external },
  },
})
