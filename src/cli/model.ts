// The model that the options name, ready for work.

import { resolve } from 'node:path'
import { FlowSeg } from '../model/flowseg.ts'
import type { Given } from './args.ts'
import { defaultWeights } from './package.ts'
import type { ProgressLine } from './progress-line.ts'
import { painter, type Terminal } from './terminal.ts'

/** Loads the model of --weights on the adapter of --adapter, and says what should be known about it. */
export async function loadModel(given: Given, terminal: Terminal, progress: ProgressLine): Promise<FlowSeg> {
  const adapter = given.text('adapter')
  const model = await FlowSeg.load(weightsLocation(given, terminal), {
    ...(adapter === undefined ? {} : { gpu: { adapter } }),
    onProgress: progress.on,
    signal: terminal.signal,
  })
  progress.clear()
  for (const note of model.notes) terminal.err.write(`${painter(terminal.err)('yellow', 'note')}: ${note}\n`)
  return model
}

/** A folder or a URL. */
export function weightsLocation(given: Given, { cwd }: Terminal): string {
  const weights = given.text('weights')
  if (weights === undefined) return defaultWeights()
  return /^(https?|file):/i.test(weights) ? weights : resolve(cwd, weights)
}
