// The engine as the command opens it: the adapter of --adapter, with the kernels that were chosen for it.

import { join } from 'node:path'
import { VARIANTS } from '../gpu/adapter.ts'
import type { OpenOptions } from '../gpu/gpu.ts'
import { loadTuned, type TunedCacheOptions } from '../model/tuned-cache.ts'
import { type Given, meant, UsageError } from './args.ts'
import type { Terminal } from './output/terminal.ts'

/**
 * Options with the choices of `flowseg tune`, unless --no-tune or FLOWSEG_TUNE=off. FLOWSEG_VARIANTS overrules both.
 */
export function engineOptions(args: Given, { env }: Pick<Terminal, 'env'>): OpenOptions {
  const isOff = args.has('no-tune') || env['FLOWSEG_TUNE'] === 'off'
  return {
    ...adapterOption(args),
    variants: forcedVariants(env['FLOWSEG_VARIANTS'] ?? ''),
    ...(isOff ? {} : { tuned: (identity) => loadTuned(identity, tunedCacheOptions(env)) }),
  }
}

/** The adapter of --adapter; by default the first. */
export function adapterOption(args: Given): OpenOptions {
  const adapter = args.text('adapter')
  return adapter === undefined ? {} : { adapter }
}

/** The folder that every command keeps choices in. */
export function tunedCacheOptions(env: Terminal['env']): TunedCacheOptions {
  const cache = env['XDG_CACHE_HOME']
  return cache ? { folder: join(cache, 'flowseg') } : {}
}

/** 'matmul=registers attention=tiled' */
function forcedVariants(text: string): Record<string, string> {
  const words = text.split(/[\s,]+/).filter(Boolean)
  return Object.fromEntries(
    words.map((word) => {
      const [, family, variant] = /^([\w-]+)=([\w-]+)$/.exec(word) ?? []
      if (!family || !variant) {
        throw new UsageError(
          `FLOWSEG_VARIANTS has '${word}', expected FAMILY=VARIANT such as matmul=registers; \`flowseg tune\` lists them.`,
        )
      }
      const variants = Object.hasOwn(VARIANTS, family) ? VARIANTS[family] : undefined
      if (!variants) {
        const known = Object.keys(VARIANTS)
        const hint = meant(family, known) || ` There are ${known.join(', ')}.`
        throw new UsageError(`FLOWSEG_VARIANTS has '${word}', and there is no family ${family}.${hint}`)
      }
      if (!variants.includes(variant)) {
        throw new UsageError(
          `FLOWSEG_VARIANTS has '${word}', and ${family} has ${variants.join(', ')}.${meant(variant, variants)}`,
        )
      }
      return [family, variant]
    }),
  )
}
