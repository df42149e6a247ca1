// A Blob of a file on disk that has changed since can't be read, and that is no fault of the image.

import { openAsBlob } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { ImageError } from '../../../src/errors.ts'
import { encodePng } from '../../../src/io/image/image.ts'
import { captureImage } from '../../../src/model/input/image-input.ts'
import { openPicture } from '../../../web/pixels/decode.ts'
import { anyGpu } from '../../support.ts'
import { noise } from './pixels.ts'

const folder = await mkdtemp(join(tmpdir(), 'flowseg-changed-'))
afterAll(() => rm(folder, { recursive: true, force: true }))

test('a file that was overwritten', async () => {
  const path = join(folder, 'picture.png')
  await writeFile(path, encodePng({ width: 9, height: 9, rgb: noise(9, 9) }))
  const blob = await openAsBlob(path)
  const gpu = await anyGpu()
  expect(await captureImage(blob, gpu).open()).toMatchObject({ width: 9, height: 9 })

  const captured = captureImage(blob, gpu)
  await writeFile(path, 'something else, and longer'.repeat(99))
  const opening = captured.open()
  await expect(opening).rejects.toBeInstanceOf(ImageError)
  await expect(opening).rejects.toThrow(/^The Blob can't be read \(.*\): choose the file again\./)

  // What the studio shows
  Object.assign(globalThis, { createImageBitmap: () => Promise.reject(new Error('no bitmaps here')) })
  const picture = openPicture(blob, 'picture.png')
  await expect(picture).rejects.toBeInstanceOf(ImageError)
  await expect(picture).rejects.toThrow(/^picture\.png can't be read \(.*\): choose the file again\./)
})
