// The files of a model: small ones that say what it is, and the weights, opened but not read.

import type { Checkpoint } from '../../io/checkpoint/checkpoint.ts'
import { type Folder, openAll, readJson, readText } from '../../io/folder.ts'
import type { Download } from '../../io/http/download.ts'
import { withManifest } from '../../io/manifest.ts'
import { openCheckpoint } from '../../io/open-checkpoint.ts'
import type { Tokenizer } from '../../io/text/tokenizer.ts'
import { type Config, parseConfig } from './config.ts'

/** The files of a model beside its weights. */
export const SMALL_FILES = ['config.json', 'tokenizer.json', 'tokenizer_config.json'] as const

/** The files of a model, read or opened. */
export interface ModelFiles {
  /** The contents of config.json, checked by themselves: the checkpoint is compared with them later. */
  readonly config: Config
  /** The tokenizer of tokenizer.json and tokenizer_config.json. */
  readonly tokenizer: Tokenizer
  /** The checkpoint, which the caller closes. */
  readonly checkpoint: Checkpoint
}

/**
 * Opens all files before the large ones are read, so that a download's total is known.
 *
 * @throws WeightsError naming the file and what is wrong with it
 */
export async function openModel(
  place: Folder,
  { download, signal }: { download: Download; signal?: AbortSignal | undefined },
): Promise<ModelFiles> {
  const library = import('../../io/text/tokenizer.ts')
  library.catch(() => undefined) // told below
  const folder = await withManifest(place, signal)
  const config = parseConfig(await readJson(folder, 'config.json', signal), `${folder.describe}/config.json`)
  const texts = await openAll(folder, ['tokenizer.json', 'tokenizer_config.json'], signal)
  let checkpoint: Checkpoint | undefined
  try {
    const onOpen = (): void => download.begin(folder.describe)
    checkpoint = await openCheckpoint(folder, { signal, onOpen })
    const [vocabulary = '', settings = ''] = await Promise.all(texts.map((text) => readText(text, signal)))
    // A chunk of its own, a tenth of what a page loads: it comes while files are opened
    const { loadTokenizer } = await library
    const tokenizer = await loadTokenizer(vocabulary, settings, config.llm.vocab, signal)
    return { config, checkpoint, tokenizer }
  } catch (error) {
    await checkpoint?.close()
    await Promise.all(texts.map((text) => text.close()))
    throw error
  }
}
