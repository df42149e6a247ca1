// Kernels: hand-written WGSL bodies behind a generated prelude, compiled asynchronously and cached.
//
// Drivers may remember compiled code from one start to the next. Mesa does, on disk, and lavapipe needs it: it makes
// machine code only at a kernel's first dispatch, one after another (flowseg-nano's first answer: 37 s, and 1.3 s from
// the second start on; November 2026). So a kernel's text is the same in every process. SwiftShader and Dawn in
// Node remember nothing.
//
// A body is plain WGSL that uses a few names it does not define. The prelude defines them with `alias`
// and `const`; there is no other templating. The bindings and the `Sizes` struct are read from the body
// itself, so shader and host can't disagree about an index or an offset: a dispatch names what it
// binds, and kernel.ts finds the place.

import { KernelError } from '../errors.ts'
import type { TaskOptions } from '../progress.ts'

/** Prelude constants: a string is a type (`alias`), a number a u32, a boolean a bool. */
export type Constants = Readonly<Record<string, string | number | boolean>>

export interface Binding {
  readonly name: string
  readonly index: number
  readonly access: 'read' | 'read_write' | 'uniform' | 'texture'
}

export interface SizeField {
  readonly name: string
  readonly type: 'u32' | 'i32' | 'f32'
}

export interface Kernel {
  /** Name and constants: equal keys mean equal code. */
  readonly key: string
  readonly name: string
  readonly code: string
  readonly bindings: readonly Binding[]
  readonly sizes: readonly SizeField[]
  /** The same body under other constants. */
  with(constants: Constants): Kernel
}

/** Dispatch sizes live in slots of this many bytes (WebGPU's default uniform offset alignment). */
export const SIZES_SLOT_BYTES = 256
/** Sizes structs stay within what immediates will offer. */
const MAX_SIZES_BYTES = 64

const kernels = new Map<string, { kernel: Kernel; body: string }>()

/**
 * A kernel from its WGSL body and prelude constants. Cheap to call in every op: equal arguments give
 * the same object.
 *
 * @param name       the shader's file name without its extension, for messages and profiles
 * @param body       WGSL; several parts (shared functions, then the body) are concatenated by the caller
 * @param constants  what the prelude supplies
 */
export function kernel(name: string, body: string, constants: Constants = {}): Kernel {
  const key = `${name} ${Object.entries(constants)
    .map(([k, v]) => `${k}=${v}`)
    .join(' ')}`.trimEnd()
  const known = kernels.get(key)
  if (known?.body === body) return known.kernel
  if (known)
    throw new KernelError(`Kernel ${key} has two bodies: give each its own name or a constant that differs.`)
  const made: Kernel = {
    key,
    name,
    code: prelude(body, constants) + body,
    bindings: parseBindings(name, body),
    sizes: parseSizes(name, body),
    with: (more) => kernel(name, body, { ...constants, ...more }),
  }
  kernels.set(key, { kernel: made, body })
  return made
}

function prelude(body: string, constants: Constants): string {
  const lines: string[] = []
  const words = Object.values(constants).join(' ')
  if (/\bf16\b/.test(words) || /\bf16\b/.test(stripComments(body))) lines.push('enable f16;')
  if (/\b(subgroup|quad)[A-Z]\w*\s*\(|\bsubgroup_\w+\b/.test(stripComments(body)))
    lines.push('enable subgroups;')
  for (const [name, value] of Object.entries(constants)) {
    if (typeof value === 'string') lines.push(`alias ${name} = ${value};`)
    else if (typeof value === 'boolean') lines.push(`const ${name} = ${value};`)
    else if (Number.isInteger(value) && value >= 0) lines.push(`const ${name} = ${value}u;`)
    else throw new KernelError(`Prelude constant ${name} is ${value}: only unsigned integers are supported.`)
  }
  return lines.length > 0 ? `${lines.join('\n')}\n` : ''
}

function stripComments(code: string): string {
  return code.replace(/\/\/.*$/gm, '')
}

function parseBindings(kernelName: string, body: string): Binding[] {
  const pattern =
    /@group\(0\)\s*@binding\((\d+)\)\s*var(?:<\s*(uniform|storage)\s*(?:,\s*(read_write|read))?\s*>)?\s*(\w+)\s*:/g
  const bindings = [...stripComments(body).matchAll(pattern)].map(
    ([, index, space, access, name]): Binding => {
      if (space === 'uniform') return { name: name!, index: Number(index), access: 'uniform' }
      if (space === undefined) return { name: name!, index: Number(index), access: 'texture' }
      return { name: name!, index: Number(index), access: access === 'read_write' ? 'read_write' : 'read' }
    },
  )
  if (bindings.length === 0) throw new KernelError(`Kernel ${kernelName} declares no bindings.`)
  return bindings
}

function parseSizes(kernelName: string, body: string): SizeField[] {
  const struct = /struct\s+Sizes\s*\{([^}]*)\}/.exec(stripComments(body))
  if (!struct) return []
  const fields = [...struct[1]!.matchAll(/(\w+)\s*:\s*(\w+)/g)].map(([, name, type]): SizeField => {
    if (type !== 'u32' && type !== 'i32' && type !== 'f32') {
      throw new KernelError(
        `Kernel ${kernelName}: Sizes.${name} is ${type}; only u32, i32 and f32 are allowed.`,
      )
    }
    return { name: name!, type }
  })
  if (fields.length * 4 > MAX_SIZES_BYTES) {
    throw new KernelError(
      `Kernel ${kernelName}: Sizes has ${fields.length} fields, at most ${MAX_SIZES_BYTES / 4} fit.`,
    )
  }
  return fields
}

/** What read-only storage textures hold: 16 bytes, which kernels take apart themselves. */
export const TEXEL = 'rgba32uint'

const BUFFER_TYPES = { read: 'read-only-storage', read_write: 'storage', uniform: 'uniform' } as const

/** A compiled kernel. */
export interface Pipeline {
  readonly pipeline: GPUComputePipeline
  readonly layout: GPUBindGroupLayout
}

/** Compiles kernels for one device, each once. */
export class KernelCache {
  readonly #device: GPUDevice
  readonly #pipelines = new Map<string, Promise<Pipeline>>()

  constructor(device: GPUDevice) {
    this.#device = device
  }

  /** Compiles all that aren't yet, side by side, and returns them in order. */
  async compile(wanted: readonly Kernel[], { onProgress, signal }: TaskOptions = {}): Promise<Pipeline[]> {
    const total = new Set(wanted.filter((k) => !this.#pipelines.has(k.key))).size
    let done = 0
    let over = false
    const pending = wanted.map((k) => {
      const known = this.#pipelines.get(k.key)
      if (known) return known
      const building = this.#build(k)
      this.#pipelines.set(k.key, building)
      // A failed compile is not remembered: the next call gets the error anew, not a stale promise
      building.catch(() => this.#pipelines.delete(k.key))
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
    const messages = (await module.getCompilationInfo()).messages.filter((m) => m.type === 'error')
    const reason = validation?.message ?? (failure instanceof Error ? failure.message : String(failure))
    throw new KernelError(describeFailure(k, messages, reason), { cause: failure })
  }
}

function describeFailure(k: Kernel, messages: readonly GPUCompilationMessage[], reason: string): string {
  const lines = k.code.split('\n')
  const shown = messages.slice(0, 3).map((m) => {
    const source = lines[m.lineNum - 1] ?? ''
    return `  line ${m.lineNum}: ${m.message}\n    ${source.trim()}`
  })
  const detail = shown.length > 0 ? shown.join('\n') : `  ${reason}`
  return `Kernel ${k.key} does not compile on this device:\n${detail}\nThis is a fault of the engine: please report it.`
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
