// The recipe of a conversion: the type that each component is quantised to, as in --quantize int4, or
// llm=int4,siglip=int8.

import { UsageError } from '../../errors.ts'
import { QUANTIZED, type Quantized } from '../../kernels/quantize.ts'
import { quoted } from '../../printable.ts'
import type { Parameter, ParameterComponent } from '../checkpoint/parameters.ts'
import { quantizedTo } from '../checkpoint/stored.ts'

/** The parts of a model that a recipe names, and their components. */
const PARTS: Readonly<Record<string, readonly ParameterComponent[]>> = {
  llm: ['llm'],
  siglip: ['siglip'],
  sam: ['sam'],
  projectors: ['visualProjector', 'segProjector'],
}

/** The type that the matrices of each part are quantised to. A part that isn't named stays as it is stored. */
export type Recipe = ReadonlyMap<string, Quantized>

/**
 * Reads a recipe: one type for all parts, or parts with their types, separated by commas.
 *
 * @throws UsageError naming the word that isn't understood
 */
export function parseRecipe(text: string | undefined): Recipe {
  const parts = Object.keys(PARTS)
  if (text === undefined) return new Map()
  const whole = QUANTIZED.find((type) => type === text)
  if (whole) return new Map(parts.map((part) => [part, whole]))
  const recipe = new Map<string, Quantized>()
  for (const word of text.split(',')) {
    const [part = '', type, ...more] = word.split('=')
    const quantized = QUANTIZED.find((one) => one === type)
    if (!parts.includes(part) || !quantized || more.length > 0 || recipe.has(part)) {
      throw new UsageError(
        `--quantize: ${quoted(word, 80)} is not understood, or names a part twice. Give int8 or int4 for all, or one of them ` +
          `for each of ${parts.join(', ')}: llm=int4,siglip=int8,sam=int8.`,
      )
    }
    recipe.set(part, quantized)
  }
  // In one order, so that a recipe has one text
  return new Map(parts.flatMap((part) => [...recipe].filter(([name]) => name === part)))
}

/** The recipe as it was written: '' for none. */
export function recipeText(recipe: Recipe): string {
  return [...recipe].map(([part, type]) => `${part}=${type}`).join()
}

/** The type that a tensor is quantised to; undefined if it stays as it is stored. */
export function quantizedBy(recipe: Recipe, parameter: Parameter): Quantized | undefined {
  const part = Object.keys(PARTS).find((name) => PARTS[name]?.includes(parameter.component))
  return quantizedTo(parameter, part === undefined ? undefined : recipe.get(part))
}
