// Checkpoints of true size that take no room: a header, and a hole where the values would be.

import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { outlineFile } from '../../../src/io/safetensors-writer.ts'
import { type Config, parseConfig } from '../../../src/model/checkpoint/config.ts'
import { type Parameter, parameters } from '../../../src/model/checkpoint/parameters.ts'

/** One of the packaged configs: 'flowseg-phi3'. */
export async function packagedConfig(name: string): Promise<Config> {
  const file = `weights/configs/${name}.json`
  return parseConfig(JSON.parse(await readFile(file, 'utf8')), file)
}

/** Writes model.safetensors with the tensors of a model in bf16, all zero; `nameOf` leaves out those without a name. */
export async function writeSparse(
  folder: string,
  config: Config,
  nameOf: (parameter: Parameter) => string | undefined,
): Promise<void> {
  const tensors = parameters(config).flatMap((parameter) => {
    const name = nameOf(parameter)
    return name === undefined ? [] : [{ name, dtype: 'BF16' as const, shape: parameter.shape }]
  })
  const outline = outlineFile(tensors, {}, false)
  const file = await open(join(folder, 'model.safetensors'), 'w')
  await file.write(outline.header())
  await file.truncate(outline.size)
  await file.close()
}

/** As X-SAM's AAAI branch publishes it: no flow, and older names. */
export function nameInXsam({ name, flow }: Parameter): string | undefined {
  if (flow) return undefined
  return name
    .replace(/^vision_encoder\./, 'visual_encoder.')
    .replace('segmentor.class_predictor.logit_scale', 'segmentor.logit_scale')
}
