// The README's question that the embedded weights weren't trained on runs as it stands there, on small random weights
// that know every task. Weights that know sentences alone refuse each question by the task that it needs.

import { expect, test, vi } from 'vitest'
import { UsageError } from '../../../src/errors.ts'
import { TASKS } from '../../../src/model/checkpoint/task-config.ts'
import { readText } from '../../runtime.ts'
import { anyGpu } from '../../support.ts'
import { picture, smallCheckpoint } from '../checkpoint/small-checkpoint.ts'
import { cleanUp, load } from '../small-model.ts'

cleanUp()

const [, rest = ''] = readText('README.md').split('\n## Other questions\n')
const [section = ''] = rest.split('\n## ')
const blockOf = (language: string): string => {
  const [, code = ''] = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'm').exec(section) ?? []
  return code
}
/** The embedded weights answer the first (test/package/readme.test.ts). */
const [embedded, others] = [blockOf('ts'), blockOf('js')]
const code = `${embedded}${others}`
/** Each question, with the task that it needs first. */
const CALLS = [
  ['segmentRegion({ point', 'regions'],
  ['segmentRegion({ mask', 'regions'],
  ['segmentCategories(', 'categories'],
  ['ask(', 'chat'],
  ['describe(', 'grounded'],
  ['explain(', 'chat'],
] as const

test('each question stands in the README once', () => {
  for (const [call] of CALLS) expect(code.split(`await scene.${call}`), call).toHaveLength(2)
  const sentences = code.match(/await scene\.segment(Each)?\(/g) ?? []
  expect(code.match(/await scene\./g)).toHaveLength(CALLS.length + sentences.length)
})

test('weights that know every task explain as it stands there', async () => {
  const files = smallCheckpoint({ maxTokens: 500, positions: 1400, tasks: [...TASKS] })
  const model = await load(files, { gpu: await anyGpu() })
  const scene = await model.look(picture(160, 140))
  const log = vi.spyOn(console, 'log').mockReturnValue()
  // oxlint-disable-next-line typescript/no-implied-eval -- the text is our own README's
  const run = new Function('scene', `return (async () => {${others}; return { text, phrases } })()`)
  const outcome = (await run(scene)) as Record<string, unknown>
  expect(outcome).toMatchObject({ text: expect.any(String), phrases: expect.any(Array) })
  expect(log).toHaveBeenCalled()
})

test.each(CALLS)('weights that know sentences refuse %s', async (call, task) => {
  const model = await load(smallCheckpoint(), { gpu: await anyGpu() })
  const scene = await model.look(picture(160, 140))
  const line = code.split('\n').find((one) => one.includes(`await scene.${call}`))
  // oxlint-disable-next-line typescript/no-implied-eval -- the text is our own README's
  const ask = new Function('scene', 'mask', `return (async () => {${line}})()`) as (
    ...of: unknown[]
  ) => Promise<void>
  const asked = ask(scene, { width: 160, height: 140, data: new Uint8Array(160 * 140).fill(1) })
  await expect(asked).rejects.toThrow(UsageError)
  await expect(asked).rejects.toThrow(task)
})
