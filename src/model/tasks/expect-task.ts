// A checkpoint can be asked what it was trained on: each task needs training of its own.

import { UsageError } from '../../errors.ts'
import { printable } from '../../printable.ts'
import type { Config } from '../checkpoint/config.ts'
import type { TaskName } from '../checkpoint/task-config.ts'

/** The questions of each task, for messages. */
const WHAT: Readonly<Record<TaskName, string>> = {
  referring: 'phrases that name an object',
  reasoning: 'sentences from which an object must be inferred',
  categories: 'lists of categories',
  regions: 'regions that the user points at',
  chat: 'questions that are answered in words',
  grounded: 'descriptions whose phrases have masks',
}

/**
 * Refuses what a checkpoint wasn't trained on: its answer would mean nothing.
 *
 * @throws UsageError naming the task and the field of config.json
 */
export function expectTask({ name, tasks }: Pick<Config, 'name' | 'tasks'>, task: TaskName): void {
  if (tasks.includes(task)) return
  throw new UsageError(
    `${printable(name)} was not trained on ${WHAT[task]}: the \`tasks\` of its config.json are ${tasks.join(', ')}. ` +
      `Load a checkpoint that knows '${task}'; or, if this one does, add it there.`,
  )
}
