// The size of the package, held against what is recorded in tools/sizes.json:
//
//   node tools/sizes.mjs           fails if something has grown, or shrunk, by more than 3 %
//   node tools/sizes.mjs --write   records what is there now
//
// For a browser entry point these are the files that a page loads: it and its imports, as they are and gzipped.

import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

const TOLERANCE = 0.03
const root = fileURLToPath(new URL('../', import.meta.url))
const record = join(root, 'tools/sizes.json')

const now = {
  package: packageSizes(),
  'flowseg in a browser': door('index'),
  'flowseg/engine in a browser': door('engine'),
}

if (process.argv.includes('--write')) {
  writeFileSync(record, `${JSON.stringify(now, null, 2)}\n`)
} else {
  const then = JSON.parse(readFileSync(record, 'utf8'))
  for (const [what, sizes] of Object.entries(now)) {
    for (const [kind, bytes] of Object.entries(sizes)) {
      const before = then[what]?.[kind] ?? 0
      const change = bytes / before - 1
      console.log(`${what}, ${kind}: ${bytes} bytes (${before} recorded)`)
      if (Math.abs(change) <= TOLERANCE) continue
      console.error(
        `It changed by ${(100 * change).toFixed(1)} %. If that is meant, record it: node tools/sizes.mjs --write`,
      )
      process.exitCode = 1
    }
  }
}

function packageSizes() {
  const said = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: root,
    encoding: 'utf8',
  })
  const [{ size, unpackedSize, files }] = JSON.parse(said)
  // The size of trained weights says nothing about the code
  const code = files.filter(({ path }) => path.startsWith('dist/')).reduce((sum, file) => sum + file.size, 0)
  return { packed: size, unpacked: unpackedSize, 'unpacked dist': code }
}

function door(name) {
  const files = new Set()
  const visit = (file) => {
    if (files.has(file)) return
    files.add(file)
    const code = readFileSync(file, 'utf8')
    for (const [, path] of code.matchAll(/(?:from|import)\s*\(?\s*["'](\.[^"']+)["']/g))
      visit(join(dirname(file), path))
  }
  visit(join(root, 'dist/browser', `${name}.js`))
  const texts = [...files].map((file) => readFileSync(file))
  const sum = (size) => texts.reduce((total, text) => total + size(text), 0)
  return { bytes: sum((text) => text.length), gzipped: sum((text) => gzipSync(text, { level: 9 }).length) }
}
