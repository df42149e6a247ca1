// `flowseg eval --exif ignore` takes JPEGs of own data as their files store them, as X-SAM's evaluation does.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { expect, test } from 'vitest'
import { encodePng } from '../../../src/io/image/image.ts'
import { flowseg, temporaryFolder } from '../cli-harness.ts'

test('a photograph that EXIF turns goes with a mask that was drawn on its pixels as stored', async () => {
  const cwd = await temporaryFolder()
  const raw = { width: 64, height: 48, channels: 3 as const }
  const pixels = new Uint8Array(raw.width * raw.height * 3)
  const jpeg = await sharp(pixels, { raw }).jpeg().withMetadata({ orientation: 6 }).toBuffer()
  await writeFile(join(cwd, 'turned.jpg'), jpeg)
  const grey = new Uint8Array(raw.width * raw.height).fill(1)
  await writeFile(join(cwd, 'mask.png'), encodePng({ width: raw.width, height: raw.height, grey }))
  const line = { image: 'turned.jpg', sentence: 'the star', mask: 'mask.png' }
  await writeFile(join(cwd, 'own.jsonl'), JSON.stringify(line))

  const args = ['eval', 'own.jsonl', '--adapter', 'nothing']
  for (const exif of [[], ['--exif', 'upright']]) {
    const { code, err } = await flowseg([...args, ...exif], { cwd })
    expect([code, err]).toEqual([
      1,
      expect.stringContaining('turned.jpg has 48 x 64 pixels, and the mask 64 x 48'),
    ])
  }
  // All is checked before the adapter is looked for
  const stored = await flowseg([...args, '--exif', 'ignore'], { cwd })
  expect(stored.err).toContain('nothing')
  expect(stored.err).not.toContain('pixels')
})

test('--exif is refused where there are no photographs, and other values are', async () => {
  const cwd = await temporaryFolder()
  const scenes = await flowseg(['eval', '--exif', 'ignore'], { cwd })
  expect([scenes.code, scenes.err]).toEqual([2, expect.stringContaining('--exif is for photographs')])
  const merge = await flowseg(['eval', '--merge', 'a', '--exif', 'ignore'], { cwd })
  expect([merge.code, merge.err]).toEqual([2, expect.stringContaining("--exif doesn't go with --merge")])
  const asks = await flowseg(['eval', '--asks', '--exif', 'ignore'], { cwd })
  expect([asks.code, asks.err]).toEqual([2, expect.stringContaining("--exif doesn't go with --asks")])
  expect((await flowseg(['eval', 'x.jsonl', '--exif', 'left'], { cwd })).code).toBe(2)
})
