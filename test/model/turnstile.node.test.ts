// One task at a time, in the order of asking, whatever becomes of the others; what frees comes last.

import { expect, test } from 'vitest'
import { Turnstile } from '../../src/model/turnstile.ts'

test('tasks take turns, and one that fails stops none', async () => {
  const turn = new Turnstile()
  const seen: string[] = []
  const task = (name: string) => async (): Promise<string> => {
    seen.push(`${name} in`)
    await new Promise((done) => setTimeout(done, 1))
    seen.push(`${name} out`)
    if (name === 'b') throw new Error('b failed')
    return name
  }
  const all = ['a', 'b', 'c'].map((name) => turn.take(task(name)))
  turn.afterwards(() => seen.push('freed'))
  expect(await Promise.allSettled(all)).toMatchObject([
    { value: 'a' },
    { reason: new Error('b failed') },
    { value: 'c' },
  ])
  await turn.take(task('d'))
  const both = (name: string) => [`${name} in`, `${name} out`]
  expect(seen).toEqual([...both('a'), ...both('b'), ...both('c'), 'freed', ...both('d')])
})

test('with nobody inside, freeing happens at once', () => {
  let freed = false
  new Turnstile().afterwards(() => {
    freed = true
  })
  expect(freed).toBe(true)
})
