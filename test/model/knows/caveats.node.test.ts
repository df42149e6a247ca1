// The fields that tell, with an answer, what the checkpoint knows: each where the config says something of it.

import { expect, test } from 'vitest'
import type { KnowsConfig } from '../../../src/model/checkpoint/task-config.ts'
import { caveatFields } from '../../../src/model/knows/caveats.ts'

const knows: KnowsConfig = { words: [], examples: [] }
const world = { distance: 6.31, threshold: 2.2, isKnown: false }
const caveats = { world, unknownWords: ['mug'] }

test('a config that says nothing of it gives no fields', () => {
  expect(caveatFields({}, caveats)).toEqual({})
})

test('words are told where the checkpoint lists its own, and none are unknown too', () => {
  const listing = { knows: { ...knows, words: ['leaf'] } }
  expect(caveatFields({ knows }, caveats)).toEqual({ world })
  expect(caveatFields(listing, caveats)).toEqual({ world, unknownWords: ['mug'] })
  expect(caveatFields(listing, { world: undefined, unknownWords: [] })).toEqual({ unknownWords: [] })
  expect(caveatFields(listing, { world: undefined })).toEqual({})
})

test('the domain and the examples go together, each if there is one', () => {
  const none = { world: undefined }
  expect(caveatFields({ knows: { ...knows, domain: 'leaves' } }, none)).toEqual({
    knows: { domain: 'leaves', examples: [] },
  })
  expect(caveatFields({ knows: { ...knows, examples: ['the leaf'] } }, none)).toEqual({
    knows: { examples: ['the leaf'] },
  })
})
