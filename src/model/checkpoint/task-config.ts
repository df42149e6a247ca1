// The tasks that a checkpoint was trained on, and the few numbers that they need.

import { MOST, type Section } from './config-section.ts'

/** A task, which is a kind of question. A checkpoint can be asked those that it was trained on. */
export type TaskName = 'referring' | 'reasoning' | 'categories' | 'regions' | 'chat' | 'grounded'

/** All of them. */
export const TASKS: readonly TaskName[] = [
  'referring',
  'reasoning',
  'categories',
  'regions',
  'chat',
  'grounded',
]

/** The rows that stand for a region in a prompt. */
export interface RegionConfig {
  /** Rows of the language model for each region. */
  readonly rows: 1 | 64
  /** Their values: maxima over all points, or means over as many points as make the rows. */
  readonly pool: 'max' | 'mean'
  /** Places of a region where the image's rows are sampled. */
  readonly points: number
}

/** The thresholds by which an object counts as found; scores are in [0, 1]. */
export interface PresenceConfig {
  /** The least score of an answer that is there. */
  readonly threshold: number
  /** The least score of each object where all are asked for. */
  readonly all: number
}

/**
 * The images and words that a checkpoint was trained on. Users see them before they ask, and answers mark what is
 * outside of them.
 */
export interface KnowsConfig {
  /** The images that it was trained on, in a sentence. */
  readonly domain?: string
  /** Lower-case words that it was trained on; empty if the file lists none. */
  readonly words: readonly string[]
  /** Sentences that it can be asked. */
  readonly examples: readonly string[]
  /** The measure of how far an image is from those of training. */
  readonly world?: WorldConfig
}

/**
 * An image's distance from those of training is measured along the main axes of their features. The mean, the axes and
 * the deviations along them are tensors of the checkpoint: `world.mean`, `world.axes` and `world.scale`.
 */
export interface WorldConfig {
  /** The largest distance of an image that is like those of training. */
  readonly threshold: number
  /** Root mean square, over training's images, of the distance from what the axes span. */
  readonly rest: number
  /** The number of axes. */
  readonly axes: number
}

/** The tasks of a config that names none. */
export const SENTENCES: readonly TaskName[] = ['referring', 'reasoning']

/** X-SAM's AAAI branch has one row for a region, of maxima; its main branch has 64, of means. */
export function regionConfig(s: Section, compat: 'aaai' | 'main'): RegionConfig {
  const isAaai = compat === 'aaai'
  const rows = s.size('rows', 64, isAaai ? 1 : 64)
  const config = {
    rows: rows === 1 ? (1 as const) : (64 as const),
    pool: s.oneOf('pool', ['max', 'mean'], isAaai ? 'max' : 'mean'),
    points: s.size('points', MOST.tokens, 256),
  }
  s.expect(rows === 1 || rows === 64, 'rows', '1 or 64')
  s.expect(config.points % config.rows === 0, 'points', `a multiple of regions.rows (${config.rows})`)
  s.done()
  return config
}

/** X-SAM's thresholds. */
export const PRESENCE: PresenceConfig = { threshold: 0.5, all: 0.6 }

/** X-SAM's thresholds by default. */
export function presenceConfig(s: Section): PresenceConfig {
  const config = {
    threshold: s.between('threshold', 0, 1, PRESENCE.threshold),
    all: s.between('all', 0, 1, PRESENCE.all),
  }
  s.done()
  return config
}

/** Nothing of it is needed: people aren't told what the file leaves out. */
export function knowsConfig(s: Section): KnowsConfig {
  const config = {
    ...(s.has('domain') && { domain: s.text('domain', undefined, MOST.domainLength) }),
    words: s.texts('words', {
      most: MOST.words,
      length: MOST.wordLength,
      is: (word) => /^[\p{L}\p{M}\p{N}]+$/u.test(word) && word === word.toLowerCase(),
      what: 'a lower-case word without spaces and punctuation,',
    }),
    examples: s.texts('examples', {
      most: MOST.examples,
      length: MOST.exampleLength,
      is: (example) => example.trim() !== '',
      what: 'a sentence',
    }),
    ...(s.has('world') && { world: worldConfig(s.section('world')) }),
  }
  s.done()
  return config
}

function worldConfig(s: Section): WorldConfig {
  const config = {
    threshold: s.between('threshold', 0, 1e12),
    rest: s.between('rest', 1e-12, 1e12),
    axes: s.size('axes', MOST.axes, 24),
  }
  s.done()
  return config
}
