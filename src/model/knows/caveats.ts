// The caveats of an answer, which follow from what the checkpoint knows, as fields of an account in JSON: the command
// prints them with --json, and the studio saves them.

import { describe, expectNames, tagOf } from '../../check.ts'
import { UsageError } from '../../errors.ts'
import type { Config } from '../checkpoint/config.ts'
import type { KnowsConfig } from '../checkpoint/task-config.ts'
import type { ImageWorld } from './world.ts'

/** An answer, as far as it tells what the checkpoint doesn't know. */
export interface Caveats {
  /** The scene's `world`. */
  readonly world: ImageWorld | undefined
  /** The answer's `unknownWords`; none of a question without words, such as a region. */
  readonly unknownWords?: readonly string[] | undefined
}

/** Fields of an account of an answer; those that the checkpoint says nothing of are absent. */
export interface CaveatFields {
  /** Words of the question that the checkpoint doesn't know, if it lists its words. */
  readonly unknownWords?: readonly string[]
  /** The image's distance from those of training, if the checkpoint measures it. */
  readonly world?: ImageWorld
  /** The checkpoint's domain, if it names it, and examples of what it can be asked. */
  readonly knows?: Pick<KnowsConfig, 'domain' | 'examples'>
}

/**
 * An answer's caveats as fields for an account in JSON, as `flowseg segment --json` has them: of a checkpoint whose
 * config has no section `knows` there are none.
 *
 * @param config   the model's config
 * @param caveats  the scene's world, and the answer's unknown words
 * @throws UsageError for what is no config, or a caveat that doesn't exist
 */
export function caveatFields(config: Pick<Config, 'knows'>, caveats: Caveats): CaveatFields {
  if (tagOf(config) !== 'Object')
    throw new UsageError(`caveatFields: the config is ${describe(config)}, expected a model's config.`)
  expectNames('caveatFields', caveats, ['world', 'unknownWords'])
  const { knows } = config
  const { world, unknownWords } = caveats
  if (!knows) return {}
  const { domain, examples, words } = knows
  return {
    ...(unknownWords && words.length > 0 && { unknownWords }),
    ...(world && { world }),
    ...((domain !== undefined || examples.length > 0) && {
      knows: { ...(domain !== undefined && { domain }), examples },
    }),
  }
}
