// The times of an answer, as commands print them.

import type { Times } from '../../model/flowseg.ts'

/** The steps of an answer in milliseconds, as the command prints them. */
export function timesText({ look, read, segment }: Times): string {
  return `look ${ms(look)}, read ${ms(read)}, segment ${ms(segment)}`
}

/** '8.2 ms', '120 ms' */
export function ms(value: number): string {
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`
}
