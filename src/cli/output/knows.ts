// The `knows` section of a checkpoint's config, as the command shows it. Before the first answer it prints the domain
// and some examples. With an answer it names the words that the checkpoint doesn't know, and says if the image is
// unlike those of training. Without the section it prints nothing.

import { listed } from '../../check.ts'
import type { Config } from '../../model/checkpoint/config.ts'
import type { Caveats } from '../../model/knows/caveats.ts'
import { printable, quoted } from '../../printable.ts'
import type { Given } from '../args.ts'
import { grouped, painter, type Terminal } from './terminal.ts'

type Knowing = Pick<Config, 'knows'>

/** Examples on the line that tells what can be asked. */
const MOST_EXAMPLES = 4

/**
 * Tells, before a model answers, what it knows: on standard error, as it is no result. With --json the answers have it.
 *
 * @param withExamples for questions in words
 */
export function introduce(
  { knows }: Knowing,
  args: Given,
  { err }: Pick<Terminal, 'err'>,
  withExamples = true,
): void {
  if (!knows || args.has('json')) return
  const { domain, examples } = knows
  if (domain !== undefined) err.write(`This checkpoint knows: ${printable(domain, Infinity)}\n`)
  if (withExamples && examples.length > 0) {
    const some = examples.slice(0, MOST_EXAMPLES).map((example) => quoted(example, Infinity))
    err.write(`It can be asked: ${some.join(', ')}\n`)
  }
}

/** Lines of an answer: nothing where the checkpoint knows all of it. */
export function caveatLines({ world, unknownWords = [] }: Caveats, { out }: Pick<Terminal, 'out'>): string[] {
  const paint = painter(out)
  const lines: string[] = []
  if (unknownWords.length > 0) {
    const words = listed(
      unknownWords.map((word) => `'${word}'`),
      'or',
    )
    lines.push(`  words    ${paint('yellow', `it doesn't know ${words}`)}`)
  }
  if (world && !world.isKnown) {
    const { distance, threshold } = world
    const far = `distance ${distance.toFixed(2)}, known up to ${threshold.toFixed(2)}`
    lines.push(`  world    ${paint('yellow', 'the image is unlike those that it knows')}: ${far}`)
  }
  return lines
}

/** Rows of what `flowseg inspect` tells of it; undefined where the config says nothing. */
export function knowsRows({ knows, tasks }: Pick<Config, 'knows' | 'tasks'>): string[][] | undefined {
  if (!knows) return undefined
  const { domain, words, examples, world } = knows
  return [
    ...(domain === undefined ? [] : [['domain', domain]]),
    ['tasks', tasks.join(', ')],
    ['words', words.length === 0 ? 'not listed: none counts as unknown' : grouped(words.length)],
    ...examples.map((example, i) => [i === 0 ? 'examples' : '', quoted(example, Infinity)]),
    [
      'images',
      world
        ? `known up to a distance of ${world.threshold.toFixed(2)}, along ${world.axes} axes`
        : 'not measured: none counts as unlike',
    ],
  ]
}

/** The same as a field of its `--json`. */
export function knowsFields({ knows, tasks }: Pick<Config, 'knows' | 'tasks'>): object {
  return knows ? { knows: { ...knows, tasks } } : {}
}
