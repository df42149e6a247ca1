// The studio: a static page that can be hosted anywhere, in any folder. `npm run studio` serves it while it is worked
// on, `npm run studio:build` writes web/dist.

import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defineConfig, type Plugin, type Rolldown } from 'vite'
import { wgsl } from '../tools/wgsl-plugin.ts'
import { POLICY } from './policy.ts'

const ROOT = dirname(fileURLToPath(import.meta.url))
const OUT = join(ROOT, 'dist')
/** Stay imports that a browser never makes. */
const NODE_ONLY = [/^node:/, 'webgpu']

export default defineConfig({
  root: ROOT,
  base: './',
  plugins: [wgsl(), policy(), precache()],
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
      input: {
        index: join(ROOT, 'index.html'),
        kernels: join(ROOT, 'kernels.html'),
        sw: join(ROOT, 'sw.ts'),
      },
      output: {
        entryFileNames: ({ name }) => (name === 'sw' ? 'sw.js' : 'assets/[name]-[hash].js'),
      },
    },
  },
})

/** The page's policy, but not while it is worked on: Vite's own scripts are inline then. */
function policy(): Plugin {
  return {
    name: 'policy',
    apply: 'build',
    transformIndexHtml: () => [
      {
        tag: 'meta',
        attrs: { 'http-equiv': 'Content-Security-Policy', content: POLICY },
        injectTo: 'head-prepend',
      },
    ],
  }
}

/** Tells the service worker what was built: it keeps all of it but the weights, which the model's worker keeps. */
function precache(): Plugin {
  let out = OUT // unless the command says otherwise
  /** Files of the kernel tests alone: nobody needs them offline. */
  let extra: ReadonlySet<string> = new Set()
  return {
    name: 'precache',
    apply: 'build',
    configResolved({ root, build }) {
      out = resolve(root, build.outDir)
    },
    generateBundle(_, bundle) {
      const reached = (entries: readonly Rolldown.OutputChunk[]): Set<string> => {
        const names = new Set<string>()
        const visit = (name: string): void => {
          if (names.has(name)) return
          names.add(name)
          const chunk = bundle[name]
          if (chunk?.type !== 'chunk') return
          for (const next of [...chunk.imports, ...chunk.dynamicImports]) visit(next)
          for (const css of chunk.viteMetadata?.importedCss ?? []) names.add(css)
        }
        for (const { fileName } of entries) visit(fileName)
        return names
      }
      const entries = Object.values(bundle).filter(
        (file) => file.type === 'chunk' && file.isEntry,
      ) as Rolldown.OutputChunk[]
      const others = reached(entries.filter(({ name }) => name !== 'kernels'))
      const own = reached(entries.filter(({ name }) => name === 'kernels'))
      extra = new Set(['kernels.html', ...[...own].filter((name) => !others.has(name))])
    },
    closeBundle() {
      const names = readdirSync(out, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && entry.name !== 'sw.js')
        .map((entry) =>
          join(entry.parentPath, entry.name)
            .slice(out.length + 1)
            .replaceAll('\\', '/'),
        )
        .sort()
      const isWeights = (name: string): boolean => name.endsWith('.safetensors')
      const hashes = Object.fromEntries(
        names.map((name) => {
          const hash = createHash('sha256').update(readFileSync(join(out, name)))
          return [name, `sha256-${hash.digest('base64')}`]
        }),
      )
      const page = readFileSync(join(out, 'index.html'), 'utf8')
      const facts = {
        FILES: Object.fromEntries(
          Object.entries(hashes).filter(([name]) => !isWeights(name) && !extra.has(name)),
        ),
        NAMED: names.filter((name) => page.includes(name)),
        WEIGHTS: names.filter(isWeights),
      }
      const worker = join(out, 'sw.js')
      const version = createHash('sha256').update(JSON.stringify(hashes)).digest('hex').slice(0, 12)
      let code = readFileSync(worker, 'utf8').replace('__VERSION__', version)
      for (const [name, value] of Object.entries(facts)) {
        code = code.replace(new RegExp(`(["'\`])__${name}__\\1`), () => JSON.stringify(value))
      }
      writeFileSync(worker, code)
    },
  }
}
