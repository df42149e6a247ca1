// The licences that the package owes to others: a build's NOTICES.txt holds the licence of every library that it
// inlines, found from the modules that are really in it, and of the icons where scenes are drawn. A library without a
// licence's text fails the build.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Plugin } from 'vite'

/** Drawings, and the page of their licence. */
const ICONS: readonly (readonly [RegExp, string])[] = [
  [/src\/scenes\/icons\.json$/, 'src/scenes/ICONS-LICENSE.md'],
  [/src\/scenes\/world\/noto\.json$/, 'src/scenes/world/NOTO-LICENSE.md'],
]

export function notices(): Plugin {
  return {
    name: 'notices',
    generateBundle(_, bundle) {
      const chunks = Object.values(bundle).filter((output) => output.type === 'chunk')
      const modules = chunks.flatMap(({ moduleIds }) => moduleIds)
      const folders = new Set(modules.flatMap((id) => packageOf(id) ?? []))
      const texts = [...folders].sort().map(noticeOf)
      for (const [file, licence] of ICONS) {
        if (modules.some((id) => file.test(id))) texts.push(readFileSync(licence, 'utf8').trim())
      }
      if (texts.length === 0) return
      const source = `Parts of these files are by others:\n\n${texts.join(`\n\n${'-'.repeat(80)}\n\n`)}\n`
      this.emitFile({ type: 'asset', fileName: 'NOTICES.txt', source })
    },
  }
}

/** The folder of the package that a module belongs to, if it isn't ours. */
function packageOf(id: string): string | undefined {
  const file = id.replace(/^\0/, '').replace(/\?.*$/, '')
  if (!file.includes('/node_modules/')) return undefined
  let folder = dirname(file)
  // Folders within a package may have a package.json that only says what kind of modules these are
  while (!(existsSync(join(folder, 'package.json')) && manifestOf(folder).name)) folder = dirname(folder)
  return folder
}

interface Manifest {
  readonly name?: string
  readonly version?: string
  readonly license?: string
}

function manifestOf(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest
}

function noticeOf(folder: string): string {
  const { name, version, license } = manifestOf(folder)
  const files = readdirSync(folder).filter((file) => /^(licen[cs]e|copying|notice)/i.test(file))
  if (files.length === 0) throw new Error(`${name} is inlined and has no licence file in ${folder}.`)
  const texts = files.map((file) => readFileSync(join(folder, file), 'utf8').trim())
  return [`${name} ${version} (${license})`, ...texts].join('\n\n')
}
