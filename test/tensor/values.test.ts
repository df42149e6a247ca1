// A plan takes and gives this: arrays of the declared type alone, under the declared names, read at once; tensors that
// exist; numbers that the kernels' sizes can hold; and a build function that is one. Everything else is refused before
// it runs.

import { afterAll, expect, test } from 'vitest'
import { FlowSegError, ShapeError, UsageError } from '../../src/errors.ts'
import { type Gpu, openGpu } from '../../src/gpu/gpu.ts'
import { attention } from '../../src/ops/attention/attention.ts'
import { rope } from '../../src/ops/attention/rope.ts'
import { add } from '../../src/ops/elementwise/elementwise.ts'
import { copyRows, gather } from '../../src/ops/layout/gather.ts'
import { meanRows, softmax } from '../../src/ops/reduce/reduce.ts'
import { type Inputs, plan, precompile } from '../../src/tensor/plan.ts'
import { allocate, type DType, param, release, type Tensor, tensor, upload } from '../../src/tensor/tensor.ts'
import { tune } from '../../src/tuning/tune.ts'
import { failure } from '../gpu/devices.ts'
import { adapterNames, adapters, anyGpu, uniform } from '../support.ts'

const any = (value: unknown): never => value as never

/** That it is refused as a caller's mistake, with these words. */
async function expectRefused(
  promise: Promise<unknown>,
  Kind: typeof UsageError | typeof ShapeError,
  words: string,
): Promise<void> {
  const error = await failure(promise)
  expect(error, error.message).toBeInstanceOf(Kind)
  expect(error.message).toContain(words)
}

for (const gpu of await adapters()) {
  test(`an input takes its own class of arrays, wherever they lie, on ${gpu.name}`, async () => {
    const ready = await plan(gpu, 'sum', ({ input }) => {
      const x = input('x', [4])
      return { read: { y: add(x, x) } }
    })
    const values = [1.5, -2, 0, 3]
    const twice = Float32Array.from(values, (v) => 2 * v)
    const run = async (x: unknown) => (await ready.run({ inputs: { x: any(x) } })).read.y
    expect(await run(Float32Array.from(values))).toEqual(twice)
    // A part of a larger buffer, and memory that threads share
    expect(await run(Float32Array.from([9, ...values, 9]).subarray(1, 5))).toEqual(twice)
    if (typeof SharedArrayBuffer !== 'undefined') {
      const shared = new Float32Array(new SharedArrayBuffer(16))
      shared.set(values)
      expect(await run(shared)).toEqual(twice)
    }

    for (const [x, is] of [
      [Int32Array.from(values), 'an Int32Array'],
      [new Uint32Array(4), 'a Uint32Array'],
      [Float64Array.from(values), 'a Float64Array'],
      [new Float64Array(2), 'a Float64Array'],
      [new Uint16Array(8), 'a Uint16Array'],
      [new Uint8Array(16), 'a Uint8Array'],
      [new DataView(new ArrayBuffer(16)), 'a DataView'],
      [new ArrayBuffer(16), 'an ArrayBuffer'],
      [values, '[1.5, -2, 0, 3]'],
      [undefined, 'undefined'],
      [null, 'null'],
      ['1,2,3,4', '"1,2,3,4"'],
    ] as const) {
      const words = `plan sum: input 'x' is ${is}, expected a Float32Array for f32. Convert it: Float32Array.from(x).`
      await expectRefused(run(x), UsageError, words)
    }
    await expectRefused(run(new Float32Array(5)), ShapeError, 'has 5 elements, expected 4 for [4] f32')
    const moved = new Float32Array(4)
    structuredClone(moved, { transfer: [moved.buffer] })
    await expectRefused(
      run(moved),
      ShapeError,
      'has 0 elements, expected 4 for [4] f32. Its buffer may have been transferred.',
    )
    ready.release()
  })

  test(`inputs are read before run returns its promise, and what is uploaded likewise, on ${gpu.name}`, async () => {
    const x = uniform(6)
    const resident = upload(gpu, x, [6], 'f32')
    x.fill(7)
    const bound = { b: await resident }
    const ready = await plan(gpu, 'reused', ({ input, bound }) => {
      const [a, b] = [input('a', [6]), bound('b', [6])]
      return { read: { y: add(a, b) } }
    })
    const [a, params] = [uniform(6, 2), {}]
    const running = ready.run({ inputs: { a }, bound, params })
    a.fill(9)
    Object.assign(params, { none: 1 })
    expect((await running).read.y).toEqual(uniform(6).map((v, i) => Math.fround(v + uniform(6, 2)[i]!)))
    ready.release()
    release(gpu, bound.b)
  })

  test(`numbers of a run stay in their bounds, and rows past a cache's end are dropped, on ${gpu.name}`, async () => {
    const [cache, beyond] = [await allocate(gpu, [3, 4], 'f32'), await allocate(gpu, [3, 4], 'f32')]
    const ready = await plan(gpu, 'cached', ({ input, bound }) => {
      const x = input('x', [2, 4])
      copyRows(x, bound('cache', [3, 4]), param('at'))
      const turned = rope(x, { heads: 1, theta: 1e4, position: param('at', 1) })
      const kept = attention({
        query: turned,
        key: turned,
        value: turned,
        heads: 1,
        bias: { kind: 'length', length: param('length') },
      })
      return { read: { kept, mean: meanRows(x, { length: param('length') }) } }
    })
    const run = (at: unknown, length: unknown = 2, more: object = {}) =>
      ready.run({
        inputs: { x: uniform(8) },
        bound: { cache },
        params: { at: any(at), length: any(length), ...more },
      })
    for (const value of [-1, 0.5, NaN, Infinity, 2 ** 24, 2 ** 32, '1', null, 1n]) {
      await expectRefused(run(value), UsageError, "parameter 'at' is ")
    }
    for (const value of [-1, 0.5, NaN, 2 ** 32])
      await expectRefused(run(0, value), UsageError, "parameter 'length' is ")
    await expectRefused(
      run(0, 2, { lenght: 2 }),
      UsageError,
      "no parameter 'lenght'. Its parameters: at and length.",
    )
    const all = await run(2, 2)
    const more = await run(2 ** 24 - 1, 2 ** 32 - 1)
    expect(more.read.mean, 'more rows than there are: all').toEqual(all.read.mean)
    const look = await plan(gpu, 'look', () => ({ read: { cache, beyond } }))
    const { read } = await look.run()
    expect(read.cache).toEqual(new Float32Array([...Array(8).fill(0), ...uniform(8).subarray(0, 4)]))
    expect(read.beyond).toEqual(new Float32Array(12))
    for (const p of [ready, look]) p.release()
    for (const x of [cache, beyond]) release(gpu, x)
  })
}

test('each type has its classes, and odd counts of narrow types are filled up', async () => {
  const gpu = await anyGpu()
  const classes = [
    Float32Array,
    Float64Array,
    Int8Array,
    Uint8Array,
    Uint8ClampedArray,
    Int16Array,
    Uint16Array,
    Int32Array,
    Uint32Array,
  ]
  const taken: Readonly<Record<DType, readonly string[]>> = {
    f32: ['Float32Array'],
    u32: ['Uint32Array'],
    f16: ['Uint16Array'],
    bf16: ['Uint16Array'],
    int8: ['Int8Array', 'Uint8Array'],
    int4: ['Uint8Array'],
  }
  for (const [dtype, names] of Object.entries(taken) as [DType, string[]][]) {
    for (const Class of classes) {
      const count = dtype === 'int4' ? 3 : 6
      const uploaded = upload(gpu, any(new Class(count)), [2, 3], dtype)
      if (names.includes(Class.name)) release(gpu, await uploaded)
      else
        await expectRefused(
          uploaded,
          UsageError,
          `upload: the data is ${/^[IO]/.test(Class.name) ? 'an' : 'a'} ${Class.name}`,
        )
    }
  }
  const bits = Uint16Array.from([0x3f80, 0x4000, 0xbf80]) // 1, 2, -1
  const ready = await plan(gpu, 'narrow', ({ input }) => ({
    read: { y: gather(input('table', [3, 1], 'bf16'), input('ids', [4], 'u32')) },
  }))
  const { read } = await ready.run({ inputs: { table: bits, ids: Uint32Array.of(2, 0, 1, 2) } })
  expect(read.y).toEqual(Float32Array.of(-1, 1, 2, -1))
  ready.release()
})

test('names that a run gets wrong are told with the right ones', async () => {
  const gpu = await anyGpu()
  const build = ({ input, bound }: Inputs) => {
    const sum = add(input('x', [4]), bound('y', [4]))
    return { read: { sum }, keep: { sum } }
  }
  const ready = await plan(gpu, 'named', build)
  const y = await upload(gpu, uniform(4), [4], 'f32')
  const good = { inputs: { x: uniform(4) }, bound: { y } }
  for (const [values, words] of [
    [undefined, "input 'x' is missing"],
    [null, 'the options are null'],
    [[], 'the options are []'],
    [
      { input: good.inputs },
      "no option 'input'. It takes: inputs, bound, params, into, owner, onProgress and signal.",
    ],
    [{ ...good, inputs: undefined }, "input 'x' is missing"],
    [{ ...good, inputs: null }, 'inputs is null'],
    [{ ...good, inputs: [uniform(4)] }, 'inputs is '],
    [{ ...good, inputs: uniform(4) }, 'inputs is a Float32Array, expected an object'],
    [{ ...good, inputs: { ...good.inputs, z: uniform(4) } }, "there is no input 'z'. It has x."],
    [{ ...good, inputs: { ...good.inputs, constructor: uniform(4) } }, "there is no input 'constructor'"],
    [{ ...good, bound: {} }, "bound tensor 'y' is missing"],
    [{ ...good, bound: { y: uniform(4) } }, 'y is a Float32Array, expected a tensor'],
    [{ ...good, bound: { y, toString: y } }, "there is no bound tensor 'toString'. It has y."],
    [{ ...good, params: { at: 1 } }, "there is no parameter 'at'. Its parameters: nothing."],
    [{ ...good, params: 1 }, 'params is 1'],
    [{ ...good, into: { other: y } }, "there is no kept output 'other'. It has sum."],
    [{ ...good, owner: 3 }, 'owner is 3'],
    [{ ...good, signal: true }, 'signal is true, expected the `signal` of an AbortController'],
    [{ ...good, onProgress: 'log' }, 'onProgress is "log", expected a function'],
  ] as const) {
    await expectRefused(ready.run(any(values)), UsageError, words)
  }
  const other = await upload(gpu, uniform(4), [2, 2], 'f32')
  await expectRefused(ready.run({ ...good, bound: { y: other } }), ShapeError, 'y is [2, 2], expected [4]')
  const { kept } = await ready.run(good)

  // Tensors that are gone, or lie elsewhere
  release(gpu, y)
  await expectRefused(ready.run(good), UsageError, "the tensor 'y' was released, or is of another Gpu")
  release(gpu, kept.sum)
  const again = await upload(gpu, uniform(4), [4], 'f32')
  await expectRefused(
    ready.run({ ...good, bound: { y: again }, into: kept }),
    UsageError,
    "the tensor 'sum' was released",
  )
  ready.release()
  await expectRefused(ready.run(good), UsageError, 'Plan named was released')
  for (const x of [other, again]) release(gpu, x)
})

test('one tensor can not be bound twice where the plan writes it, nor a resident that it reads', async () => {
  const gpu = await anyGpu()
  const [a, b] = [await allocate(gpu, [2, 4], 'f32'), await allocate(gpu, [2, 4], 'f32')]
  const ready = await plan(gpu, 'twins', ({ bound }) => {
    const [from, to] = [bound('from', [2, 4]), bound('to', [2, 4])]
    copyRows(from, to, 0)
    return { read: { sum: add(to, b) } }
  })
  await expectRefused(
    ready.run({ bound: { from: a, to: a } }),
    UsageError,
    "'to', which the plan writes, and 'from' are one tensor",
  )
  await expectRefused(
    ready.run({ bound: { from: a, to: b } }),
    UsageError,
    "'to', which the plan writes, and 'tensor' are one tensor",
  )
  release(gpu, b)
  await expectRefused(
    ready.run({ bound: { from: a, to: a } }),
    UsageError,
    "the tensor 'tensor' was released",
  )
  ready.release()
  release(gpu, a)
})

const halves = ({ input }: Inputs) => ({ read: { y: softmax(input('x', [4])) } })

test.each<readonly [what: string, build: unknown, words: string]>([
  ['no build', undefined, 'build is undefined, expected a function'],
  ['outputs for a build', { read: {} }, 'build is an object, expected a function'],
  [
    'an async build',
    async (inputs: Inputs) => halves(inputs),
    "build returned a promise. Ops are recorded while it runs, so it can't be async",
  ],
  ['an async build that fails', async () => Promise.reject(new Error('unheard')), 'build returned a promise'],
  ['a build that returns nothing', () => undefined, 'build returned undefined. Return { read } or { keep }'],
  ['a build that returns null', () => null, 'build returned null'],
  [
    'a build that returns a tensor',
    ({ input }: Inputs) => softmax(input('x', [4])),
    "there is no option 'shape'",
  ],
  ['a build that returns an array', ({ input }: Inputs) => [softmax(input('x', [4]))], 'the options are '],
  [
    'a misspelt output',
    ({ input }: Inputs) => ({ reads: { y: softmax(input('x', [4])) } }),
    "there is no option 'reads'. It takes: read and keep.",
  ],
  [
    'a tensor for read',
    ({ input }: Inputs) => ({ read: softmax(input('x', [4])) }),
    'read is a tensor, expected an object',
  ],
  [
    'an array to read',
    () => ({ read: { y: new Float32Array(4) } }),
    'read.y is a Float32Array, expected a tensor',
  ],
  ['nothing to read', () => ({ read: { y: undefined } }), 'read.y is undefined'],
  ['null to keep', () => ({ keep: null }), 'keep is null'],
  [
    'a promise of outputs',
    ({ input }: Inputs) => ({ read: Promise.resolve({ y: softmax(input('x', [4])) }) }),
    'read is a Promise, expected an object',
  ],
  [
    'a map of outputs',
    ({ input }: Inputs) => ({ read: new Map([['y', softmax(input('x', [4]))]]) }),
    'read is a Map, expected an object',
  ],
  [
    'a promise to read',
    () => ({ read: { y: Promise.resolve(1) } }),
    'read.y is a Promise, expected a tensor: await it',
  ],
  ['a tensor that nothing writes', () => ({ read: { y: tensor([4]) } }), "nothing writes output 'y'"],
  [
    'an input without a name',
    ({ input }: Inputs) => ({ read: { y: input(any(undefined), [4]) } }),
    'the name of an input is undefined',
  ],
  [
    'an input without a shape',
    ({ input }: Inputs) => ({ read: { y: input('x', any(undefined)) } }),
    "the shape of 'x' is undefined",
  ],
  [
    'an input of another type',
    ({ input }: Inputs) => ({ read: { y: input('x', [4], any('float32')) } }),
    'the type is "float32"',
  ],
  [
    'two inputs of one name',
    ({ input, bound }: Inputs) => ({ read: { y: add(input('x', [4]), bound('x', [4])) } }),
    "two inputs named 'x'",
  ],
])('a plan with %s is refused', async (_, build, words) => {
  const gpu = await anyGpu()
  const { bytes } = gpu.memory()
  for (const make of [plan, precompile])
    await expectRefused(make(gpu, 'wrong', any(build)), UsageError, words)
  expect(gpu.memory().bytes).toBe(bytes)
})

test('inputs and outputs of another plan are refused, and shapes that none has', async () => {
  const gpu = await anyGpu()
  let ways: Inputs | undefined
  let old: Tensor | undefined
  const ready = await plan(gpu, 'first', (declare) => {
    ways = declare
    old = softmax(declare.input('x', [4]))
    return { read: { old } }
  })
  ready.release()
  await expectRefused(
    plan(gpu, 'second', () => ({ read: { old: old! } })),
    UsageError,
    'a tensor of another plan',
  )
  await expectRefused(
    plan(gpu, 'second', () => ({ read: { y: softmax(old!) } })),
    UsageError,
    'softmax: x is a tensor of another plan',
  )
  await expectRefused(
    plan(gpu, 'second', () => ({ read: { y: ways!.input('z', [4]) } })),
    UsageError,
    'declared inside of its own build',
  )
  for (const shape of [[0], [4, 0], [2.5], [-1], [NaN], ['4'], [2 ** 53], [2 ** 20, 2 ** 20]]) {
    const build = ({ input }: Inputs) => ({ read: { y: softmax(input('x', any(shape))) } })
    await expectRefused(plan(gpu, 'second', build), ShapeError, "'x'")
    await expectRefused(allocate(gpu, any(shape), 'f32'), ShapeError, 'allocate: ')
    await expectRefused(upload(gpu, new Float32Array(4), any(shape), 'f32'), ShapeError, 'upload: ')
  }
  const bits = await upload(gpu, new Uint16Array(4), [4], 'bf16')
  await expectRefused(
    plan(gpu, 'second', () => ({ read: { bits } })),
    ShapeError,
    'read.bits is bf16; only f32 and u32 are read back',
  )
  release(gpu, bits)
})

test('what is no Gpu, no name and no option is refused everywhere', async () => {
  const gpu = await anyGpu()
  for (const junk of [undefined, null, {}, 'llvmpipe', gpu.device]) {
    for (const call of [
      () => plan(any(junk), 'p', halves),
      () => allocate(any(junk), [4], 'f32'),
      () => upload(any(junk), new Float32Array(4), [4], 'f32'),
      () => tune(any(junk), [halves]),
    ]) {
      await expectRefused(call(), UsageError, 'expected what openGpu() opens')
    }
  }
  await expectRefused(plan(any(openGpu), 'p', halves), UsageError, 'the first argument is a function')
  await expectRefused(
    plan(any(anyGpu()), 'p', halves),
    UsageError,
    'expected what openGpu() opens: await it.',
  )
  await expectRefused(plan(gpu, any(halves), any('p')), UsageError, 'the name is a function')
  await expectRefused(
    plan(gpu, 'p', halves, any({ abort: 1 })),
    UsageError,
    "no option 'abort'. It takes: onProgress and signal.",
  )
  await expectRefused(allocate(gpu, [4], any('F32')), UsageError, 'the type is "F32"')
  await expectRefused(
    allocate(gpu, [4], 'f32', any({ name: 'x' })),
    UsageError,
    "no option 'name'. It takes: label, owner and sharded.",
  )
  await expectRefused(allocate(gpu, [4], 'f32', { sharded: any(1) }), UsageError, 'sharded is 1')
  await expectRefused(tune(gpu, any(halves)), UsageError, 'builds is a function, expected an array')
  await expectRefused(tune(gpu, [any(undefined)]), UsageError, 'build 0 is undefined')
  await expectRefused(tune(gpu, [async (inputs) => halves(inputs)]), UsageError, 'a build returned a promise')
  await expectRefused(tune(gpu, [halves], { seconds: NaN }), UsageError, 'seconds is NaN')
  await expectRefused(tune(gpu, [halves], any({ second: 1 })), UsageError, "no option 'second'")
  const x = await plan(gpu, 'p', ({ input }) => ({ read: { y: input('x', [4]) } }))
  expect(() => release(gpu, any(x))).toThrow(UsageError)
  x.release()
})

const opened: Gpu[] = []
afterAll(() => {
  for (const gpu of opened) gpu.close()
})

test.each<readonly [what: string, options: unknown, words: string]>([
  ['null', null, 'the options are null'],
  ['a name', 'llvmpipe', 'expected { adapter: "llvmpipe" }'],
  ['an array', [], 'the options are []'],
  [
    'another option',
    { adaptor: 'llvmpipe' },
    "no option 'adaptor'. It takes: device, adapter, boundsChecks, without",
  ],
  ['a number for an adapter', { adapter: 5 }, 'adapter is 5, expected a string'],
  ['an empty device', { device: {} }, 'device is an object, expected the GPUDevice'],
  ['no device', { device: null }, 'device is null'],
  ['a promise of a device', { device: Promise.resolve() }, 'device is a Promise'],
  ['a text for boundsChecks', { boundsChecks: 'no' }, 'boundsChecks is "no", expected true or false'],
  ['a text for without', { without: 'subgroups' }, 'without is "subgroups", expected an array'],
  [
    'another feature',
    { without: ['f16'] },
    `is "f16", expected 'shader-f16', 'subgroups' or 'timestamp-query'`,
  ],
  ['a negative limit', { bindingLimit: -1 }, 'bindingLimit is -1'],
  [
    'another variant',
    { variants: { matmul: 'nope' } },
    `the variant of matmul is "nope", expected 'subgroup', 'tiled',`,
  ],
  [
    'another family',
    { variants: { matmull: 'tiles' } },
    "a family in `variants` is \"matmull\", expected 'matmul', 'conv'",
  ],
  ['a family of objects', { variants: { constructor: 'tiles' } }, 'is "constructor"'],
  ['a list of variants', { variants: ['matmul=tiles'] }, 'variants is '],
  ['a number for tuned', { tuned: 5 }, 'tuned is 5'],
  ['null for tuned', { tuned: null }, 'tuned is null'],
])('openGpu refuses %s', async (_, options, words) => {
  const error = await failure(openGpu(any(options)).then((gpu) => opened.push(gpu)))
  expect(error).toBeInstanceOf(FlowSegError)
  expect(['ERR_USAGE', 'ERR_SHAPE']).toContain(error.code)
  expect(error.message).toContain('openGpu: ')
  expect(error.message).toContain(words)
})

test('a tensor of another Gpu is refused', async () => {
  const [gpu, name] = [await anyGpu(), adapterNames()[0]!]
  const other = await openGpu(name ? { adapter: name } : {})
  opened.push(other)
  const x = await upload(other, uniform(4), [4], 'f32')
  const ready = await plan(gpu, 'mixed', () => ({ read: { y: softmax(x) } }))
  await expectRefused(ready.run(), UsageError, "the tensor 'tensor' was released, or is of another Gpu")
  ready.release()
})
