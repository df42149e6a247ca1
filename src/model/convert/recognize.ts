// Recognises the model of a checkpoint by the names and shapes of its tensors.

import { WeightsError } from '../../errors.ts'
import type { Checkpoint } from '../../io/safetensors.ts'
import { printable } from '../../printable.ts'
import type { Config } from '../checkpoint/config.ts'
import { type Fit, fitOf } from '../checkpoint/fit.ts'
import { PRESENCE } from '../checkpoint/task-config.ts'
import { type LanguageBase, withBase } from './language-base.ts'

/** A model that was recognised, and by what. */
export interface Recognized {
  /** Its config. */
  readonly config: Config
  /** Notes for the user on what was recognised, in sentences. */
  readonly notes: readonly string[]
}

/**
 * Finds the model whose tensors these are.
 *
 * @param models those that are known
 * @param base   the config.json of the language model that it was made of, if there is one: the base of its rotary
 *               angles shows in no shape
 * @throws WeightsError naming the model that comes closest, and the first difference; or the key of `base` that
 *   contradicts what was recognised
 */
export function recognize(
  checkpoint: Pick<Checkpoint, 'name' | 'tensors' | 'metadata'>,
  models: readonly Config[],
  base?: LanguageBase,
): Recognized {
  const fits = models.map((config) => ({ config, fit: fitOf(checkpoint, config) }))
  const match = fits.find(({ fit }) => faultsOf(fit) === 0)
  if (!match) throw unlike(checkpoint, fits)
  const { fit } = match
  const compat = fit.baseline ? compatOf(checkpoint) : undefined
  const { config, notes } = base ? withBase(match.config, base) : { config: match.config, notes: [] }
  return {
    config: { ...config, ...(compat && { compat }) },
    notes: [
      `By its names and shapes it is ${printable(config.name)}, ${fit.baseline ? 'without' : 'with'} the semantic flow.`,
      ...(compat
        ? [
            `Its names are those of X-SAM's ${compat === 'aaai' ? 'AAAI' : 'main'} branch: compat is ${compat}.`,
          ]
        : []),
      ...notes,
    ],
  }
}

/**
 * A recognised model whose tensors have other values than those that the config was written for: without what was
 * measured on those, the words and images that they know and the thresholds of presence.
 */
export function withoutClaims({ config, notes }: Recognized): Recognized {
  const { knows, presence, ...rest } = config
  if (!knows && presence.threshold === PRESENCE.threshold && presence.all === PRESENCE.all)
    return { config, notes }
  return {
    config: { ...rest, presence: PRESENCE },
    notes: [
      ...notes,
      `Its values are not those of the packaged ${printable(config.name)}: the words that it knows (knows) and its thresholds ` +
        `(presence) are left out of the config, as they belong to those. X-SAM's thresholds are taken.`,
    ],
  }
}

function faultsOf({ missing, misfits }: Fit): number {
  return missing.length + misfits.length
}

function unlike(
  { name, tensors }: Pick<Checkpoint, 'name' | 'tensors'>,
  fits: readonly { readonly config: Config; readonly fit: Fit }[],
): WeightsError {
  const [closest] = fits.toSorted((a, b) => faultsOf(a.fit) - faultsOf(b.fit))
  const names = fits.map(({ config }) => printable(config.name)).join(', ')
  const remedy = 'Give its config with --config, or put it beside the weights as config.json.'
  if (!closest || closest.fit.used.every(({ entry }) => entry === undefined)) {
    return new WeightsError(
      `${printable(name)}: none of its ${tensors.size} tensors is one of ${names}. ${remedy}`,
    )
  }
  const { config, fit } = closest
  const [misfit] = fit.misfits
  const difference = misfit ? misfit.text : `There is no ${printable(fit.missing[0] ?? '')}.`
  const more = faultsOf(fit) > 1 ? ` ${faultsOf(fit) - 1} more of its tensors differ.` : ''
  return new WeightsError(
    `${printable(name)} is none of ${names}. It comes closest to ${printable(config.name)}. The first difference: ` +
      `${difference}${more} ${remedy}`,
  )
}

/** The branch of X-SAM that wrote these names; undefined if both might have. */
function compatOf({ tensors }: Pick<Checkpoint, 'tensors'>): Config['compat'] | undefined {
  const names = [...tensors.keys()]
  if (names.some((name) => name.startsWith('visual_encoder.')) || tensors.has('segmentor.logit_scale'))
    return 'aaai'
  return tensors.has('segmentor.class_predictor.logit_scale') ? 'main' : undefined
}
