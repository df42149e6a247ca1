// Fields of a saved answer about what the model knows: the same as the command prints with --json.

import type { FlowSeg, ImageWorld } from '../../src/index.ts'

/** @param unknownWords undefined of a question without words */
export function caveatFields(
  { config: { knows } }: Pick<FlowSeg, 'config'>,
  world: ImageWorld | undefined,
  unknownWords: readonly string[] | undefined,
): object {
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
