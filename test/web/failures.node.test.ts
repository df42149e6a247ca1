// Every failure has words of its own, and leads somewhere that isn't where it came from.

import { expect, test } from 'vitest'
import { adviceOn } from '../../web/failures.ts'
import type { LoadRequest } from '../../web/protocol.ts'

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
    'ERR_CAMERA',
    'ERR_WEIGHTS',
    'ERR_NETWORK',
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
