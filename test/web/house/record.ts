// The studio's times and sizes as a table to commit: FLOWSEG_RECORD=1 writes bench/results/studio.md.

import { readdirSync, readFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

export interface FileSize {
  readonly name: string
  readonly bytes: number
  readonly gzip: number
}

export interface Measured {
  readonly first: readonly number[]
  readonly second: readonly number[]
  /** Milliseconds of the tasks on the page's thread that took more than 50. */
  readonly tasks: readonly number[]
  readonly adapter: string
  readonly browser: string
  readonly files: readonly FileSize[]
}

/** The files that a visitor downloads before the weights; hashes left out of the names. */
export function bundleSizes(folder: string): FileSize[] {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  return names
    .filter((name) => /\.(js|css|html)$/.test(name))
    .map((name) => {
      const bytes = readFileSync(join(folder, name))
      return { name: name.replace(/-[\w-]{8}\./, '.'), bytes: bytes.length, gzip: gzipSync(bytes).length }
    })
    .sort((a, b) => b.bytes - a.bytes)
}

export function timesTable({ first, second, tasks, adapter, browser, files }: Measured): string {
  const cpu = cpus()
  const sum = (of: (file: FileSize) => number): number => files.reduce((total, file) => total + of(file), 0)
  const kb = (bytes: number): string => (bytes / 1000).toFixed(1)
  return `# The studio

Chromium ${browser}, adapter ${adapter} (software), ${cpu.length} x ${cpu[0]?.model.trim() ?? 'unknown processor'}. Medians of
${first.length} visits with an empty cache, from a server on the same machine. Written by
\`FLOWSEG_RECORD=1 npm run test:studio\`.

| | seconds |
|---|---|
| cold cache to the first mask (download, load, compile, look, read, segment) | ${(median(first) / 1000).toFixed(2)} |
| a second sentence, from Enter to its mask | ${(median(second) / 1000).toFixed(2)} |
| the longest the page was held up, of all visits | ${heldUp(tasks)} |

| file | kB | kB gzip |
|---|---|---|
${files.map(({ name, bytes, gzip }) => `| ${name} | ${kb(bytes)} | ${kb(gzip)} |`).join('\n')}
| **all code** | **${kb(sum((file) => file.bytes))}** | **${kb(sum((file) => file.gzip))}** |

Beside it the weights: 19.7 MB, once.
`
}

function heldUp(tasks: readonly number[]): string {
  return tasks.length === 0 ? 'at most 0.05' : (Math.max(...tasks) / 1000).toFixed(2)
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}
