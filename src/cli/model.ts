// The model that the options name, ready for work.

import { openFolder, readJson } from '../io/folder.ts'
import { loadTokenizer } from '../io/tokenizer.ts'
import { type Config, parseConfig } from '../model/config.ts'
import { FlowSeg } from '../model/flowseg.ts'
import { buildPrompt, type PromptOptions } from '../model/prompt.ts'
import { QUANTIZED } from '../ops/quantize.ts'
import type { Given } from './args.ts'
import { engineOptions } from './engine.ts'
import { locationOf } from './files.ts'
import { defaultWeights } from './package.ts'
import type { ProgressLine } from './progress-line.ts'
import { painter, type Terminal } from './terminal.ts'

/** Loads the model of --weights on the adapter of --adapter, and says what should be known about it. */
export async function loadModel(given: Given, terminal: Terminal, progress: ProgressLine): Promise<FlowSeg> {
  const own = given.text('adapter') === undefined ? terminal.gpu : undefined
  const model = await FlowSeg.load(weightsLocation(given, terminal), {
    gpu: own ?? engineOptions(given, terminal),
    quantize: given.oneOf('quantize', QUANTIZED),
    onProgress: progress.on,
    signal: terminal.signal,
  })
  progress.clear()
  for (const note of model.notes) terminal.err.write(`${painter(terminal.err)('yellow', 'note')}: ${note}\n`)
  return model
}

/**
 * Refuses a sentence before anything large is loaded.
 *
 * @returns the model's config
 * @throws PromptError, or WeightsError from the model's small files
 */
export async function checkSentence(
  sentence: string,
  options: PromptOptions,
  given: Given,
  terminal: Terminal,
): Promise<Config> {
  const { signal } = terminal
  const folder = openFolder(weightsLocation(given, terminal))
  const config = parseConfig(await readJson(folder, 'config.json', signal), `${folder.describe}/config.json`)
  const tokenizer = loadTokenizer(
    await folder.readText('tokenizer.json', signal),
    await folder.readText('tokenizer_config.json', signal),
    config.llm.vocab,
  )
  buildPrompt(tokenizer, sentence, config, options)
  return config
}

/** A folder or a URL. */
export function weightsLocation(given: Given, terminal: Terminal): string {
  const weights = given.text('weights')
  return weights === undefined ? defaultWeights() : locationOf(weights, terminal)
}
