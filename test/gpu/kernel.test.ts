// Kernels: the prelude says what it is told, bindings and sizes are read from the body, mistakes are named, and every
// shader we ship compiles on every adapter in every combination the ops use.

import { expect, test } from 'vitest'
import { KernelError, UsageError } from '../../src/errors.ts'
import type { Kernel } from '../../src/gpu/kernel.ts'
import { type Dispatch, recordWith, type Storage } from '../../src/gpu/recorder.ts'
import { record, tensor } from '../../src/tensor/tensor.ts'
import { kernelsFor } from '../ops/shipped.ts'
import { runtime } from '../runtime.ts'
import { adapterNames, adapters, anyGpu, gpuNamed, textKernel as kernel } from '../support.ts'
import { failure } from './devices.ts'

const BODY = `
// @group(0) @binding(7) var<storage, read> in_a_comment: array<f16>;
struct Sizes { count: u32, shift: i32, scale: f32 }
@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(2)
var<storage, read_write> y: array<Elem>;
@group(0) @binding(1) var<uniform> sizes: Sizes;
@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u) { y[id.x] = x[id.x]; }
`

let names = 0
/** A kernel with a name that no test before has used. */
function fresh(body: string, constants: Parameters<typeof kernel>[2] = {}): Kernel {
  return kernel(`test-kernel-${names++}`, body, constants)
}

test('the prelude: aliases, unsigned integers, booleans, and the features that are used', () => {
  const { code } = fresh(BODY, { Elem: 'f32', WG: 64, FAST: true })
  // On the body's first line: all lines keep their numbers
  expect(code).toBe(`alias Elem = f32; const WG = 64u; const FAST = true; ${BODY}`)
  expect(code).not.toContain('enable')

  expect(fresh(BODY, { Elem: 'f16', WG: 64 }).code.startsWith('enable f16; ')).toBe(true)
  expect(fresh(BODY, { Elem: 'vec4<f16>', WG: 64 }).code.startsWith('enable f16; ')).toBe(true)
  const sum = BODY.replace('= x[id.x]', '= subgroupAdd(x[id.x])')
  expect(fresh(sum, { Elem: 'f32', WG: 64 }).code.startsWith('enable subgroups; ')).toBe(true)
  expect(() => fresh(BODY, { WG: 1.5 })).toThrow(
    'prelude constant WG is 1.5: only unsigned integers, lists of them, booleans and names of types are supported.',
  )
  expect(() => fresh(BODY, { WG: -1 })).toThrow(KernelError)
})

test('bindings and sizes are read from the body, not from its comments', () => {
  const { bindings, sizes } = fresh(BODY, { Elem: 'f32', WG: 64 })
  expect(bindings).toEqual([
    { name: 'x', index: 0, access: 'read', type: 'array<Elem>' },
    { name: 'y', index: 2, access: 'read_write', type: 'array<Elem>' },
    { name: 'sizes', index: 1, access: 'uniform', type: 'Sizes' },
  ])
  expect(sizes).toEqual([
    { name: 'count', type: 'u32' },
    { name: 'shift', type: 'i32' },
    { name: 'scale', type: 'f32' },
  ])
  expect(() => fresh('fn main() {}')).toThrow('declares no binding that it writes')
  expect(() => fresh(BODY.replace('scale: f32', 'scale: vec4f'))).toThrow('Sizes.scale is vec4f')
  const many = Array.from({ length: 17 }, (_, i) => `s${i}: u32`).join(', ')
  expect(() => fresh(BODY.replace(/struct Sizes \{.*\}/, `struct Sizes { ${many} }`))).toThrow(
    'at most 16 fit',
  )
})

test('equal arguments give the same kernel, other constants another, another body another', () => {
  const make = (WG: number) => kernel('test-same', BODY, { Elem: 'f32', WG })
  expect(make(64)).toBe(make(64))
  expect(make(32)).not.toBe(make(64))
  expect(make(64).with({ WG: 32 })).toBe(make(32))
  expect(kernel('test-same', `${BODY} `, { Elem: 'f32', WG: 64 })).not.toBe(make(64))
})

test('a dispatch that does not fit its kernel is an error while recording', () => {
  const k = fresh(BODY, { Elem: 'f32', WG: 64 })
  const storage = (): Storage => ({ kind: 'intermediate', bytes: 16, label: '' })
  const [x, y] = [storage(), storage()]
  const good: Dispatch = {
    kernel: k,
    reads: { x },
    writes: { y },
    sizes: { count: 4, shift: 0, scale: 1 },
    workgroups: 1,
    flops: 0,
  }
  const recording = (change: Partial<Dispatch>) => () => recordWith((r) => r.record({ ...good, ...change }))
  expect(recording({})).not.toThrow()
  expect(recording({ reads: { x: undefined } })).not.toThrow() // declared by the variant, never read
  expect(recording({ reads: {} })).toThrow("binding 'x' (read) is missing")
  expect(recording({ writes: {} })).toThrow("binding 'y' (read_write) is missing")
  expect(recording({ reads: { x, z: x } })).toThrow("names 'z', which the shader doesn't bind")
  expect(recording({ sizes: { count: 4, shift: 0 } })).toThrow("size 'scale' is missing")
  expect(recording({ sizes: { ...good.sizes, rows: 1 } })).toThrow("size 'rows', which Sizes lacks")
  expect(recording({ reads: { x: y } })).toThrow("'x' and 'y' are one buffer, and one is written")
  expect(recording({ cut: 'rows' })).toThrow("'rows' cuts the grid")
  expect(recording({ cut: 'count' })).toThrow("'count' cuts the grid")
  expect(recording({ cut: 'count', sizes: { shift: 0, scale: 1 } })).not.toThrow()
  expect(recording({ inPlace: { read: 'x', write: 'y' } })).toThrow('needs the constant IN_PLACE: false')
})

test('ops outside of a plan, and inputs of one name, are errors', () => {
  expect(() => tensor([4])).toThrow('Ops record a plan')
  expect(() =>
    record({ kernel: fresh(BODY), reads: {}, writes: {}, sizes: {}, workgroups: 1, flops: 0 }),
  ).toThrow(UsageError)
  const twice = () =>
    recordWith((r) => {
      r.input('x', 4)
      r.bind('x', 4)
    })
  expect(twice).toThrow("two inputs named 'x'")
})

for (const gpu of await adapters()) {
  test(`WGSL that does not compile shows the line and the kernel on ${gpu.name}`, async () => {
    const bad = fresh(BODY.replace('= x[id.x]', '= x[id.x] + nothing_here'), { Elem: 'f32', WG: 64 })
    // Twice: a failure must not be cached as a success, nor block the next attempt
    const errors: unknown[] = []
    for (const _ of [1, 2]) {
      const error = await failure(gpu.kernels.compile([bad]))
      errors.push(error)
      expect(error).toBeInstanceOf(KernelError)
      const { message } = error
      expect(message).toContain(`Kernel ${bad.key} does not compile`)
      expect(message).toContain('nothing_here')
      const line = BODY.split('\n').findIndex((text) => text.includes('= x[id.x]')) + 1
      expect(message).toContain(`line ${line}:`)
      expect(message).toContain('y[id.x] = x[id.x] + nothing_here')
    }
    expect(errors[1], 'it was tried again').not.toBe(errors[0])
    await gpu.check() // and nothing else was reported behind our back
  })

  // In Node that is kernel.node.test.ts's, without a driver: SwiftShader needs minutes for all
  if (runtime === 'deno') {
    test(`every kernel that we ship compiles on ${gpu.name}`, async () => {
      const kernels = kernelsFor(gpu.adapter)
      expect(kernels.length).toBeGreaterThan(100)
      await expect(gpu.kernels.compile(kernels)).resolves.toHaveLength(kernels.length)
    })
  } else if (runtime === 'browser') {
    test('every kernel that we ship is WGSL to this browser', async () => {
      const kernels = kernelsFor(gpu.adapter)
      expect(kernels.length).toBeGreaterThan(100)
      const complaints = kernels.map(async ({ key, code }) => {
        const { messages } = await gpu.device.createShaderModule({ code }).getCompilationInfo()
        return messages.filter(({ type }) => type === 'error').map(({ message }) => `${key}: ${message}`)
      })
      expect((await Promise.all(complaints)).flat()).toEqual([])
    })
  }

  test(`each kernel is compiled once, with progress, on ${gpu.name}`, async () => {
    const kernels = [1, 2, 4].map((WG) => kernel('test-progress', `${BODY}// progress`, { Elem: 'f32', WG }))
    const seen: [number, number][] = []
    const onProgress = ({ loaded, total }: { loaded: number; total: number }) => seen.push([loaded, total])
    const first = await gpu.kernels.compile([...kernels, kernels[0]!], { onProgress })
    expect(seen).toEqual([
      [1, 3],
      [2, 3],
      [3, 3],
    ])
    expect(first[3]).toBe(first[0])
    expect(await gpu.kernels.compile(kernels, { onProgress })).toEqual(first.slice(0, 3))
    expect(seen.length).toBe(3)
  })
}

test('a kernel that exceeds a limit of the device says so', async () => {
  const gpu = await gpuNamed(adapterNames()[0]!)
  const huge = fresh(BODY, { Elem: 'f32', WG: 4096 })
  await expect(gpu.kernels.compile([huge])).rejects.toThrow(/does not compile on this device:\n.*4096/)
})

test('who gives up while kernels compile does not wait for them', async () => {
  const gpu = await anyGpu()
  const body = `
    struct Sizes { count: u32 }
    @group(0) @binding(0) var<storage, read_write> y: array<f32>;
    @group(0) @binding(1) var<uniform> sizes: Sizes;
    @compute @workgroup_size(32) fn main(@builtin(global_invocation_id) id: vec3u) {
      if (id.x < sizes.count) { y[id.x] = 7.0; }
    }`
  const controller = new AbortController()
  const reason = new Error('enough')
  const compiling = gpu.kernels.compile([kernel('given-up', body)], { signal: controller.signal })
  controller.abort(reason)
  await expect(compiling).rejects.toBe(reason)
  // A compilation that was begun goes on, and serves the next caller
  await expect(gpu.kernels.compile([kernel('given-up', body)])).resolves.toHaveLength(1)
})

test('an error of the listener rejects the call, and the kernels serve whoever asks next', async () => {
  const gpu = await anyGpu()
  const kernels = [1, 2, 4].map((WG) =>
    kernel('test-faulty-listener', `${BODY}// faulty`, { Elem: 'f32', WG }),
  )
  const reason = new Error('the listener broke')
  const onProgress = (): void => {
    throw reason
  }
  // Vitest fails where a rejection is left unhandled
  await expect(gpu.kernels.compile(kernels, { onProgress })).rejects.toBe(reason)
  await expect(gpu.kernels.compile(kernels)).resolves.toHaveLength(3)
})

test('who gave up is told nothing more', async () => {
  const gpu = await anyGpu()
  const kernels = [1, 2, 4].map((WG) => kernel('test-told-no-more', `${BODY}// no more`, { Elem: 'f32', WG }))
  const controller = new AbortController()
  let events = 0
  const onProgress = (): void => {
    events++
    controller.abort(new Error('enough'))
  }
  const compiling = gpu.kernels.compile(kernels, { onProgress, signal: controller.signal })
  await expect(compiling).rejects.toThrow('enough')
  await gpu.kernels.compile(kernels) // the others are done as well
  expect(events).toBe(1)
})
