/** A kernel, linked with the modules that it imports (tools/link-shader.ts). */
declare module '#shaders/*' {
  const shader: import('./gpu/shader.ts').Shader
  export default shader
}

/** Any other file of WGSL, as text. */
declare module '*.wgsl' {
  const source: string
  export default source
}

/** Every kernel that src/ imports, once for each set of conditions. */
declare module 'virtual:shaders' {
  const shaders: readonly import('./gpu/shader.ts').Shader[]
  export default shaders
}

/** The files under shaders/ as they are written, by their path there. */
declare module 'virtual:shader-files' {
  const files: Readonly<Record<string, string>>
  export default files
}
