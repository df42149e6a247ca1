// The page answers while the model computes in a worker: no task on the page's thread takes long.
//
// The limit is 50 ms where times are recorded, with nothing else on the machine. Elsewhere other work may hold the page
// up, on cores that a software adapter computes on; a model on the page's thread would hold it up for seconds.

import { expect } from 'vitest'
import type { LongTask, Person } from './person.ts'

const LIMIT = process.env['FLOWSEG_RECORD'] ? 50 : 500

export function tooLong(tasks: readonly LongTask[]): LongTask[] {
  return tasks.filter(({ duration }) => duration > LIMIT)
}

/**
 * Does something, and once more if the page was held up: what the page itself takes long for, it takes long for again.
 */
export async function smoothly(me: Person, act: (attempt: number) => Promise<void>): Promise<void> {
  const attempt = async (index: number): Promise<LongTask[]> => {
    await me.longTasks() // those of before
    await act(index)
    return tooLong(await me.longTasks())
  }
  if ((await attempt(0)).length > 0) {
    expect(await attempt(1), `tasks of more than ${LIMIT} ms on the page, twice`).toEqual([])
  }
}
