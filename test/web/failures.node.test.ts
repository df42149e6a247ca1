// Every failure has words of its own, and leads somewhere that isn't where it came from.

import { expect, test } from 'vitest'
import { WeightsError } from '../../src/errors.ts'
import { adviceOn, failureOf } from '../../web/common/failures.ts'
import type { LoadRequest } from '../../web/common/protocol.ts'

const EMBEDDED: LoadRequest = { place: { kind: 'embedded' } }
const OWN: LoadRequest = { place: { kind: 'url', url: 'https://some.where/' } }

const advice = (code: string, wanted = EMBEDDED, hasWebGpu = true) =>
  adviceOn({ name: 'Error', code, message: 'What happened.' }, { hasWebGpu, wanted })

test('each kind of failure has a title of its own and a way on', () => {
  const codes = [
    'ERR_NO_ADAPTER',
    'ERR_DEVICE_LOST',
    'ERR_OUT_OF_MEMORY',
    'ERR_LIMIT',
    'ERR_PAGE_MEMORY',
    'ERR_IMAGE',
    'ERR_LINK',
    'ERR_DROP',
    'ERR_CAMERA',
    'ERR_WEIGHTS',
    'ERR_NETWORK',
    'ERR_BROKEN_OFF',
    'ERR_WORKER',
    'ERR_OF_A_KIND_THAT_NOBODY_KNOWS',
  ]
  const titles = codes.map((code) => advice(code).title)
  expect(new Set(titles).size).toBe(codes.length)
  for (const code of codes) expect(advice(code).ways, code).not.toHaveLength(0)
  expect(titles).not.toContain(advice('ERR_NO_ADAPTER', EMBEDDED, false).title)
})

test('what asks less of the device is offered until nothing does', () => {
  expect(advice('ERR_OUT_OF_MEMORY', OWN).ways).toEqual(['int4', 'embedded'])
  expect(advice('ERR_OUT_OF_MEMORY', { ...OWN, quantize: 'int4' }).ways).toEqual(['embedded'])
  expect(advice('ERR_LIMIT', EMBEDDED).ways).toEqual(['int4'])
  expect(advice('ERR_LIMIT', { ...EMBEDDED, quantize: 'int4' }).ways).toEqual(['retry', 'reload'])
})

test('weights that did not come are no damaged weights', () => {
  const unreachable = new WeightsError('It is far away.', { cause: new TypeError('Failed to fetch') })
  expect(failureOf(unreachable).code).toBe('ERR_NETWORK')
  expect(failureOf(new WeightsError('More.', { cause: unreachable })).code).toBe('ERR_NETWORK')
  expect(failureOf(new WeightsError('It is short.')).code).toBe('ERR_WEIGHTS')
  expect(advice('ERR_WEIGHTS', OWN).ways).toContain('retry')
  expect(advice('ERR_WEIGHTS').title).not.toBe(advice('ERR_WEIGHTS', OWN).title)
})

test('an address that is misspelt leads back to where it was written', () => {
  expect(advice('ERR_USAGE', OWN).ways).toEqual(['weights'])
  expect(advice('ERR_USAGE', OWN).title).not.toBe(advice('ERR_USAGE').title)
})

test('a photo of a kind that no decoder here reads is told apart from one that is damaged', () => {
  const heic = adviceOn(
    { name: 'ImageError', code: 'ERR_IMAGE', message: 'a.heic is a HEIC photo.' },
    { hasWebGpu: true, wanted: EMBEDDED },
  )
  expect(heic.title).not.toBe(advice('ERR_IMAGE').title)
  expect(heic.text).toContain('JPEG')
})
