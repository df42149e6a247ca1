// Runs the command in this process, on a terminal made of strings, in a folder of its own.

import { spawn } from 'node:child_process'
import { copyFile, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach } from 'vitest'
import { main } from '../../src/cli/cli.ts'
import type { Output, Terminal } from '../../src/cli/terminal.ts'
import type { Gpu } from '../../src/gpu/gpu.ts'
import { directoryFolder } from '../../src/io/folder.ts'
import { openSafetensors, type TensorData, writeSafetensors } from '../../src/io/safetensors.ts'
import { upToDate } from '../built.ts'

export const ROOT: string = join(dirname(fileURLToPath(import.meta.url)), '../..')
export const NANO: string = join(ROOT, 'weights/flowseg-nano')

const folders: string[] = []
afterEach(async () => {
  await Promise.all(folders.splice(0).map((folder) => rm(folder, { recursive: true, force: true })))
})

export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'flowseg-cli-'))
  folders.push(folder)
  return folder
}

export interface Outcome {
  readonly code: number
  readonly out: string
  readonly err: string
}

export interface RunOptions {
  readonly cwd: string
  readonly isTTY?: boolean
  readonly env?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
  readonly gpu?: Gpu
  /** Called with all that was written to stderr so far. */
  readonly onErr?: (text: string) => void
}

/** `flowseg ARGS` in this process. */
export async function flowseg(args: readonly string[], options: RunOptions): Promise<Outcome> {
  const { cwd, isTTY = false, env = {}, signal = new AbortController().signal, onErr, gpu } = options
  const text = { out: '', err: '' }
  const output = (name: 'out' | 'err'): Output => ({
    write: (more) => {
      text[name] += more
      if (name === 'err') onErr?.(text.err)
    },
    isTTY,
    columns: 80,
    colourBits: isTTY ? 24 : 1,
  })
  // What this machine's user once tuned must not show
  const own = { FLOWSEG_TUNE: 'off', ...env }
  const terminal: Terminal = { out: output('out'), err: output('err'), cwd, env: own, signal, gpu }
  const code = await main(args, terminal)
  return { code, ...text }
}

/** All files under a folder, sorted. */
export async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true })
  return entries.sort()
}

export interface SpawnOptions {
  readonly cwd: string
  readonly env?: Readonly<Record<string, string>>
  /** Called with all that was written to stderr so far; may send a signal. */
  readonly onErr?: (text: string, kill: (signal: NodeJS.Signals) => void) => void
  /** Stop reading stdout after its first piece. */
  readonly hangUp?: boolean
}

/** `node dist/cli/main.js ARGS`. */
export async function spawnFlowseg(args: readonly string[], options: SpawnOptions): Promise<Outcome> {
  const bin = join(await upToDate(), 'cli/main.js')
  const { FLOWSEG_DEBUG: _, ...inherited } = process.env
  const env = { ...inherited, FLOWSEG_TUNE: 'off', ...options.env }
  const child = spawn(process.execPath, [bin, ...args], { cwd: options.cwd, env })
  let [out, err] = ['', '']
  child.stdout.on('data', (piece: Buffer) => {
    out += piece.toString()
    if (options.hangUp) child.stdout.destroy()
  })
  child.stderr.on('data', (piece: Buffer) => {
    err += piece.toString()
    options.onErr?.(err, (signal) => child.kill(signal))
  })
  const code = await new Promise<number>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (exitCode, signal) => resolve(exitCode ?? (signal ? -1 : 0)))
  })
  return { code, out, err }
}

/** Copies the nano checkpoint's small files into a folder. */
export async function copySmallFiles(folder: string): Promise<void> {
  for (const name of ['config.json', 'tokenizer.json', 'tokenizer_config.json']) {
    await copyFile(join(NANO, name), join(folder, name))
  }
}

/** The nano checkpoint in a folder, with other tensors. */
export async function rewriteNano(
  folder: string,
  change: (tensors: TensorData[]) => TensorData[],
): Promise<void> {
  const checkpoint = await openSafetensors(directoryFolder(NANO))
  const tensors: TensorData[] = []
  for (const { name, dtype, shape } of checkpoint.tensors.values()) {
    tensors.push({ name, dtype, shape, bytes: await checkpoint.read(name) })
  }
  await checkpoint.close()
  await writeFile(join(folder, 'model.safetensors'), writeSafetensors(change(tensors)))
  await copySmallFiles(folder)
}
