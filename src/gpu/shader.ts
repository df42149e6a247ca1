// A kernel's text as the package ships it: linked from its file and the library modules that it imports (tools/link-shader.ts),
// with what is needed to say where a line comes from.

/** The default export of a file in shaders/. */
export interface Shader {
  /** Its path under shaders/, without the extension: 'matmul/tiles'. */
  readonly name: string
  /** Those of @if that it is linked with. */
  readonly conditions: readonly string[]
  /** WGSL that lacks what the prelude defines. */
  readonly text: string
  /** The names that the prelude must define. */
  readonly constants: readonly string[]
  /** The files under shaders/ that it is linked from. */
  readonly sources: readonly string[]
  /**
   * Where lines come from, as three numbers per run of lines that follow each other in one file: the first line's index in
   * the text, its file's in `sources`, and its line in that file, from 1 on.
   */
  readonly runs: readonly number[]
}

/** The file under shaders/ and the line in it that a line of the text, counted from 0, comes from. */
export function placeOf(
  { sources, runs }: Shader,
  index: number,
): { file: string; line: number } | undefined {
  let at = 0
  while (at + 3 < runs.length && runs[at + 3]! <= index) at += 3
  const [first, source, line] = runs.slice(at, at + 3)
  if (first === undefined || source === undefined || line === undefined) return undefined
  return { file: sources[source]!, line: line + index - first }
}
