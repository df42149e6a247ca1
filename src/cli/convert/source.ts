// `flowseg convert` reads of a checkpoint its tensors, which model they are, and the tokenizer of its language
// model.

import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { WeightsError } from '../../errors.ts'
import type { Checkpoint } from '../../io/checkpoint/checkpoint.ts'
import { type Folder, openFolder, readJson } from '../../io/folder.ts'
import { withManifest } from '../../io/manifest.ts'
import { openCheckpoint } from '../../io/open-checkpoint.ts'
import type { TensorEntry } from '../../io/safetensors.ts'
import { loadTokenizer } from '../../io/text/tokenizer.ts'
import { isFolder } from '../../make-folders.ts'
import { type Config, parseConfig } from '../../model/checkpoint/config.ts'
import { fingerprintOf, haveSameValues } from '../../model/convert/fingerprint.ts'
import { isLibraryConfig, type LanguageBase } from '../../model/convert/language-base.ts'
import { type Recognized, recognize, withoutClaims } from '../../model/convert/recognize.ts'
import { viewOf } from '../../model/convert/view.ts'
import { printable } from '../../printable.ts'
import type { Given } from '../args.ts'
import { isUrl, locationOf, splitLocation } from '../files.ts'
import { grouped, type Terminal } from '../output/terminal.ts'
import { defaultWeights, packagePath } from '../package.ts'
import { bytesToCome } from './download.ts'

/** The config of a model, beside its weights. */
export const CONFIG = 'config.json'
/** The files of a tokenizer. */
export const [VOCABULARY, SETTINGS] = ['tokenizer.json', 'tokenizer_config.json'] as const
const EMBEDDING = 'llm.model.embed_tokens.weight'

/** A checkpoint that is converted. */
export interface Original {
  /** Its tensors, under our names. */
  readonly checkpoint: Checkpoint
  /** The checkpoint's own config, or that of the model which its tensors are recognised as. */
  readonly config: Config
  /** The text that the config was read from. */
  readonly configText?: string | undefined
  /** The texts that are written beside the weights. */
  readonly tokenizer: TokenizerTexts
  /** Its fingerprint: no other checkpoint has it. */
  readonly source: string
  /** Notes for the user, in sentences. Notes about servers are complete only after all bytes were read. */
  readonly notes: readonly string[]
  /** Bytes of these tensors that must still be downloaded. */
  bytesToCome(entries: readonly TensorEntry[]): Promise<number>
  /** Closes the checkpoint's files. */
  close(): Promise<void>
}

/** The texts of a tokenizer's two files. */
export interface TokenizerTexts {
  /** The text of tokenizer.json. */
  readonly vocabulary: string
  /** The text of tokenizer_config.json. */
  readonly settings: string
}

/**
 * Opens a checkpoint and finds out which model it is.
 *
 * @throws WeightsError if it is none that is known, or its tokenizer is another's
 */
export async function openOriginal(location: string, options: Given, terminal: Terminal): Promise<Original> {
  const { signal } = terminal
  const { folder, checkpoint: original } = await openSource(location, signal)
  try {
    const known = await knownModels()
    const own = await ownConfig(folder, options, terminal)
    const checkpoint = viewOf(original, own.config ? [own.config] : known)
    const model = own.config
      ? {
          config: own.config,
          notes: [`The model is ${printable(own.config.name)}, by ${printable(own.name)}.`],
        }
      : await recognizeValues(checkpoint, known, own.base, signal)
    const { config } = model
    const [recognized = ''] = model.notes
    const tokenizer = await tokenizerTexts(folder, options, terminal, recognized)
    await expectTokenizer(tokenizer, config, recognized, checkpoint.tensors.get(EMBEDDING), signal)
    const prefix =
      checkpoint.prefix === undefined
        ? []
        : [`Every name began with ${printable(checkpoint.prefix)}: it is left out.`]
    const source = await fingerprintOf(checkpoint, signal)
    const notes = [...model.notes, ...prefix]
    return {
      checkpoint,
      config,
      configText: own.text,
      tokenizer,
      source,
      get notes() {
        return [...notes, ...(folder.notes ?? [])]
      },
      bytesToCome: (entries) => bytesToCome(location, entries),
      close: () => original.close(),
    }
  } catch (error) {
    await original.close()
    throw error
  }
}

/** The checkpoint of a place, and the folder that its small files are in. */
export async function openSource(
  location: string,
  signal: AbortSignal,
): Promise<{ folder: Folder; checkpoint: Checkpoint }> {
  // A file on disk may have any name
  const isFile = !isUrl(location) && !isFolder(location)
  const { folder: parent, name } = isFile ? splitLocation(location) : { folder: location }
  const folder = await withManifest(openFolder(parent), signal)
  return { folder, checkpoint: await openCheckpoint(folder, { signal, file: name }) }
}

/** The models whose configs come with the package. */
export async function knownModels(): Promise<Config[]> {
  const configs = packagePath('weights', 'configs')
  const names = (await readdir(configs)).filter((name) => name.endsWith('.json')).sort()
  const paths = [...names.map((name) => join(configs, name)), join(defaultWeights(), CONFIG)]
  return Promise.all(paths.map(async (path) => parseConfig(JSON.parse(await readFile(path, 'utf8')), path)))
}

/** The model that has these tensors; it knows what its config says only if their values are the packaged ones, too. */
async function recognizeValues(
  checkpoint: Checkpoint,
  known: readonly Config[],
  base: LanguageBase | undefined,
  signal: AbortSignal,
): Promise<Recognized> {
  const model = recognize(checkpoint, known, base)
  const modest = withoutClaims(model)
  if (modest.config === model.config) return model
  const packaged = await openCheckpoint(openFolder(defaultWeights()), { signal })
  try {
    return (await haveSameValues(checkpoint, packaged, signal)) ? model : modest
  } finally {
    await packaged.close()
  }
}

/** The config of --config. */
export async function chosenConfig(
  options: Given,
  terminal: Terminal,
): Promise<{ readonly name: string; readonly config: Config; readonly text: string } | undefined> {
  const { signal } = terminal
  const file = options.text('config')
  if (file === undefined) return undefined
  const { folder: parent, name } = splitLocation(locationOf(file, terminal))
  const text = await openFolder(parent).readText(name, signal)
  return { name: file, config: parseConfig(await readJson(openFolder(parent), name, signal), file), text }
}

/** A config of ours, with its text; or that of the language model, which lies beside weights as well. */
interface OwnConfig {
  readonly name: string
  readonly config?: Config
  readonly text?: string
  readonly base?: LanguageBase
}

async function ownConfig(folder: Folder, options: Given, terminal: Terminal): Promise<OwnConfig> {
  const { signal } = terminal
  const chosen = await chosenConfig(options, terminal)
  if (chosen) return chosen
  const places = [
    folder,
    ...(options.text('tokenizer') === undefined ? [] : [tokenizerFolder(folder, options, terminal)]),
  ]
  for (const from of places) {
    const source = await from.find(CONFIG, signal)
    await source?.close()
    if (!source) continue
    const json = await readJson(from, CONFIG, signal)
    const name = `${from.describe}/${CONFIG}`
    if (isLibraryConfig(json)) return { name, base: { json, file: name } }
    if (from !== folder) continue
    return { name, config: parseConfig(json, name), text: await folder.readText(CONFIG, signal) }
  }
  return { name: '' }
}

function tokenizerFolder(folder: Folder, options: Given, terminal: Terminal): Folder {
  const place = options.text('tokenizer')
  return place === undefined ? folder : openFolder(locationOf(place, terminal))
}

/**
 * The files of a tokenizer, as they are: in this folder, or by --tokenizer.
 *
 * @param recognized which model was found, in a sentence for messages
 * @throws WeightsError if there are none
 */
export async function tokenizerTexts(
  folder: Folder,
  options: Given,
  terminal: Terminal,
  recognized = '',
): Promise<TokenizerTexts> {
  const { signal } = terminal
  const from = tokenizerFolder(folder, options, terminal)
  const source = await from.find(VOCABULARY, signal)
  await source?.close()
  if (!source && options.text('tokenizer') === undefined) {
    throw new WeightsError(
      `There is no ${VOCABULARY} in ${printable(from.describe)}. ${recognized && `${recognized} `}Give the folder of the language model's tokenizer: ` +
        '--tokenizer DIR, or its place on Hugging Face: --tokenizer hf:owner/name.',
    )
  }
  return {
    vocabulary: await from.readText(VOCABULARY, signal),
    settings: await from.readText(SETTINGS, signal),
  }
}

/**
 * Checks that the embedding has rows for all ids, and that <SEG>, <p> and </p> get the ids that the model was trained
 * with.
 */
async function expectTokenizer(
  { vocabulary, settings }: TokenizerTexts,
  config: Config,
  recognized: string,
  embedding: TensorEntry | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { vocab } = config.llm
  // One that is missing is named with all that is
  const [rows = vocab] = embedding?.shape ?? []
  if (rows < vocab) {
    throw new WeightsError(
      `The embedding has ${grouped(rows)} rows, and ${printable(config.name)} has ${grouped(vocab)} tokens, the last three ` +
        'of them <SEG>, <p> and </p>.',
    )
  }
  try {
    await loadTokenizer(vocabulary, settings, vocab, signal)
  } catch (cause) {
    if (!(cause instanceof WeightsError)) throw cause
    throw new WeightsError(`${cause.message} ${recognized}`, { cause })
  }
}
