// Progress: a line on the canvas with a bar and a button to cancel, and the same in words for screen readers.

import { megabytes } from '../common/format.ts'
import type { Step } from '../common/protocol.ts'
import { byId } from './dom.ts'

const box = byId('progress')
const bar = byId('progress-bar', HTMLProgressElement)
const text = byId('progress-text')
const cancel = byId('progress-cancel', HTMLButtonElement)
const status = byId('status')

/** A piece of work whose progress is shown until it ends. */
export interface ProgressLine {
  readonly step: (step: Step) => void
  readonly end: () => void
}

interface Line {
  readonly what: string
  readonly onCancel: (() => void) | undefined
  step: Step | undefined
}

/** The tasks under way, the latest last: that one is shown, and then the one before it again. */
let lines: Line[] = []
let frame = 0
cancel.addEventListener('click', () => lines.at(-1)?.onCancel?.())

/** @param onCancel absent where stopping makes no sense */
export function showProgress(what: string, onCancel?: () => void): ProgressLine {
  const line: Line = { what, onCancel, step: undefined }
  lines.push(line)
  say(what)
  draw()
  return {
    step: (step) => {
      line.step = step
      // Steps come faster than anybody reads
      if (line === lines.at(-1)) frame ||= requestAnimationFrame(draw)
    },
    end: () => {
      lines = lines.filter((other) => other !== line)
      draw()
    },
  }
}

function draw(): void {
  cancelAnimationFrame(frame)
  frame = 0
  const line = lines.at(-1)
  box.hidden = !line
  if (!line) return
  const { what, step } = line
  cancel.hidden = !line.onCancel
  text.textContent = step ? wordsFor(step, what) : what
  if (step && step.total > 0) bar.value = step.loaded / step.total
  else bar.removeAttribute('value')
}

/** To those who listen. */
export function say(words: string): void {
  status.textContent = words
}

function obstacle(reason: NonNullable<Step['waiting']>['reason']): string {
  switch (reason) {
    case 'busy':
      return 'The server has no time'
    case 'silent':
      return 'The server is silent'
    case 'failed':
      return 'The connection failed'
    default: // scenes
      return 'Other images are being worked on'
  }
}

function wordsFor({ phase, loaded, total, waiting }: Step, what: string): string {
  if (waiting) return `${obstacle(waiting.reason)}: trying again in ${waiting.seconds} s`
  switch (phase) {
    case 'download':
      return `Downloading, ${megabytes(loaded)} of ${megabytes(total)}`
    case 'upload':
      return `Loading the weights, ${megabytes(loaded)} of ${megabytes(total)}`
    case 'compile':
      return `Compiling kernels, ${loaded} of ${total}`
    default:
      return what
  }
}
