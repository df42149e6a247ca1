// One task at a time: calls on scenes before looks, each in the order of asking, whatever becomes of the others. Who
// gives up or is closed leaves at once; what frees comes after the task that runs.

import { expect, test } from 'vitest'
import { type Lane, Queue } from '../../src/async/queue.ts'

const moment = (ms = 1) => new Promise<void>((done) => setTimeout(done, ms))

/** A queue that writes down which tasks went in and out. */
function recorded() {
  const queue = new Queue()
  const seen: string[] = []
  let inside = 0
  const ask = (name: string, lane: Lane = 'look', more: object = {}): Promise<string> =>
    queue.run({ lane, ...more }, async () => {
      expect(++inside).toBe(1)
      seen.push(name)
      await moment()
      inside--
      if (name.endsWith('!')) throw new Error(name)
      return name
    })
  return { queue, seen, ask }
}

test('tasks take turns, and one that fails stops none', async () => {
  const { queue, seen, ask } = recorded()
  const all = ['a', 'b!', 'c'].map((name) => ask(name))
  expect(queue.pending).toBe(3)
  expect(await Promise.allSettled(all)).toMatchObject([
    { value: 'a' },
    { reason: new Error('b!') },
    { value: 'c' },
  ])
  expect(queue.pending).toBe(0)
  expect(await ask('d')).toBe('d')
  // A task that throws before its first await is no different
  await expect(
    queue.run({ lane: 'look' }, () => {
      throw new Error('at once')
    }),
  ).rejects.toThrow('at once')
  expect(await ask('e')).toBe('e')
  expect(seen).toEqual(['a', 'b!', 'c', 'd', 'e'])
})

test('an idle queue begins at once', () => {
  for (const lane of ['look', 'scene'] as const) {
    let begun = false
    void new Queue().run({ lane }, async () => {
      begun = true
    })
    expect(begun).toBe(true)
  }
})

test('calls on scenes go before looks, each in the order of asking', async () => {
  const { seen, ask } = recorded()
  await Promise.all([
    ask('look 1'),
    ask('look 2'),
    ask('scene 1', 'scene'),
    ask('look 3'),
    ask('scene 2', 'scene'),
    ask('scene 3', 'scene'),
  ])
  expect(seen).toEqual(['look 1', 'scene 1', 'scene 2', 'scene 3', 'look 2', 'look 3'])
})

test('whoever got a scene asks it before the next look begins', async () => {
  const { seen, ask } = recorded()
  const request = async (n: number): Promise<void> => {
    await ask(`look ${n}`)
    for (let i = 0; i < 20; i++) await Promise.resolve() // between a look and its sentence lie some promises
    await ask(`scene ${n}`, 'scene')
  }
  await Promise.all([1, 2, 3].map(request))
  expect(seen).toEqual([1, 2, 3].flatMap((n) => [`look ${n}`, `scene ${n}`]))
})

test('an endless stream on one scene lets looks in now and then', async () => {
  const { seen, ask } = recorded()
  const over = new AbortController()
  const stream = async (): Promise<void> => {
    while (!over.signal.aborted) await ask('scene', 'scene')
  }
  const streams = Promise.all([stream(), stream()]) // one waits at any time
  await ask('look 1')
  await ask('look 2')
  over.abort()
  await streams
  const [first, second] = [seen.indexOf('look 1'), seen.indexOf('look 2')]
  expect(first).toBeGreaterThan(30)
  expect(first).toBeLessThan(40)
  expect(second - first).toBeGreaterThan(30)
})

test('whoever gives up leaves at once, and the rest goes on', async () => {
  const { queue, seen, ask } = recorded()
  const reason = new Error('enough')
  const controller = new AbortController()
  const first = ask('first')
  const tasks = [
    ask('a', 'scene', { signal: controller.signal }),
    ask('b', 'look', { signal: controller.signal }),
  ]
  const last = ask('last')
  controller.abort(reason)
  expect(await Promise.allSettled(tasks)).toEqual(tasks.map(() => ({ status: 'rejected', reason })))
  expect([queue.pending, seen]).toEqual([2, ['first']])
  await Promise.all([first, last])
  expect(seen).toEqual(['first', 'last'])
  await expect(ask('late', 'look', { signal: controller.signal })).rejects.toBe(reason)

  // A task that runs looks at the signal itself
  await moment()
  const running = new AbortController()
  const task = ask('running', 'look', { signal: running.signal })
  running.abort(reason)
  expect(await task).toBe('running')
})

test('closing drops what waits: of one scene, or all', async () => {
  const { queue, seen, ask } = recorded()
  const [mine, yours] = [{}, {}]
  const running = ask('running', 'scene', { owner: mine })
  const dropped = ask('mine', 'scene', { owner: mine })
  const stays = ask('yours', 'scene', { owner: yours })
  queue.drop('closed', mine)
  await expect(dropped).rejects.toBe('closed')
  expect(await Promise.all([running, stays])).toEqual(['running', 'yours'])

  await moment()
  const last = ask('last')
  const others = Promise.allSettled([ask('x'), ask('y', 'scene', { owner: yours })])
  queue.drop('all closed')
  expect(await others).toMatchObject([{ reason: 'all closed' }, { reason: 'all closed' }])
  expect(await last).toBe('last')
  expect(seen).toEqual(['running', 'yours', 'last'])
})

test('freeing happens at once if nothing runs, else after the task that does', async () => {
  const { queue, seen, ask } = recorded()
  queue.afterwards(() => seen.push('freed at once'))
  const both = [ask('a'), ask('b')]
  queue.afterwards(() => seen.push('freed'))
  await Promise.all(both)
  expect(seen).toEqual(['freed at once', 'a', 'freed', 'b'])
})

test('a look that is held begins when it may: asked again after each task, by a nudge, and in time', async () => {
  const { queue, ask } = recorded()
  let isFree = false
  const asked: boolean[] = []
  const held = (ms: number) => ({
    hold: (alone: boolean) => {
      asked.push(alone)
      return isFree ? 0 : ms
    },
  })
  const look = ask('held', 'look', held(1e6))
  expect(asked).toEqual([true])
  expect(await ask('scene', 'scene')).toBe('scene') // which isn't held up
  await moment(5)
  expect(queue.pending).toBe(1)
  expect(asked.length).toBeGreaterThan(1)
  isFree = true
  queue.wake()
  expect(await look).toBe('held')

  isFree = false
  await moment()
  const later = ask('later', 'look', held(3))
  expect(asked.at(-1)).toBe(true) // nobody else is there
  const behind = ask('behind it', 'look')
  expect(asked.at(-1)).toBe(false)
  setTimeout(() => {
    isFree = true
  }, 10)
  expect(await Promise.all([later, behind])).toEqual(['later', 'behind it'])

  // One that can't begin is refused, and holds up none
  const hold = (): number => {
    throw new Error('never')
  }
  const refused = ask('refused', 'look', { hold })
  const next = ask('next')
  await expect(refused).rejects.toThrow('never')
  expect(await next).toBe('next')
})
