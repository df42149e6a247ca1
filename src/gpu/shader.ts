// A kernel's text as the package ships it: linked from its file and the library modules that it imports
// (tools/link-shader.ts), with what is needed to say where a line comes from.

/** The default export of a file in shaders/. */
export interface Shader {
  /** Its path under shaders/, without the extension: 'matmul/tiled'. */
  readonly name: string
  /** Those of @if that it is linked with. */
  readonly conditions: readonly string[]
  /** The names that the prelude must define. */
  readonly constants: readonly string[]
  /** Together, one after the other, WGSL that lacks what the prelude defines. */
  readonly pieces: readonly ShaderPiece[]
}

/** Declarations of one file; a module's are shared by the kernels that use them. */
export interface ShaderPiece {
  /** The file under shaders/: 'lib/nan.wgsl'. */
  readonly source: string
  /** The declarations that are used, as WGSL without imports. */
  readonly text: string
  /**
   * Two numbers per run of lines that follow each other in the file: the first line's index in the text, and its line
   * there.
   */
  readonly runs: readonly number[]
}

/** The WGSL of a shader. */
export function textOf({ pieces }: Shader): string {
  return pieces.map(({ text }) => text).join('\n')
}

/** The file under shaders/ and the line in it that a line of the text, counted from 0, comes from. */
export function placeOf({ pieces }: Shader, index: number): { file: string; line: number } | undefined {
  let first = 0
  for (const { source, text, runs } of pieces) {
    const inside = index - first
    const lines = text.split('\n').length
    if (inside < lines) {
      let at = 0
      while ((runs[at + 2] ?? Infinity) <= inside) at += 2
      return { file: source, line: (runs[at + 1] ?? 1) + inside - (runs[at] ?? 0) }
    }
    first += lines
  }
  return undefined
}
