// A file of the wrong kind is named as what it is, with the remedy: as weights, as a config, as a tokenizer.

import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { WeightsError } from '../../../src/errors.ts'
import { openFolder, readJson } from '../../../src/io/folder.ts'
import { openSafetensors } from '../../../src/io/safetensors.ts'
import { loadTokenizer } from '../../../src/io/text/tokenizer.ts'

const json = '{"model": "flowseg"}'
const utf16 = (text: string, ...mark: number[]) =>
  Uint8Array.from([...mark, ...Array.from(text).flatMap((letter) => [letter.charCodeAt(0), 0])])
const utf8 = (text: string) => new TextEncoder().encode(text)

const CASES: [what: string, bytes: Uint8Array<ArrayBuffer>, remedy: string][] = [
  [
    'a Git LFS pointer',
    utf8('version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n'),
    'git lfs pull',
  ],
  ['a web page', utf8('<!DOCTYPE html><html><body>Not found'), 'It is a web page'],
  ['a web page in capitals, after space', utf8('\n\n  <HTML><head>'), 'It is a web page'],
  ['a web page with a byte order mark', utf8('\ufeff<!doctype html>'), 'It is a web page'],
  ['gzip', new Uint8Array(gzipSync(json.repeat(10))), 'compressed by gzip: unpack it'],
  ['UTF-16 with a mark', utf16(json, 0xff, 0xfe), 'UTF-16 text: save it as UTF-8'],
  ['UTF-16 without one', utf16(json), 'UTF-16 text: save it as UTF-8'],
  ['zeros', new Uint8Array(100), 'zeros only'],
]

describe.each(CASES)('%s', (_, bytes, remedy) => {
  test('as a config', async () => {
    const read = readJson(openFolder([new File([bytes], 'config.json')]), 'config.json')
    await expect(read).rejects.toThrow(WeightsError)
    await expect(read).rejects.toThrow('config.json')
    await expect(read).rejects.toThrow(remedy)
  })

  test('as weights', async () => {
    const read = openSafetensors(openFolder([new File([bytes], 'model.safetensors')]))
    await expect(read).rejects.toThrow(WeightsError)
    await expect(read).rejects.toThrow(bytes.every((byte) => byte === 0) ? 'not valid JSON' : remedy)
  })
})

test('a tokenizer is told alike', async () => {
  await expect(loadTokenizer('<!doctype html>', '{}', 10)).rejects.toThrow(
    'tokenizer.json is not JSON: a value is missing at byte 0. It is a web page',
  )
  await expect(loadTokenizer(' \n', '{}', 10)).rejects.toThrow('tokenizer.json is empty')
})

test('a byte order mark before good text is no hindrance', async () => {
  const folder = openFolder([new File([`\ufeff${json}`], 'config.json')])
  expect(await readJson(folder, 'config.json')).toEqual({ model: 'flowseg' })
})
