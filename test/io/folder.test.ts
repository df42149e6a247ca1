// A directory, a URL and chosen files are the same folder, and open nothing outside it.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { WeightsError } from '../../src/errors.ts'
import { type Folder, jsonIn, openFolder, readJson } from '../../src/io/folder.ts'

const contents: Record<string, string> = {
  'config.json': '{"a": [1, "größe"]}',
  'broken.json': '{"a": ',
  'empty.txt': '',
  'list.json': '- a list',
}
const notText = Uint8Array.of(0x61, 0xff, 0x62)

let directory = ''
let url = ''
const server = createServer((request, response) => {
  const address = new URL(request.url ?? '', 'http://localhost')
  const name = address.pathname.slice('/models/small/'.length)
  const allowed = address.search === '?key=1'
  const body = name === 'bytes.txt' ? notText : contents[name]
  if (!allowed) response.writeHead(403).end()
  else if (body === undefined) response.writeHead(404).end()
  else response.writeHead(200).end(body)
})

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'flowseg-'))
  for (const [name, text] of Object.entries(contents)) await writeFile(join(directory, name), text)
  await writeFile(join(directory, 'bytes.txt'), notText)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/models/small?key=1`
})
afterAll(async () => {
  await rm(directory, { recursive: true })
  await new Promise((resolve) => server.close(resolve))
})

const files = () => [
  ...Object.entries(contents).map(([name, text]) => new File([text], name)),
  new File([notText], 'bytes.txt'),
]
const kinds: [string, () => Folder][] = [
  ['a directory', () => openFolder(directory)],
  ['a file: URL', () => openFolder(pathToFileURL(directory))],
  ['a URL', () => openFolder(url, { cache: 'none' })],
  ['chosen files', () => openFolder(files())],
  ['a folder', () => openFolder(openFolder(files()))],
]

describe.each(kinds)('%s', (_, open) => {
  test('reads text and JSON', async () => {
    const folder = open()
    expect(await folder.readText('config.json')).toBe(contents['config.json'])
    expect(await folder.readText('empty.txt')).toBe('')
    expect(await readJson(folder, 'config.json')).toEqual({ a: [1, 'größe'] })
    await expect(folder.readText('bytes.txt')).rejects.toThrow(/bytes.txt.* is not UTF-8 text/)
  })

  test('names a file that is not JSON, and what to do', async () => {
    const folder = open()
    const remedy = /[^.]\. If you edited it, mend it there; else copy or download it again\.$/
    for (const name of ['broken.json', 'list.json']) {
      const refused: unknown = await readJson(folder, name).catch((error: unknown) => error)
      expect(refused).toBeInstanceOf(WeightsError)
      expect(String(refused)).toContain(`: ${name} in ${folder.describe} is not JSON: `)
      expect(String(refused)).toMatch(remedy)
    }
    await expect(readJson(folder, 'empty.txt')).rejects.toThrow(
      `empty.txt in ${folder.describe} is empty. Copy or download it again.`,
    )
  })

  test('says what is missing', async () => {
    const folder = open()
    expect(await folder.find('none.json')).toBeUndefined()
    await expect(folder.open('none.json')).rejects.toThrow(`There is no none.json in ${folder.describe}`)
    await expect(folder.readText('none.json')).rejects.toThrow(WeightsError)
  })

  test('opens plain names only', async () => {
    const folder = open()
    const tricks = [
      '../config.json',
      '..',
      '.',
      '',
      'a/b',
      'a\\b',
      '/etc/passwd',
      'C:config.json',
      'http://host/x',
    ]
    for (const name of [...tricks, ' a', 'a ', '%2e%2e', 'x?y', 'x#y', 'a\0b', '.hidden', 'x'.repeat(300)]) {
      await expect(folder.open(name), name).rejects.toThrow('is not a plain file name')
    }
  })

  test('passes an abort on untouched', async () => {
    const why = new Error('enough')
    await expect(open().readText('config.json', AbortSignal.abort(why))).rejects.toBe(why)
  })
})

test('says of a web page that it is one', () => {
  expect(() => jsonIn('<!doctype html>', 'page.json')).toThrow(
    /page\.json is not JSON: .*[^.]\. It is a web page: check the address that it was downloaded from\.$/,
  )
})

test('a folder that has files says which, and one that is not there says so', async () => {
  await expect(openFolder(directory).open('none')).rejects.toThrow(
    'which has broken.json, bytes.txt, config.json, empty.txt, list.json.',
  )
  await expect(openFolder([]).open('none')).rejects.toThrow(
    'There is no none in the chosen files, which has nothing.',
  )
  await expect(openFolder(join(directory, 'none')).open('x')).rejects.toThrow(
    /There is no folder .*none. Check the path/,
  )
  await expect(openFolder(join(directory, 'config.json')).open('x')).rejects.toThrow(
    "can't be listed as a folder",
  )
})

test('chosen files of one name', async () => {
  const folder = openFolder([new File(['1'], 'a.json'), new File(['2'], 'a.json')])
  await expect(folder.open('a.json')).rejects.toThrow('Two of the chosen files are named a.json')
})
