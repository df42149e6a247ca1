// A task that a checkpoint wasn't trained on is refused, by the field of its config.

import { expect, test } from 'vitest'
import { UsageError } from '../../../src/errors.ts'
import { TASKS } from '../../../src/model/checkpoint/task-config.ts'
import { expectTask } from '../../../src/model/tasks/expect-task.ts'

test.each(TASKS)('a checkpoint that knows only %s', (known) => {
  const config = { name: 'mine', tasks: [known] }
  for (const task of TASKS) {
    const ask = () => expectTask(config, task)
    if (task === known) expect(ask()).toBeUndefined()
    else {
      expect(ask).toThrow(UsageError)
      expect(ask).toThrow(new RegExp(`^mine was not trained on .*\\btasks\\b.* are ${known}\\. .*'${task}'`))
    }
  }
})
