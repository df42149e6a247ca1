// The README's questions that the embedded weights weren't trained on run as they stand there, on small random weights
// that know every task. Weights that know sentences, as the embedded ones do, refuse each by the task that it needs.

import { expect, test, vi } from 'vitest'
import { UsageError } from '../../../src/errors.ts'
import { TASKS } from '../../../src/model/checkpoint/task-config.ts'
import { readText } from '../../runtime.ts'
import { anyGpu } from '../../support.ts'
import { picture, smallCheckpoint } from '../checkpoint/small-checkpoint.ts'
import { cleanUp, load } from '../small-model.ts'

cleanUp()

const [, section = ''] = readText('README.md').split('\n## Other questions\n')
const [, code = ''] = /^```js\n([\s\S]*?)^```$/m.exec(section.split('\n## ')[0] ?? '') ?? []
/** Each question, with the task that it needs first. */
const CALLS = [
  ['segmentRegion({ point', 'regions'],
  ['segmentRegion({ box', 'regions'],
  ['segmentCategories(', 'categories'],
  ['ask(', 'chat'],
  ['describe(', 'grounded'],
  ['explain(', 'chat'],
] as const

test('each question stands in the README once', () => {
  for (const [call] of CALLS) expect(code.split(`await scene.${call}`), call).toHaveLength(2)
  expect(code.match(/await scene\./g)).toHaveLength(CALLS.length)
})

test('they run as they stand there', async () => {
  const files = smallCheckpoint({ maxTokens: 500, positions: 1400, tasks: [...TASKS] })
  const model = await load(files, { gpu: await anyGpu() })
  const scene = await model.look(picture(160, 140))
  const log = vi.spyOn(console, 'log').mockReturnValue()
  // oxlint-disable-next-line typescript/no-implied-eval -- the text is our own README's
  const run = new Function('scene', `return (async () => {${code}; return { found, instances, why } })()`)
  const outcome = (await run(scene)) as Record<string, unknown>
  expect(outcome).toMatchObject({ found: expect.any(Boolean), instances: expect.any(Array) })
  expect(outcome['why']).toMatchObject({ prompt: expect.stringContaining('what keeps the rain off') })
  expect(log).toHaveBeenCalled()
})

test.each(CALLS)('weights that know sentences refuse %s', async (call, task) => {
  const model = await load(smallCheckpoint(), { gpu: await anyGpu() })
  const scene = await model.look(picture(160, 140))
  const line = code.split('\n').find((one) => one.includes(`await scene.${call}`))
  // oxlint-disable-next-line typescript/no-implied-eval -- the text is our own README's
  const asked = (new Function('scene', `return (async () => {${line}})()`) as (of: unknown) => Promise<void>)(
    scene,
  )
  await expect(asked).rejects.toThrow(UsageError)
  await expect(asked).rejects.toThrow(task)
})
