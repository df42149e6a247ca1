// Runs the command in this process, on a terminal made of strings, in a folder of its own.

import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { main } from '../../src/cli/cli.ts'
import type { Output, Terminal } from '../../src/cli/output/terminal.ts'
import type { Gpu } from '../../src/gpu/gpu.ts'
import { directoryFolder } from '../../src/io/folder.ts'
import { openSafetensors, type TensorData, writeSafetensors } from '../../src/io/safetensors.ts'
import { upToDate } from '../built.ts'
import { afterTest } from '../leftovers.ts'

export const ROOT: string = join(dirname(fileURLToPath(import.meta.url)), '../..')
export const NANO: string = join(ROOT, 'weights/flowseg-nano')

export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'flowseg-cli-'))
  afterTest(() => rm(folder, { recursive: true, force: true }))
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
  /** The bytes piped to stdin; stdin is no pipe without them. */
  readonly input?: Uint8Array
  /** Called with all that was written to stderr so far. */
  readonly onErr?: (text: string) => void
}

/** `flowseg ARGS` in this process. */
export async function flowseg(args: readonly string[], options: RunOptions): Promise<Outcome> {
  const { cwd, isTTY = false, env = {}, signal = new AbortController().signal, onErr, gpu, input } = options
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
  // Tuned choices of this machine's user must not have an effect
  const own = { FLOWSEG_TUNE: 'off', ...env }
  const terminal: Terminal = {
    in: { isTTY: input === undefined, read: () => Readable.from([input]) },
    out: output('out'),
    err: output('err'),
    cwd,
    env: own,
    signal,
    gpu,
  }
  const code = await main(args, terminal)
  return { code, ...text }
}

/** All files under a folder, sorted. */
export async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true })
  return entries.sort()
}

/** SHA-256 of every file, by name. */
export async function hashes(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  const facts = files.sort().map(async (path) => {
    const hash = createHash('sha256').update(await readFile(path))
    return [path.slice(folder.length + 1), hash.digest('hex')]
  })
  return Object.fromEntries(await Promise.all(facts))
}

export interface SpawnOptions {
  readonly cwd: string
  readonly env?: Readonly<Record<string, string>>
  /** Called with all that was written to stderr so far; may send a signal. */
  readonly onErr?: (text: string, kill: (signal: NodeJS.Signals) => void) => void
  /** Stop reading stdout after its first piece. */
  readonly hangUp?: boolean
  /** A shell's redirections, such as '> /dev/full'. */
  readonly redirect?: string
}

/** The end of a process. */
export interface Ended extends Outcome {
  /** The signal that ended it, if one did; the code is -1 then. */
  readonly signal: NodeJS.Signals | null
}

/** `node dist/cli/main.js ARGS`. */
export async function spawnFlowseg(args: readonly string[], options: SpawnOptions): Promise<Ended> {
  const bin = join(await upToDate(), 'cli/main.js')
  // npm's own variable makes the command wait for signals that npm passes on
  const { FLOWSEG_DEBUG: _, npm_command: __, ...inherited } = process.env
  const env = { ...inherited, FLOWSEG_TUNE: 'off', ...options.env }
  const line = [process.execPath, bin, ...args]
  const [file = '', ...rest] =
    options.redirect === undefined ? line : ['/bin/sh', '-c', `exec "$@" ${options.redirect}`, 'sh', ...line]
  const child = spawn(file, rest, { cwd: options.cwd, env })
  let [out, err] = ['', '']
  child.stdout.on('data', (piece: Buffer) => {
    out += piece.toString()
    if (options.hangUp) child.stdout.destroy()
  })
  child.stderr.on('data', (piece: Buffer) => {
    err += piece.toString()
    options.onErr?.(err, (signal) => child.kill(signal))
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code: code ?? -1, signal, out, err }))
  })
}

/** Without what Dawn says on lavapipe, of limits that it lowers, from a thread of its own. */
export function withoutWarnings(err: string): string {
  return err.replace(/^Warning: maxDynamic.*\n/gm, '')
}

/** Without what a checkpoint says of itself before it answers. */
export function withoutIntroduction(err: string): string {
  return err.replace(/^(This checkpoint knows|It can be asked): .*\n/gm, '')
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
