// Progress on one line of a terminal, gone when the work is done. Piped, nothing is written; with
// FLOWSEG_DEBUG, a line for each new step.

import { printable } from '../../printable.ts'
import type { Progress, Waiting } from '../../progress.ts'
import { painter, type Terminal } from './terminal.ts'
import { cut } from './width.ts'

const REDRAW_MS = 60
const BAR = 20
const WAITING = {
  busy: 'server busy',
  silent: 'server silent',
  failed: 'no connection',
  scenes: 'too many open scenes',
} as const satisfies Record<Waiting['reason'], string>
const EIGHTHS = ' ▏▎▍▌▋▊▉'

/** A line on standard error that is redrawn as work goes on. */
export class ProgressLine {
  readonly #terminal: Terminal
  #drawnAt = -Infinity
  #isShown = false
  #step = ''

  constructor(terminal: Terminal) {
    this.#terminal = terminal
  }

  /** Takes progress, as an `onProgress`. */
  readonly on = ({ phase, what, loaded, total, waiting }: Progress): void => {
    if (waiting) this.#drawnAt = -Infinity // shown for as long as it lasts
    // The number first: a narrow terminal cuts the rest
    const words = waiting ? `retry in ${waiting.seconds} s: ${WAITING[waiting.reason]}` : what
    this.show(phase, total > 0 ? loaded / total : 0, words)
  }

  /** Redraws the line, every 60 ms at most. @param share of the phase that is done, from 0 to 1 */
  show(phase: string, share: number, what: string): void {
    const { err, env } = this.#terminal
    if (!err.isTTY) {
      if (env['FLOWSEG_DEBUG'] && this.#step !== phase) err.write(`progress: ${phase} ${printable(what)}\n`)
      this.#step = phase
      return
    }
    const now = performance.now()
    if (now - this.#drawnAt < REDRAW_MS && share < 1) return
    this.#drawnAt = now
    const paint = painter(err)
    const percent = `${Math.floor(100 * share)} %`.padStart(5)
    const room = err.columns - BAR - phase.length - percent.length - 6
    const label = cut(printable(what), room)
    err.write(
      `\r\x1b[K${paint('bold', phase)}  ${paint('cyan', bar(share))} ${percent}  ${paint('dim', label)}`,
    )
    this.#isShown = true
  }

  /** Before anything else is written. */
  clear(): void {
    if (this.#isShown) this.#terminal.err.write('\r\x1b[K')
    this.#isShown = false
    this.#drawnAt = -Infinity
  }
}

/** A bar of 20 cells, filled to an eighth of a cell. */
function bar(share: number): string {
  const eighths = Math.round(Math.min(1, Math.max(0, share)) * BAR * 8)
  const whole = Math.floor(eighths / 8)
  const rest = eighths % 8
  return ('█'.repeat(whole) + (rest > 0 ? EIGHTHS[rest] : '')).padEnd(BAR, '·')
}
