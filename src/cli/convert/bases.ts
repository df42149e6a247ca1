// `flowseg convert --siglip PLACE --sam PLACE --llm PLACE` reads three published models, which it puts together
// as one that is yet to be trained.

import { UsageError, WeightsError } from '../../errors.ts'
import type { Checkpoint } from '../../io/checkpoint/checkpoint.ts'
import { type Folder, readJson, readText } from '../../io/folder.ts'
import { sha256Hex } from '../../io/sha256.ts'
import { extendTokenizer, FLOWSEG_TOKENS, loadTokenizer } from '../../io/text/tokenizer.ts'
import { type Config, parseConfig } from '../../model/checkpoint/config.ts'
import { parameters } from '../../model/checkpoint/parameters.ts'
import { assemble } from '../../model/convert/assemble.ts'
import { BASES, type Base, llmSizes, samSizes, siglipSizes } from '../../model/convert/base-config.ts'
import { fingerprintOf } from '../../model/convert/fingerprint.ts'
import { firstOf, printable } from '../../printable.ts'
import type { Given } from '../args.ts'
import { locationOf } from '../files.ts'
import { grouped, type Terminal } from '../output/terminal.ts'
import { bytesToCome } from './download.ts'
import {
  CONFIG,
  chosenConfig,
  knownModels,
  type Original,
  openSource,
  type TokenizerTexts,
  tokenizerTexts,
} from './source.ts'

/** The largest seed: 32 bits. */
const MOST_SEED = 2 ** 32 - 1
/** The file that holds the chat template in newer repositories. */
const TEMPLATE = 'chat_template.jinja'

/** The folder, address or repository of each base model, as the user named it. */
export type BasePlaces = Readonly<Record<Base, string>>

/**
 * The places of the base models; undefined where none is given.
 *
 * @throws UsageError unless all are given or none, and a seed with them
 */
export function basePlaces(options: Given): BasePlaces | undefined {
  const missing = BASES.filter((base) => !options.has(base))
  if (missing.length === BASES.length && !options.has('seed')) return undefined
  if (missing.length > 0) {
    throw new UsageError(
      `flowseg convert: a model is put together from --siglip PLACE, --sam PLACE and --llm PLACE; ` +
        `--${missing.join(' and --')} ${missing.length === 1 ? 'is' : 'are'} missing.`,
    )
  }
  const place = (base: Base): string => options.text(base) ?? ''
  return { siglip: place('siglip'), sam: place('sam'), llm: place('llm') }
}

type Opened = Readonly<Record<Base, { readonly folder: Folder; readonly checkpoint: Checkpoint }>>

/**
 * Opens the base models as one checkpoint, with a head from --seed.
 *
 * @throws WeightsError naming the base and the first thing of it that doesn't fit
 */
export async function openBases(places: BasePlaces, options: Given, terminal: Terminal): Promise<Original> {
  const { signal } = terminal
  const seed = options.number('seed', 0, MOST_SEED) ?? 0
  const opened = await openAll(places, terminal)
  const checkpoints = {
    siglip: opened.siglip.checkpoint,
    sam: opened.sam.checkpoint,
    llm: opened.llm.checkpoint,
  }
  const close = async (): Promise<void> => {
    await Promise.all(Object.values(checkpoints).map((checkpoint) => checkpoint.close()))
  }
  try {
    // 1. Sizes: those of the bases, and of a head that is given or usual
    const texts = await tokenizerTexts(opened.llm.folder, options, terminal)
    const extended = await extendTokenizer(texts.vocabulary)
    await loadTokenizer(extended.json, texts.settings, extended.length, signal)
    const sizes = await sizesOf(opened, extended.length, signal)
    const chosen = await chosenConfig(options, terminal)
    if (chosen) expectSizes(chosen.config, chosen.name, sizes, places)
    const config =
      chosen?.config ?? (await usualConfig(sizes, await chatOf(sizes, opened.llm.folder, texts, signal)))

    // 2. Tensors
    const checkpoint = assemble(checkpoints, config, seed)
    const prints: string[] = []
    for (const base of BASES) prints.push(await fingerprintOf(checkpoints[base], signal))
    return {
      checkpoint,
      config,
      configText: chosen?.text,
      tokenizer: { vocabulary: extended.json, settings: texts.settings },
      source: `${sha256Hex(prints.join())} seed=${seed}`,
      get notes() {
        const servers = Object.values(opened).flatMap(({ folder }) => folder.notes ?? [])
        return [...notesOn(checkpoint, config, seed), ...new Set(servers)]
      },
      bytesToCome: async (entries) => {
        const componentOf = new Map(parameters(config).map(({ name, component }) => [name, component]))
        const bytes = BASES.map((base) =>
          bytesToCome(
            locationOf(places[base], terminal),
            entries.filter(({ name }) => componentOf.get(name) === base),
          ),
        )
        return (await Promise.all(bytes)).reduce((sum, own) => sum + own, 0)
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

async function openAll(places: BasePlaces, terminal: Terminal): Promise<Opened> {
  const opened: [Base, Opened[Base]][] = []
  try {
    for (const base of BASES) {
      opened.push([base, await openSource(locationOf(places[base], terminal), terminal.signal)])
    }
    return Object.fromEntries(opened) as Opened
  } catch (error) {
    await Promise.all(opened.map(([, { checkpoint }]) => checkpoint.close()))
    throw error
  }
}

type Sizes = Pick<Config, Base>

async function sizesOf(opened: Opened, vocab: number, signal: AbortSignal): Promise<Sizes> {
  const read = async (base: Base): Promise<readonly [json: unknown, file: string]> => {
    const { folder } = opened[base]
    return [await readJson(folder, CONFIG, signal), `${folder.describe}/${CONFIG}`]
  }
  return {
    siglip: siglipSizes(...(await read('siglip'))),
    sam: samSizes(...(await read('sam'))),
    llm: llmSizes(...(await read('llm')), vocab),
  }
}

/** The config of a model of these sizes whose head is that of the packaged ones with such a language model. */
async function usualConfig(sizes: Sizes, chat: Config['prompt']['chat']): Promise<Config> {
  const known = await knownModels()
  const like = known.find(({ llm }) => llm.type === sizes.llm.type)
  const name = `flowseg-${sizes.llm.type}-untrained`
  return parseConfig(
    { ...like, ...sizes, name, prompt: { ...like?.prompt, chat } },
    `the ${CONFIG} of ${name}`,
  )
}

/** Qwen3 models that can think are told not to, and their template says whether they can. */
async function chatOf(
  { llm }: Sizes,
  folder: Folder,
  { settings }: TokenizerTexts,
  signal: AbortSignal,
): Promise<Config['prompt']['chat']> {
  if (llm.type === 'phi3') return 'phi3'
  const file = await folder.find(TEMPLATE, signal)
  const template = file ? await readText(file, signal) : settings
  return template.includes('enable_thinking') ? 'qwen3-no-think' : 'qwen3'
}

/**
 * Checks that the user's config has the sizes of the bases. Its sequences may be shorter, and the taps of SAM are its
 * own.
 */
function expectSizes(config: Config, name: string, sizes: Sizes, places: BasePlaces): void {
  for (const base of BASES) {
    const asked = new Map(Object.entries<unknown>({ ...config[base] }))
    for (const [key, value] of Object.entries<unknown>({ ...sizes[base] })) {
      const own = asked.get(key)
      const isFree = key === 'connectorLayers' || key === 'llmLayer'
      const isShorter = key === 'maxPositions' && Number(own) <= Number(value)
      if (isFree || isShorter || JSON.stringify(own) === JSON.stringify(value)) continue
      throw new WeightsError(
        `${printable(name)}: ${base}.${key} is ${printable(JSON.stringify(own), 80)}, and ${printable(places[base])} makes it ` +
          `${printable(JSON.stringify(value), 80)}.`,
      )
    }
  }
}

function notesOn(
  { drawn, padding, foreign, notes = [] }: ReturnType<typeof assemble>,
  { prompt, llm }: Config,
  seed: number,
): string[] {
  const tokens = FLOWSEG_TOKENS.join(', ')
  return [
    ...notes,
    `The head is untrained: its ${grouped(drawn)} parameters are drawn from seed ${seed}, and so are the embeddings of ${tokens}.`,
    ...(padding > 0 ? [`Left out ${grouped(padding)} rows of the embedding, which belong to no token.`] : []),
    `The prompt is that of ${prompt.chat}, with ${grouped(llm.vocab)} tokens.`,
    ...(foreign.length > 0
      ? [`Left out ${grouped(foreign.length)} tensors of the base models: ${firstOf(foreign, 2)}.`]
      : []),
  ]
}
