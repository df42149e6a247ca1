// Images as the command reads them: regular files only, from servers within bounds, and from standard input.

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmod, copyFile, mkdir, readFile, symlink, truncate, writeFile } from 'node:fs/promises'
import { createServer, type RequestListener } from 'node:http'
import { createServer as createSocket } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { download, expectReadable, imagePlace, readImage } from '../../../src/cli/image-files.ts'
import type { Output, Terminal } from '../../../src/cli/output/terminal.ts'
import type { Image } from '../../../src/io/image/image.ts'
import { notAsRoot, onlyOnLinux } from '../../where.ts'
import { flowseg, ROOT, temporaryFolder } from '../cli-harness.ts'

const EXAMPLE = join(ROOT, 'examples/scene.png')
const bytes = await readFile(EXAMPLE)
const sample = hashOf(await readImage(imagePlace(EXAMPLE, { cwd: ROOT }), terminalIn(ROOT)))

// ---- Files

test('a file by its path, by its address, and through a link', async () => {
  const cwd = await temporaryFolder()
  await copyFile(EXAMPLE, join(cwd, 'a b.png'))
  await symlink('a b.png', join(cwd, 'link.png'))
  const terminal = terminalIn(cwd)
  for (const name of ['a b.png', 'link.png', `file://${cwd}/a%20b.png`]) {
    const place = imagePlace(name, { cwd })
    await expectReadable(place)
    expect(hashOf(await readImage(place, terminal))).toBe(sample)
  }
})

test.skipIf(onlyOnLinux).each([
  [
    'pipe',
    'pipe is a FIFO (a pipe), which is not opened; a regular file is needed. To pipe an image in, give - instead.',
  ],
  ['link', 'link is a FIFO'],
  ['socket', 'socket is a socket'],
  ['/dev/zero', '/dev/zero is a device'],
  ['/dev/stdin', 'file is needed'],
  ['folder', 'folder is a folder; a file is needed.'],
  ['gone', 'There is no image gone. Check the path.'],
  ['*.png', 'There is no image *.png. No file matches this pattern.'],
  ['large', 'large has 536870913 bytes; such a file may have 536870912.'],
  ['\x1b[2Jgone\n', 'There is no image \\e[2Jgone\\n. Check the path.'],
  ['x'.repeat(5000), "can't be read: ENAMETOOLONG: name too long."],
])(`%s is refused at once, before and while it is read${onlyOnLinux}`, async (name, message) => {
  const cwd = await temporaryFolder()
  await mkdir(join(cwd, 'folder'))
  expect(spawnSync('mkfifo', [join(cwd, 'pipe')]).status).toBe(0)
  await symlink('pipe', join(cwd, 'link'))
  await writeFile(join(cwd, 'large'), '')
  await truncate(join(cwd, 'large'), 2 ** 29 + 1)
  const socket = createSocket().listen(join(cwd, 'socket'))
  onTestFinished(() => void socket.close())

  const place = imagePlace(name, { cwd })
  const error = expect.objectContaining({ code: 'ERR_IMAGE', message: expect.stringContaining(message) })
  await expect(expectReadable(place)).rejects.toEqual(error)
  await expect(readImage(place, terminalIn(cwd))).rejects.toEqual(error)
  const { code, out, err } = await flowseg(['segment', name, 'the cat'], { cwd })
  expect([code, out]).toEqual([1, ''])
  expect(err).toContain(message)
})

test.each([[''], [' ']])('an empty path (%j) is no folder', async (name) => {
  const { code, out, err } = await flowseg(['segment', name, 'the cat'], { cwd: ROOT })
  expect([code, out]).toEqual([2, ''])
  expect(err).toContain('The path of an image is empty.')
})

test.skipIf(notAsRoot)(`a file that may not be read${notAsRoot}`, async () => {
  const cwd = await temporaryFolder()
  await copyFile(EXAMPLE, join(cwd, 'a.png'))
  await chmod(join(cwd, 'a.png'), 0)
  await expect(expectReadable(imagePlace('a.png', { cwd }))).rejects.toThrow("a.png can't be read: EACCES")
})

// ---- Standard input

test('an image is piped in as -', async () => {
  expect(hashOf(await readImage(imagePlace('-', { cwd: ROOT }), terminalIn(ROOT, bytes)))).toBe(sample)
  for (const [input, message] of [
    [new Uint8Array(), 'standard input is empty: 0 bytes'],
    [bytes.subarray(0, 3000), 'standard input is cut short'],
    [undefined, 'There is no image on standard input: pipe one in'],
  ] as const) {
    const { err } = await flowseg(['segment', '-', 'the cat'], { cwd: ROOT, ...(input && { input }) })
    expect(err).toContain(message)
  }
})

// ---- Addresses

test('an image from a server, whatever type it claims, and by a redirect', async () => {
  const address = await serve((request, response) => {
    if (request.url === '/old.png') response.writeHead(302, { location: '/new.png' }).end()
    else response.writeHead(200, { 'content-type': 'text/plain' }).end(bytes)
  })
  for (const path of ['/a.png', '/old.png', '/no-name?size=2']) {
    const image = await readImage(imagePlace(address + path, { cwd: ROOT }), terminalIn(ROOT))
    expect(hashOf(image)).toBe(sample)
  }
})

test.each<[string, RequestListener, string]>([
  ['404', (_, response) => void response.writeHead(404).end('<p>no'), 'the server answers 404 Not Found.'],
  ['a page', (_, response) => void response.end('<!doctype html>'), 'is a web page or an SVG'],
  ['nothing', (_, response) => void response.end(), 'is empty: 0 bytes'],
  [
    'a size out of reason',
    (_, response) => void response.writeHead(200, { 'content-length': 2 ** 40 }).write('x'),
    'has 1099511627776 bytes; such a file may have 536870912.',
  ],
  [
    'less than it said',
    (_, response) => {
      response.writeHead(200, { 'content-length': bytes.length })
      response.write(bytes.subarray(0, 1000), () => response.destroy())
    },
    "can't be downloaded: ",
  ],
  [
    'the client in a circle',
    (_, response) => void response.writeHead(302, { location: '/a.png' }).end(),
    'the server redirects in a circle',
  ],
  [
    'no time',
    (_, response) => void response.writeHead(503).end(),
    'answers 503 Service Unavailable. Try again',
  ],
  [
    'an escape sequence',
    (_, response) => void response.socket?.end('HTTP/1.1 500 a\x1b[2Jb\r\n\r\n'),
    ': the server answers 500 a\\e[2Jb.',
  ],
])('a server that sends %s', async (_, answer, message) => {
  const address = await serve(answer)
  const { code, out, err } = await flowseg(['segment', `${address}/a.png`, 'the cat'], { cwd: ROOT })
  expect([code, out]).toEqual([1, ''])
  expect(err).toMatch(/^flowseg: http:\/\/127\.0\.0\.1:\d+\/a\.png/)
  expect(err).toContain(message)
  expect(err.trimEnd()).not.toMatch(/[^ -~]|fault of ours/)
})

test('a server that falls silent is given up, one that is slow is not', async () => {
  const silent = await serve((_, response) => void response.writeHead(200).write(bytes.subarray(0, 1000)))
  const mute = await serve(() => undefined)
  const signal = new AbortController().signal
  for (const address of [silent, mute]) {
    await expect(download(imagePlace(`${address}/a.png`, { cwd: ROOT }), { signal }, 100)).rejects.toThrow(
      `${address}/a.png: the server sent nothing for 0.1 seconds.`,
    )
  }

  const slow = await serve((_, response) => {
    let at = 0
    const timer = setInterval(() => {
      response.write(bytes.subarray(at, (at += 2000)))
      if (at < bytes.length) return
      clearInterval(timer)
      response.end()
    }, 30)
  })
  const downloaded = await download(imagePlace(`${slow}/a.png`, { cwd: ROOT }), { signal }, 1000)
  expect(Buffer.from(downloaded).equals(bytes)).toBe(true)
})

test('a download is given up at Ctrl-C', async () => {
  const mute = await serve(() => undefined)
  const stop = new AbortController()
  setTimeout(() => stop.abort(), 50)
  const line = ['segment', `${mute}/a.png`, 'the cat', '--json']
  const { code, out } = await flowseg(line, { cwd: ROOT, signal: stop.signal })
  expect(code).toBe(130)
  expect(JSON.parse(out)).toEqual({ error: { code: 'ERR_INTERRUPTED', message: 'interrupted' } })
})

test('a server that is not there', async () => {
  const { code, err } = await flowseg(['segment', 'https://nowhere.invalid/a.png', 'the cat'], { cwd: ROOT })
  expect(code).toBe(1)
  expect(err).toMatch(
    /^flowseg: https:\/\/nowhere\.invalid\/a\.png can't be downloaded: .*\. Check the address/,
  )
})

// ---------------------------------------------------------------------------------------------------------

/** Vitest takes seconds to compare the pixels one by one. */
function hashOf({ width, height, rgb }: Image): string {
  return `${width} x ${height} ${createHash('sha256').update(rgb).digest('hex')}`
}

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  const address = server.address()
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
}

function terminalIn(cwd: string, input?: Uint8Array): Terminal {
  const output: Output = { write: () => undefined, isTTY: false, columns: 80, colourBits: 1 }
  async function* read(): AsyncGenerator<Uint8Array> {
    if (input) yield input
  }
  const { signal } = new AbortController()
  return { in: { isTTY: input === undefined, read }, out: output, err: output, cwd, env: {}, signal }
}
