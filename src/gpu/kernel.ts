// Kernels: hand-written WGSL bodies behind a generated prelude, compiled asynchronously and cached.
//
// Drivers may cache compiled code from one start to the next. Mesa does, on disk, and lavapipe needs it: it makes
// machine code only at a kernel's first dispatch, one after another (flowseg-nano's first answer: 37 s, and 1.3 s from
// the second start on; November 2026). So a kernel's text is the same in every process. SwiftShader and Dawn in
// Node cache nothing.
//
// A body is WGSL that uses a few names it does not define. The prelude defines them with `alias` and `const`. The
// engine's bodies come linked from shaders/ (shader.ts), and their marked loops are unrolled (unroll.ts); there is
// no other templating. The bindings and the `Sizes` struct are read from the body itself, so shader and host can't
// disagree about an index or an offset: a dispatch names what it binds, and kernel.ts finds the place.

import { breathe } from '../breathe.ts'
import { describe } from '../check.ts'
import { KernelError, UsageError } from '../errors.ts'
import { expectKind, TABLE } from '../options.ts'
import { printable, quoted } from '../printable.ts'
import type { TaskOptions } from '../progress.ts'
import { compileError } from './compile-error.ts'
import { placeOf, type Shader, textOf } from './shader.ts'
import { unroll, unrolledLines } from './unroll.ts'
import {
  type Binding,
  Complaint,
  floatsOf,
  parseBindings,
  parseSizes,
  type SizeField,
  splitDirectives,
  withoutComments,
} from './wgsl.ts'

export type { Binding, SizeField } from './wgsl.ts'

/**
 * Prelude constants: a string is a type (`alias`), a number a u32, a boolean a bool, a list of numbers an array of u32.
 */
export type Constants = Readonly<Record<string, string | number | boolean | readonly number[]>>

/** A WGSL body under constants, ready to be recorded; compiled when a plan first needs it. */
export interface Kernel {
  /**
   * Name and constants, for people. The engine's kernels with equal keys have equal code; a caller's own may be
   * rewritten.
   */
  readonly key: string
  /** The name that the caller gave it, for errors and profiles. */
  readonly name: string
  /**
   * The WGSL. The prelude is on the first line, before the body's own first line, so that lines count as in the body.
   */
  readonly code: string
  /** @internal Characters of the prelude. */
  readonly preludeLength: number
  /** @internal True for a caller's own kernel, whose mistakes are reported as the caller's. */
  readonly own: boolean
  /**
   * @internal Where a line of the code comes from, counted from 1: a file under shaders/. Undefined for a caller's own.
   */
  readonly placeOf?: (line: number) => { readonly file: string; readonly line: number } | undefined
  /** @internal What the body declares to read and to write, in binding order. */
  readonly bindings: readonly Binding[]
  /** @internal Names of the bindings that hold floats, and which. */
  readonly floats: ReadonlyMap<string, 'f32' | 'f16'>
  /** @internal The fields of the body's `Sizes`, in order. */
  readonly sizes: readonly SizeField[]
  /** The same body under other constants. */
  with(constants: Constants): Kernel
}

/** Dispatch sizes live in slots of this many bytes (WebGPU's default uniform offset alignment). */
export const SIZES_SLOT_BYTES = 256

const kernels = new Map<Shader, Map<string, Kernel>>()

/**
 * A kernel of the engine: a shader under constants. Cheap to call in every op: equal arguments give the same object.
 *
 * @param shader     the default export of a file in shaders/
 * @param constants  what the prelude supplies
 */
export function kernel(shader: Shader, constants: Constants = {}): Kernel {
  let known = kernels.get(shader)
  if (!known) kernels.set(shader, (known = new Map()))
  const key = keyOf(labelOf(shader), constants)
  let result = known.get(key)
  if (!result) known.set(key, (result = engineKernel(shader, constants)))
  return result
}

function labelOf({ name, conditions }: Shader): string {
  return [name, ...conditions].join(' ')
}

function engineKernel(shader: Shader, constants: Constants): Kernel {
  const { name } = shader
  const text = textOf(shader)
  const missing = shader.constants.filter((constant) => !(constant in constants))
  if (missing.length > 0) {
    throw new KernelError(
      `Kernel ${name} imports ${missing.join(', ')} from the prelude, which the host doesn't define.`,
    )
  }
  const used = Object.entries(constants).filter(([constant]) => shader.constants.includes(constant))
  return makeKernel(name, text, Object.fromEntries(used), {
    own: false,
    key: keyOf(labelOf(shader), constants),
    expand: () => unroll(text, constants),
    with: (more) => kernel(shader, { ...constants, ...more }),
    placeOf: (line) => placeOf(shader, unrolledLines(text, constants)[line - 1] ?? line - 1),
  })
}

const ownKernels = new Map<string, Kernel>()

/**
 * A kernel of your own, from its WGSL body and prelude constants. Cheap to call in every op: equal arguments give the
 * same object. The same name with another body is another kernel, so that a body may be rewritten while the program
 * runs.
 *
 * @param name       for messages and profiles
 * @param body       WGSL with an entry point `main`, storage buffers in @group(0), and at most one uniform,
 *   `sizes: Sizes`
 * @param constants  the prelude supplies them: a string is a type, a number a u32, a boolean a bool, a list of numbers
 *   an array
 * @throws UsageError if the body binds anything else, or a constant is none
 *
 * @example
 * ```ts
 * import { kernel, openGpu, plan, record, type Tensor, tensor } from 'flowseg/engine'
 *
 * const SCALE = `
 * struct Sizes { count: u32, factor: f32 }
 * @group(0) @binding(0) var<storage, read> x: array<f32>;
 * @group(0) @binding(1) var<storage, read_write> y: array<f32>;
 * @group(0) @binding(2) var<uniform> sizes: Sizes;
 * @compute @workgroup_size(WG) fn main(@builtin(global_invocation_id) id: vec3u) {
 *   if (id.x < sizes.count) { y[id.x] = sizes.factor * x[id.x]; }
 * }`
 *
 * function scale(x: Tensor, factor: number): Tensor {
 *   const y = tensor(x.shape)
 *   record({
 *     kernel: kernel('scale', SCALE, { WG: 64 }),
 *     reads: { x },
 *     writes: { y },
 *     sizes: { count: x.size, factor },
 *     workgroups: Math.ceil(x.size / 64),
 *     flops: x.size,
 *   })
 *   return y
 * }
 *
 * const gpu = await openGpu()
 * const half = await plan(gpu, 'half', ({ input }) => ({ read: { y: scale(input('x', [2]), 0.5) } }))
 * const { read } = await half.run({ inputs: { x: new Float32Array([2, 1]) } })
 * console.log(Array.from(read.y).join()) // 1,0.5
 * gpu.close()
 * ```
 */
export function ownKernel(name: string, body: string, constants: Constants = {}): Kernel {
  if (typeof name !== 'string' || !/^[\w./-]+$/.test(name)) {
    throw new UsageError(
      `kernel: the name is ${describe(name)}, expected letters, digits, dots, dashes, slashes or underscores.`,
    )
  }
  if (typeof body !== 'string') {
    throw new UsageError(`kernel: the body of '${name}' is ${describe(body)}, expected WGSL, a string.`)
  }
  expectKind('kernel: constants', constants, TABLE)
  const result = makeKernel(name, body, constants, {
    own: true,
    key: keyOf(name, constants),
    expand: () => body,
    with: (more) => ownKernel(name, body, { ...constants, ...more }),
  })
  const known = ownKernels.get(result.key)
  if (known?.code === result.code) return known
  ownKernels.set(result.key, result)
  return result
}

function keyOf(name: string, constants: Constants): string {
  const words = Object.entries(constants).map(([k, v]) => `${k}=${v}`)
  return [name, ...words].join(' ')
}

/** @param expand what the body becomes when it is compiled: it takes milliseconds, and changes no declaration */
function makeKernel(
  name: string,
  body: string,
  constants: Constants,
  { expand, ...more }: Pick<Kernel, 'own' | 'key' | 'with' | 'placeOf'> & { readonly expand: () => string },
): Kernel {
  const { own } = more
  return withoutComplaint(name, own, () => {
    const text = withoutComments(body)
    const prelude = preludeOf(text, splitDirectives(body).directives, constants)
    if (!/\bfn\s+main\b/.test(text)) throw new Complaint('it has no entry point `fn main`.')
    const bindings = parseBindings(text)
    if (own && bindings.some(({ access }) => access === 'texture')) {
      throw new Complaint('it binds a texture: tensors lie in storage buffers.')
    }
    let code: string | undefined
    return {
      ...more,
      name,
      get code() {
        code ??= withoutComplaint(name, own, () => prelude + splitDirectives(expand()).rest)
        return code
      },
      preludeLength: prelude.length,
      bindings,
      floats: new Map(
        bindings.flatMap(({ name: binding, type }) => {
          const floats = floatsOf(type, constants)
          return floats ? [[binding, floats] as const] : []
        }),
      ),
      sizes: parseSizes(text, bindings),
    }
  })
}

function withoutComplaint<T>(name: string, own: boolean, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (!(error instanceof Complaint)) throw error
    throw own
      ? new UsageError(`Your kernel '${name}': ${printable(error.message, 400)}`)
      : new KernelError(`Kernel ${name}: ${error.message}`)
  }
}

/** The prelude, on one line, so that the body's lines keep their numbers. */
function preludeOf(text: string, directives: string, constants: Constants): string {
  const words = [directives]
  const types = Object.values(constants).join(' ')
  if (/\bf16\b/.test(types) || /\bf16\b/.test(text)) words.push('enable f16;')
  if (/\b(subgroup|quad)[A-Z]\w*\s*\(|\bsubgroup_\w+\b/.test(text)) words.push('enable subgroups;')
  for (const [name, value] of Object.entries(constants)) {
    if (!/^[A-Za-z]\w*$/.test(name)) throw new Complaint(`the constant ${quoted(name)} is no name in WGSL.`)
    if (typeof value === 'string' && /^[A-Za-z][\w<>, ]*$/.test(value))
      words.push(`alias ${name} = ${value};`)
    else if (typeof value === 'boolean') words.push(`const ${name} = ${value};`)
    else if (isWord(value)) words.push(`const ${name} = ${value}u;`)
    else if (Array.isArray(value) && value.length > 0 && Array.from(value).every(isWord)) {
      words.push(`const ${name} = array(${value.map((word) => `${word}u`).join(', ')});`)
    } else {
      throw new Complaint(
        `prelude constant ${name} is ${describe(value)}: only unsigned integers, lists of them, booleans and names of types ` +
          'are supported.',
      )
    }
  }
  return words
    .filter(Boolean)
    .map((word) => `${word} `)
    .join('')
}

function isWord(value: unknown): boolean {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) < 2 ** 32
}

/** The texels of read-only storage textures: 16 bytes, which kernels take apart themselves. */
export const TEXEL = 'rgba32uint'

const BUFFER_TYPES = { read: 'read-only-storage', read_write: 'storage', uniform: 'uniform' } as const

/** A compiled kernel. */
export interface Pipeline {
  /** Shared by all plans of the device that run the same code. */
  readonly pipeline: GPUComputePipeline
  /** The layout of @group(0), the only group; bind groups are made for it. */
  readonly layout: GPUBindGroupLayout
}

/** Compiles kernels for one device, each once. */
export class KernelCache {
  readonly #device: GPUDevice
  /** Pipelines by their code. */
  readonly #pipelines = new Map<string, Promise<Pipeline>>()

  constructor(device: GPUDevice) {
    this.#device = device
  }

  /** Compiles all that aren't yet, side by side, and returns them in order. Their text is written first, in turns. */
  async compile(wanted: readonly Kernel[], { onProgress, signal }: TaskOptions = {}): Promise<Pipeline[]> {
    for (const k of new Set(wanted)) {
      await breathe(signal)
      void k.code
    }
    const total = new Set(wanted.filter((k) => !this.#pipelines.has(k.code))).size
    let done = 0
    let over = false
    const pending = wanted.map((k) => {
      const known = this.#pipelines.get(k.code)
      if (known) return known
      const building = this.#build(k)
      this.#pipelines.set(k.code, building)
      // A failed compile is not cached: the next call gets the error anew, not a stale promise
      building.catch(() => this.#pipelines.delete(k.code))
      // Part of what is awaited below, so that an error of the listener's rejects this call and nothing else
      return building.then((pipeline) => {
        done++
        if (!over && !signal?.aborted) onProgress?.({ phase: 'compile', what: k.name, loaded: done, total })
        return pipeline
      })
    })
    try {
      // Compiling can take seconds and can't be stopped; who gives up needn't wait for it
      return await untilAborted(Promise.all(pending), signal)
    } finally {
      over = true
    }
  }

  async #build(k: Kernel): Promise<Pipeline> {
    // Reading WGSL takes this thread a millisecond, and a plan has dozens of kernels
    await breathe()
    this.#device.pushErrorScope('validation')
    const module = this.#device.createShaderModule({ label: k.name, code: k.code })
    const layout = this.#device.createBindGroupLayout({
      label: k.name,
      entries: k.bindings.map(({ index, access }) => ({
        binding: index,
        visibility: GPUShaderStage.COMPUTE,
        ...(access === 'texture'
          ? { storageTexture: { access: 'read-only', format: TEXEL } }
          : { buffer: { type: BUFFER_TYPES[access] } }),
      })),
    })
    const pipelineLayout = this.#device.createPipelineLayout({ bindGroupLayouts: [layout] })
    const scope = this.#device.popErrorScope()
    let failure: unknown
    let pipeline: GPUComputePipeline | undefined
    try {
      pipeline = await this.#device.createComputePipelineAsync({
        label: k.name,
        layout: pipelineLayout,
        compute: { module, entryPoint: 'main' },
      })
    } catch (error) {
      failure = error
    }
    const validation = await scope
    if (pipeline && !validation) return { pipeline, layout }
    const reason = validation?.message ?? (failure instanceof Error ? failure.message : String(failure))
    // Not everywhere: Deno has it since 2.2
    const info = await (module.getCompilationInfo as GPUShaderModule['getCompilationInfo'] | undefined)?.call(
      module,
    )
    throw compileError(k, info?.messages ?? [], reason, failure)
  }
}

/** The promise's outcome, or the signal's reason as soon as it is aborted. */
async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise
  let abort: () => void = () => undefined
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason as Error)
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort)
  })
  try {
    return await Promise.race([aborted, promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
