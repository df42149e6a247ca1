// The studio: a static page that can be hosted anywhere, in any folder. `npm run studio` serves it while it is worked
// on, `npm run studio:build` writes web/dist.

import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defineConfig, type Plugin } from 'vite'
import { wgsl } from '../tools/wgsl-plugin.ts'

const ROOT = dirname(fileURLToPath(import.meta.url))
const OUT = join(ROOT, 'dist')
/** Stay imports that a browser never makes. */
const NODE_ONLY = [/^node:/, 'webgpu']

export default defineConfig({
  root: ROOT,
  base: './',
  plugins: [wgsl(), precache()],
  worker: { format: 'es', plugins: () => [wgsl()], rolldownOptions: { external: NODE_ONLY } },
  optimizeDeps: { exclude: ['webgpu'] },
  // Weights and samples lie outside of web/
  server: { fs: { allow: [join(ROOT, '..')] } },
  assetsInclude: ['**/*.safetensors'],
  build: {
    outDir: OUT,
    emptyOutDir: true,
    target: 'es2023',
    assetsInlineLimit: 0, // data: URLs would need holes in a content security policy
    modulePreload: { polyfill: false },
    rolldownOptions: {
      external: NODE_ONLY,
      input: { index: join(ROOT, 'index.html'), sw: join(ROOT, 'sw.ts') },
      output: {
        entryFileNames: ({ name }) => (name === 'sw' ? 'sw.js' : 'assets/[name]-[hash].js'),
      },
    },
  },
})

/** Tells the service worker what was built: it keeps all of it but the weights, which the model's worker keeps. */
function precache(): Plugin {
  return {
    name: 'precache',
    apply: 'build',
    closeBundle() {
      const files = readdirSync(OUT, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && entry.name !== 'sw.js' && !entry.name.endsWith('.safetensors'))
        .map((entry) => join(entry.parentPath, entry.name))
        .sort()
      const version = createHash('sha256')
      for (const file of files) version.update(readFileSync(file))
      const names = files.map((file) => file.slice(OUT.length + 1).replaceAll('\\', '/'))
      const worker = join(OUT, 'sw.js')
      const code = readFileSync(worker, 'utf8')
      writeFileSync(
        worker,
        code
          .replace('__VERSION__', version.digest('hex').slice(0, 12))
          .replace(/(["'`])__FILES__\1/, JSON.stringify(names)),
      )
    },
  }
}
