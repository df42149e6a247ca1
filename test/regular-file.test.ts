// Regular files are opened, through links too; a FIFO, a device, a socket and a folder are refused at once, by whatever
// reads them.

import { spawnSync } from 'node:child_process'
import { appendFile, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { imagePlace, readImage } from '../src/cli/image-files.ts'
import { ImageError, WeightsError } from '../src/errors.ts'
import { openFolder } from '../src/io/folder.ts'
import { openSafetensors } from '../src/io/safetensors.ts'
import { fileSource } from '../src/io/source.ts'
import { openRegular, readRegular } from '../src/regular-file.ts'
import { readDataset } from '../src/scenes/dataset.ts'
import { flowseg } from './e2e/cli-harness.ts'
import { notOnWindows } from './where.ts'

let folder = ''
const server = createServer()
const at = (name: string): string => join(folder, name)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'flowseg-files-'))
  await writeFile(at('regular.png'), 'abc')
  await symlink(at('regular.png'), at('link.png'))
  await symlink(at('loop.png'), at('loop.png'))
  spawnSync('mkfifo', [at('pipe.png'), at('model.safetensors'), at('scenes.json'), at('config.json')])
  await symlink(at('pipe.png'), at('link-to-pipe.png'))
  await symlink('/dev/zero', at('zeros.png'))
  await new Promise<void>((resolve) => server.listen(at('socket.png'), resolve))
})
afterAll(async () => {
  server.close()
  await rm(folder, { recursive: true })
})

const SPECIAL: [name: string, why: RegExp][] = [
  ['pipe.png', /is a FIFO \(a pipe\), which is not opened; a regular file is needed/],
  ['link-to-pipe.png', /is a FIFO/],
  ['zeros.png', /is a device/],
  ['socket.png', /is a socket/],
  ['.', /is a folder; a file is needed/],
  ['loop.png', /can't be read: ELOOP/],
]

describe.skipIf(notOnWindows)(`a file that is not regular${notOnWindows}`, () => {
  test.each(SPECIAL)('%s', async (name, why) => {
    await expect(openRegular(at(name))).rejects.toThrow(why)
    await expect(readRegular(at(name), 1000)).rejects.toThrow(why)
    await expect(fileSource(at(name))).rejects.toThrow(WeightsError)
    await expect(fileSource(at(name))).rejects.toThrow(why)
    const terminal = { cwd: folder } as Parameters<typeof readImage>[1]
    const place = imagePlace(name, terminal)
    await expect(readImage(place, terminal)).rejects.toThrow(ImageError)
    await expect(readImage(place, terminal)).rejects.toThrow(why)
  })

  test('among weights, configs and scenes', async () => {
    await expect(openSafetensors(openFolder(folder))).rejects.toThrow('model.safetensors is a FIFO')
    await expect(openFolder(folder).readText('config.json')).rejects.toThrow('config.json is a FIFO')
    await expect(readDataset(folder).next()).rejects.toThrow('scenes.json is a FIFO')
    const named = await flowseg(['inspect', 'pipe.png'], { cwd: folder })
    expect(named).toMatchObject({ code: 1, err: expect.stringContaining('is a FIFO') })
    const device = await flowseg(['inspect', '/dev/zero'], { cwd: folder })
    expect(device).toMatchObject({ code: 1, err: expect.stringContaining('/dev/zero is a device') })
  })
})

test('a link to a regular file is one, and what is not there is said to be missing', async () => {
  expect(new TextDecoder().decode(await readRegular(at('link.png'), 3))).toBe('abc')
  await expect(readRegular(at('none'), 3)).rejects.toMatchObject({ kind: 'missing' })
  await expect(readRegular(join(at('regular.png'), 'none'), 3)).rejects.toMatchObject({ kind: 'missing' })
})

test('no more is read than there may be, or was when it was opened', async () => {
  await expect(readRegular(at('regular.png'), 2)).rejects.toThrow('has 3 bytes; such a file may have 2')
  const growing = await fileSource(at('regular.png'))
  await appendFile(at('regular.png'), 'x'.repeat(1000))
  expect(growing.size).toBe(3)
  await expect(growing.read(0, 4)).rejects.toThrow('the file has 3')
  await growing.close()
  // It says that it has no bytes, and has some
  if (process.platform === 'linux') expect(await readRegular('/proc/self/status', 10)).toHaveLength(0)
})
