// The model that comes with the package is found from the source in every runtime; test/package has it installed and
// bundled.

import { expect, test } from 'vitest'
import { WeightsError } from '../../../src/errors.ts'
import { EMBEDDED } from '../../../src/io/embedded.ts'
import { openFolder } from '../../../src/io/folder.ts'

test('its files are there, and no others', async () => {
  const folder = openFolder(EMBEDDED, { cache: 'none' })
  expect(JSON.parse(await folder.readText('config.json'))).toMatchObject({ name: 'flowseg-nano' })
  for (const file of ['tokenizer.json', 'tokenizer_config.json', 'manifest.json']) {
    expect(Object.keys(JSON.parse(await folder.readText(file)) as object), file).not.toEqual([])
  }
  const weights = await folder.open('model.safetensors')
  const header = new DataView((await weights.read(0, 8)).buffer).getBigUint64(0, true)
  expect(Number(header)).toBeGreaterThan(1000)
  expect(Number(header)).toBeLessThan(weights.size)
  await weights.close()

  expect(await folder.find('model.safetensors.index.json')).toBeUndefined()
  await expect(folder.open('nothing.json')).rejects.toThrow(WeightsError)
  await expect(folder.open('nothing.json')).rejects.toThrow(
    "There is no nothing.json in the model that comes with the package. Copy the package's folder weights/flowseg-nano",
  )
  await expect(folder.open('constructor')).rejects.toThrow('There is no constructor in')
  await expect(folder.open('../config.json')).rejects.toThrow('is not a plain file name')
})
