// The process's own streams and signals, and the last resort for errors that nobody caught.
//
// Dawn's threads may be at work whenever the process ends. Exiting at once from within (process.exit) runs their
// destructors under them, which takes seconds and can crash. So the first Ctrl-C stops the work, and Node ends by
// itself; a second one is left to the system, which ends a process without running anything of it.

import { addAbortSignal } from 'node:stream'
import { accountOfError } from './json.ts'
import { type Input, Interrupted, type Output, type Terminal, visible } from './output/terminal.ts'

/** By convention 128 plus the signal's number. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const

/** npm passes a Ctrl-C on to a process that the terminal has told as well: within this time it is the same one. */
const SAME_KEY_MS = 50

/** The process as a terminal, and its end. */
export interface ProcessTerminal extends Terminal {
  /** Waits until all is written. @returns the exit code: another one if that or something else failed */
  finish(exitCode: number): Promise<number>
}

/** Connects the process's streams and signals. */
export function processTerminal(): ProcessTerminal {
  const controller = new AbortController()
  let failure: number | undefined
  const err = streamOutput(process.stderr, () => undefined) // a failed write is ignored: nobody reads stderr
  const fail = (message: string): void => {
    process.exitCode = failure = 1
    err.write(`flowseg: ${visible(message)}\n`)
    controller.abort(new Interrupted(1, true))
  }
  const out = streamOutput(process.stdout, (error) => {
    // The reader of our output has ended (`| head`): no fault of ours
    if (error.code === 'EPIPE') controller.abort(new Interrupted(0, true))
    else fail(`Standard output can't be written: ${reasonOf(error)}. What was written so far is incomplete.`)
  })
  const crash = (error: unknown): void => {
    const { code, message } = accountOfError(error)
    fail(`${message} (${code})`)
  }
  process.on('uncaughtException', crash)
  process.on('unhandledRejection', crash)
  let isFinished = false
  process.on('beforeExit', () => {
    if (!isFinished) crash(new Error('The command waits for something that never comes.'))
    isFinished = true
  })
  stopOnSignals(controller)
  return {
    in: streamInput(),
    out,
    err,
    cwd: process.cwd(),
    env: process.env,
    signal: controller.signal,
    async finish(exitCode) {
      await Promise.all([out.flushed(), err.flushed()])
      isFinished = true
      return failure ?? exitCode
    },
  }
}

/**
 * The first signal aborts the controller. Closing a device may then hold the event loop until Dawn's threads are done,
 * so the system's own answer to signals is restored before: from then on it ends the process without asking.
 */
function stopOnSignals(controller: AbortController): void {
  const names = Object.keys(EXIT_CODES) as (keyof typeof EXIT_CODES)[]
  const restoreDefaults = (): void => names.forEach((name) => process.removeAllListeners(name))
  const isPassedOn = process.env['npm_command'] !== undefined
  let isStopped = false
  for (const name of names) {
    process.on(name, () => {
      if (isStopped) {
        if (isPassedOn) return
        // Two that came while the event loop was held
        restoreDefaults()
        process.kill(process.pid, name)
        return
      }
      isStopped = true
      const stop = (): void => {
        restoreDefaults()
        controller.abort(new Interrupted(EXIT_CODES[name]))
      }
      if (isPassedOn) setTimeout(stop, SAME_KEY_MS)
      else setImmediate(stop)
    })
  }
}

interface StreamOutput extends Output {
  /** Settles once everything is written, or can't be. */
  flushed(): Promise<void>
}

/** Streams tell of errors when they write, to a callback or as an event: `onFailure` gets the first. */
function streamOutput(
  stream: NodeJS.WriteStream,
  onFailure: (error: NodeJS.ErrnoException) => void,
): StreamOutput {
  let hasFailed = false
  const fail = (error?: NodeJS.ErrnoException | null): void => {
    if (!error || hasFailed) return
    hasFailed = true
    onFailure(error)
  }
  // Writes end in the order in which they began
  let last: Promise<void> = Promise.resolve()
  const write = (text: string): void => {
    if (hasFailed) return
    last = new Promise((resolve) => {
      const finish = (error?: Error | null): void => {
        fail(error)
        resolve()
      }
      try {
        stream.write(text, finish)
      } catch (error) {
        finish(error instanceof Error ? error : new Error(String(error)))
      }
    })
  }
  stream.on('error', fail)
  const isTTY = stream.isTTY ?? false // undefined on a pipe
  return {
    write,
    flushed: () => last,
    isTTY,
    get columns() {
      return stream.columns || 80
    },
    colourBits: isTTY ? stream.getColorDepth() : 1,
  }
}

/** Standard input isn't touched before it is read: whoever only asks keeps no process alive. */
function streamInput(): Input {
  return {
    get isTTY() {
      return process.stdin.isTTY ?? false
    },
    read: (signal) => addAbortSignal(signal, process.stdin),
  }
}

/** 'no space left on device (ENOSPC)'; Node's own message has more around it. */
function reasonOf({ code, message }: NodeJS.ErrnoException): string {
  const [, plain = message] = /^\w+: (.*?)(?:, \w+(?: '.*)?)?$/.exec(message) ?? []
  return code ? `${plain} (${code})` : plain
}
