// The table in docs/quantized.md of what groups would give int8 is what tools/quantize/int8-groups.mjs measures.

import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { readText } from '../runtime.ts'

test('the errors of int8 per row and per group in docs/quantized.md are those that the tool measures', () => {
  const { stdout } = spawnSync(process.execPath, ['tools/quantize/int8-groups.mjs'], { encoding: 'utf8' })
  const [, ...lines] = stdout.trim().split('\n')
  expect(lines).toHaveLength(4)
  const text = readText('docs/quantized.md')
  for (const line of lines) expect(text).toContain(`| ${line.split(' | ').slice(1).join(' | ')} |`)
})
