// The model that the options name, ready for work.

import { dirname, join } from 'node:path'
import { openFolder, readJson } from '../io/folder.ts'
import { loadTokenizer } from '../io/text/tokenizer.ts'
import { QUANTIZED } from '../kernels/quantize.ts'
import { isFolder } from '../make-folders.ts'
import { type Config, parseConfig } from '../model/checkpoint/config.ts'
import { SMALL_FILES } from '../model/checkpoint/files.ts'
import { FlowSeg, type LookOptions } from '../model/flowseg.ts'
import { buildPrompt, type PromptOptions } from '../model/input/prompt.ts'
import { expectTask } from '../model/tasks/expect-task.ts'
import { printable } from '../printable.ts'
import { type Given, type Options, SHARED } from './args.ts'
import { engineOptions } from './engine.ts'
import { isUrl, locationOf } from './files.ts'
import { compatOption, modelSource, weightsLocation } from './model-folder.ts'
import type { KeptPaths, Known } from './output/outputs.ts'
import type { ProgressLine } from './output/progress-line.ts'
import { painter, type Terminal } from './output/terminal.ts'

/** Options of the commands that ask a model something. */
export const MODEL_OPTIONS = {
  task: { value: 'KIND', help: 'referring (an object is named) or reasoning (it must be inferred)' },
  template: {
    value: 'TEXT',
    help: "the question, with {phrase} where the sentence goes; by default the model's own",
  },
  answer: {
    value: 'TEXT',
    help: "the answer that the model reads, with <SEG> in it; by default the model's own",
  },
  padding: {
    value: 'KIND',
    help: "none, the default, or grey: SigLIP's image padded to a square, as X-SAM evaluates",
  },
  compat: {
    value: 'KIND',
    help: "aaai or main: whose branch of X-SAM to follow, instead of the config's choice",
  },
  config: { value: 'FILE', help: "a config.json, or its URL, to take instead of the model's own" },
  weights: SHARED.weights,
  quantize: SHARED.quantize,
  adapter: SHARED.adapter,
  'no-tune': SHARED['no-tune'],
} as const satisfies Options

/** The way the model is asked. */
export interface AskSettings {
  /** The task and the words around a sentence; undefined where the model's own are taken. */
  readonly prompt: PromptOptions
  /** How an image is put on the encoders' squares. */
  readonly look: Pick<LookOptions, 'padding'>
}

/**
 * MODEL_OPTIONS that go with each image and sentence. Those that go with the model are checked as well, before it is
 * loaded.
 *
 * @throws UsageError naming the values that there are
 */
export function askOptions(args: Given): AskSettings {
  compatOption(args)
  args.oneOf('quantize', QUANTIZED)
  return {
    prompt: {
      task: args.oneOf('task', ['referring', 'reasoning']),
      template: args.text('template'),
      answer: args.text('answer'),
    },
    look: { padding: args.oneOf('padding', ['none', 'grey']) },
  }
}

/** Loads the model of --weights on the adapter of --adapter, and says what should be known about it. */
export async function loadModel(args: Given, terminal: Terminal, progress: ProgressLine): Promise<FlowSeg> {
  const own = args.text('adapter') === undefined ? terminal.gpu : undefined
  const model = await FlowSeg.load(modelSource(args, terminal), {
    gpu: own ?? engineOptions(args, terminal),
    quantize: args.oneOf('quantize', QUANTIZED),
    onProgress: progress.on,
    signal: terminal.signal,
  })
  progress.clear()
  for (const note of model.notes) {
    terminal.err.write(`${painter(terminal.err)('yellow', 'note')}: ${printable(note, Infinity)}\n`)
  }
  return model
}

/**
 * Refuses sentences before anything large is loaded.
 *
 * @returns the model's config
 * @throws PromptError, or WeightsError from the model's small files
 */
export async function checkSentences(
  sentences: readonly string[],
  options: PromptOptions,
  args: Given,
  terminal: Terminal,
): Promise<Config> {
  const { config, expectSentence } = await openPrompts(options, args, terminal)
  for (const sentence of sentences) expectSentence(sentence)
  return config
}

/** The parts of a model that sentences are checked by. */
export interface Prompts {
  /** The config that --config or the model has. */
  readonly config: Config
  /** @throws PromptError if the model can't be asked this */
  readonly expectSentence: (sentence: string) => void
}

/** @throws WeightsError from the model's small files, UsageError if the model wasn't trained on the task */
export async function openPrompts(options: PromptOptions, args: Given, terminal: Terminal): Promise<Prompts> {
  const { signal } = terminal
  const folder = openFolder(modelSource(args, terminal))
  const config = parseConfig(await readJson(folder, 'config.json', signal), `${folder.describe}/config.json`)
  const tokenizer = await loadTokenizer(
    await folder.readText('tokenizer.json', signal),
    await folder.readText('tokenizer_config.json', signal),
    config.llm.vocab,
    signal,
  )
  expectTask(config, options.task ?? 'referring')
  return {
    config,
    expectSentence: (sentence) => void buildPrompt(tokenizer, sentence, config, options),
  }
}

/**
 * The inputs that no output may replace: the model, unless it is on a server, its --config, and the command's own.
 *
 * @param files the command's own
 */
export function inputsOf(args: Given, terminal: Terminal, files: readonly Known[] = []): KeptPaths {
  const weights = weightsLocation(args, terminal)
  const config = args.text('config')
  const folders =
    isUrl(weights) || !isFolder(weights) ? [] : [{ path: weights, what: 'the folder of the model' }]
  const locations = [weights, ...(config === undefined ? [] : [locationOf(config, terminal)])]
  const own = locations.filter((path) => !isUrl(path) && !isFolder(path))
  // Weights that are named by their file may lie among the user's own: then the files beside it that belong to it
  const beside = own.includes(weights) ? SMALL_FILES.map((name) => join(dirname(weights), name)) : []
  return {
    folders,
    files: [...files, ...[...own, ...beside].map((path) => ({ path, what: 'a file of the model' }))],
  }
}
