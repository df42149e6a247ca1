// Kernels of a caller's own: a mistake in one is told as the caller's, with the line of the caller's text, in every
// compiler of WGSL that we run on; and what a kernel's text says is read right, wherever comments and attributes stand.

import { expect, test } from 'vitest'
import { KernelError, ShapeError, UsageError } from '../../src/errors.ts'
import { ownKernel as kernel } from '../../src/gpu/kernel.ts'
import { floatsOf, withoutComments } from '../../src/gpu/wgsl.ts'
import { plan } from '../../src/tensor/plan.ts'
import { type DispatchOf, record, type Tensor, tensor } from '../../src/tensor/tensor.ts'
import { adapters, anyGpu, textKernel as engineKernel, uniform } from '../support.ts'
import { failure } from './devices.ts'

const BODY = `struct Sizes { count: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> sizes: Sizes;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < sizes.count) { y[id.x] = 0.5 * x[id.x]; }
}`

/** The built-ins that give the place of a thread in a folded grid. */
const GRID = '@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u'

/** An op by a body like that. */
function op(x: Tensor, body: string, change: object = {}, name = 'halve'): Tensor {
  const y = tensor(x.shape)
  record({
    kernel: kernel(name, body),
    reads: { x },
    writes: { y },
    sizes: { count: x.size },
    workgroups: Math.ceil(x.size / 64),
    flops: x.size,
    ...change,
  })
  return y
}

for (const gpu of await adapters()) {
  const run = async (build: (x: Tensor) => Tensor): Promise<Float32Array | Uint32Array> => {
    const ready = await plan(gpu, 'own', ({ input }) => ({ read: { y: build(input('x', [5])) } }))
    const { read } = await ready.run({ inputs: { x: uniform(5) } })
    ready.release()
    return read.y
  }
  const times = (factor: number): Float32Array => uniform(5).map((value) => Math.fround(factor * value))

  test(`a constant may be a list of words, on ${gpu.name}`, async () => {
    const body = BODY.replace('0.5 * x[id.x]', 'f32(FACTORS[1]) * x[id.x]')
    const result = await run((x) => op(x, body, { kernel: kernel('factors', body, { FACTORS: [3, 7] }) }))
    expect(result).toEqual(times(7))
    const other = await run((x) =>
      op(x, body, { kernel: kernel('factors', body, { FACTORS: [3, 2 ** 31] }) }),
    )
    expect(other).toEqual(times(2 ** 31))
  })

  test(`an own kernel's mistake has the line of its own text, whatever the prelude, on ${gpu.name}`, async () => {
    const cases: readonly (readonly [body: string, line: number, shown: string])[] = [
      [BODY.replace('0.5 * x[id.x]', '0.5 * nothing_here'), 6, 'y[id.x] = 0.5 * nothing_here'],
      [
        BODY.replace('struct Sizes', 'const WRONG = missing; struct Sizes'),
        1,
        'const WRONG = missing; struct Sizes',
      ],
      [`/* two\nlines */ // @group(0)\n${BODY.replace('0.5', 'half')}`, 8, 'half * x[id.x]'],
      [BODY.replace('id.x < sizes.count', 'id.x < sizes.counts'), 6, 'sizes.counts'],
      [BODY.replace('x[id.x]; }', 'x[id.x] }'), 6, 'x[id.x] }'],
    ]
    for (const [body, line, shown] of cases) {
      for (const constants of [{}, { WG: 64, FAST: true, Elem: 'f32' }]) {
        const error = await failure(gpu.kernels.compile([kernel('halve', body, constants)]))
        expect(error).toBeInstanceOf(UsageError)
        expect(error.message).toContain("Your kernel 'halve' does not compile on this device:\n")
        expect(error.message).toContain(`\n  line ${line}: `)
        expect(error.message).toContain(shown)
        expect(error.message).not.toMatch(/fault of the engine|report|alias|const WG/)
      }
    }
    await gpu.check() // nothing was reported elsewhere
  })

  test(`a wrong constant is told as the prelude's, on ${gpu.name}`, async () => {
    const error = await failure(gpu.kernels.compile([kernel('halve', BODY, { Elem: 'no_type' })]))
    expect(error).toBeInstanceOf(UsageError)
    expect(error.message).toMatch(/in the prelude: .*\n {4}alias Elem = no_type;$/)
  })

  test(`the engine's own mistake stays the engine's, on ${gpu.name}`, async () => {
    const error = await failure(gpu.kernels.compile([engineKernel('test-ours', BODY.replace('0.5', 'half'))]))
    expect(error).toBeInstanceOf(KernelError)
    expect(error.message).toMatch(
      /^Kernel test-ours does not compile on this device:\n {2}shaders\/test-ours.wgsl, line 6: /,
    )
    expect(error.message).toContain('fault of the engine')
  })

  test(`a body may be rewritten under the same name, and back, on ${gpu.name}`, async () => {
    const third = BODY.replace('0.5', '0.25')
    expect(await run((x) => op(x, BODY))).toEqual(times(0.5))
    expect(await run((x) => op(x, third))).toEqual(times(0.25))
    expect(await run((x) => op(x, BODY))).toEqual(times(0.5))
    expect(await run((x) => op(op(x, BODY), third)), 'both in one plan').toEqual(times(0.125))
    // Also one that is called like a kernel of the engine, or differs by a constant's kind alone
    expect(await run((x) => op(x, BODY, {}, 'softmax'))).toEqual(times(0.5))
  })

  test(`more workgroups than one axis has reach every value, or are refused, on ${gpu.name}`, async () => {
    const limit = gpu.device.limits.maxComputeWorkgroupsPerDimension
    const values = uniform(limit + 3)
    const alone = BODY.replace('workgroup_size(64)', 'workgroup_size(1)')
    const folded = alone
      .replace('@builtin(global_invocation_id) id: vec3u', GRID)
      .replace('if (', 'let id = vec3u(group.x + group.y * groups.x, 0u, 0u);\n  if (')
    const halves = (body: string, count: number): ReturnType<typeof plan> =>
      plan(gpu, 'many', ({ input }) => ({
        read: { y: op(input('x', [count]), body, { workgroups: count }) },
      }))
    const ready = await halves(folded, values.length)
    const { read } = await ready.run({ inputs: { x: values } })
    ready.release()
    expect(read.y).toEqual(values.map((value) => 0.5 * value))

    // A comment is no use of it
    for (const body of [alone, `// num_workgroups\n${alone}`]) {
      const error = await failure(halves(body, limit + 1))
      expect(error).toBeInstanceOf(UsageError)
      expect(error.message).toContain(`Your kernel 'halve' is launched with ${limit + 1} workgroups`)
    }
    const most = await halves(alone, limit)
    most.release()
  })

  test(`comments, attributes and directives stand where they like, on ${gpu.name}`, async () => {
    const body = `// a header with @binding(7) and struct Sizes { wrong: vec4f }
      /* @group(0) @binding(0) var<storage, read> gone: array<f32>; /* nested */ struct Sizes { other: u32 } // */
      diagnostic(off, derivative_uniformity);
      /**/struct /* here too */ Sizes { count: u32, // the last comma
      }
      @binding(0) @group(0) var<storage> x: array<f32>;
      @group( 0 ) @binding( 1u )
      var < storage , read_write > y : array<f32>;
      @group(0)@binding(2,) var<uniform> sizes: Sizes;
      @workgroup_size(64) @compute fn main(@builtin(global_invocation_id) id: vec3u) {
        if (id.x < sizes.count) { y[id.x] = FACTOR * x[id.x]; } // no line feed after this`
    const own = kernel('comments', `${body}\n}`, { Elem: 'f32', FAST: false })
    expect(own.bindings.map(({ name, index, access }) => `${index} ${name} ${access}`)).toEqual([
      '0 x read',
      '1 y read_write',
      '2 sizes uniform',
    ])
    expect(own.sizes).toEqual([{ name: 'count', type: 'u32' }])
    const whole = `${body.replace('FACTOR', '0.75')}\n}`
    expect(await run((x) => op(x, whole, { kernel: kernel('comments', whole, { Elem: 'f32' }) }))).toEqual(
      times(0.75),
    )
  })
}

test('comments become spaces, so that all else stays where it is', () => {
  for (const [text, expected] of [
    ['a // b\nc', 'a     \nc'],
    ['a /* b /* c */ d */ e', 'a                   e'],
    ['a /* b // c */ d', 'a              d'],
    ['a // /* b\nc */', 'a        \nc */'],
    ['a /* b\n c */ d', 'a     \n      d'],
    ['a /* never ends', 'a              '],
    ['a / b /*/ c */ d', 'a / b          d'],
  ]) {
    expect(withoutComments(text!)).toBe(expected)
  }
})

const wrong = (from: string | RegExp, to: string): string => BODY.replace(from, to)

test.each<readonly [what: string, args: readonly unknown[], words: string]>([
  ['no name', [undefined, BODY], 'the name is undefined'],
  ['a name with a line feed', ['a\nb', BODY], 'the name is "a\\nb"'],
  ['no body', ['mine', undefined], "the body of 'mine' is undefined, expected WGSL"],
  ['an imported module for a body', ['mine', { default: BODY }], 'is an object, expected WGSL'],
  ['no entry point', ['mine', wrong('fn main', 'fn start')], 'no entry point `fn main`'],
  [
    'a vector in Sizes',
    ['mine', wrong('count: u32', 'count: vec2u')],
    'Sizes.count is vec2u; only u32, i32 and f32',
  ],
  [
    'an aligned field',
    ['mine', wrong('count: u32', '@align(16) count: u32')],
    'only fields without attributes',
  ],
  ['no Sizes', ['mine', wrong('struct Sizes', 'struct Size')], 'no `struct Sizes`'],
  ['Sizes that nothing binds', ['mine', wrong(/.*<uniform>.*/, '')], 'no `var<uniform> sizes: Sizes`'],
  [
    'a uniform of another type',
    ['mine', wrong('sizes: Sizes', 'sizes: vec4f')],
    "the uniform 'sizes' is vec4f",
  ],
  [
    'another group',
    ['mine', wrong('@group(0) @binding(0)', '@group(1) @binding(0)')],
    "'x' is in another group",
  ],
  ['one index twice', ['mine', wrong('@binding(1)', '@binding(0)')], 'two of its bindings have the index 0'],
  [
    'an index by name',
    ['mine', wrong('@binding(1)', '@binding(FIRST)')],
    "'y' has no @binding with a plain number",
  ],
  ['nothing written', ['mine', wrong(', read_write', '')], 'no binding that it writes'],
  [
    'a texture',
    ['mine', wrong('var<storage, read> x: array<f32>', 'var x: texture_2d<f32>')],
    "'x' is var of texture_2d<f32>",
  ],
  [
    'a sampler between',
    ['mine', wrong('struct', '@group(0) @binding(3) override s: f32; struct')],
    '1 of its 4 bindings',
  ],
  ['a fraction for a constant', ['mine', BODY, { WG: 1.5 }], 'prelude constant WG is 1.5'],
  ['a constant past 32 bits', ['mine', BODY, { WG: 2 ** 32 }], 'prelude constant WG is 4294967296'],
  [
    'code for a constant',
    ['mine', BODY, { WG: 'f32; const X = 1' }],
    'prelude constant WG is "f32; const X = 1"',
  ],
  ['an empty list for a constant', ['mine', BODY, { WG: [] }], 'prelude constant WG is []'],
  ['a list with a fraction', ['mine', BODY, { WG: [1, 0.5] }], 'prelude constant WG is [1, 0.5]'],
  // oxlint-disable-next-line no-sparse-arrays -- what is tested
  ['a list with a hole', ['mine', BODY, { WG: [1, , 2] }], 'prelude constant WG is'],
  ['a constant of no kind', ['mine', BODY, { WG: undefined }], 'prelude constant WG is undefined'],
  ['a constant of no name', ['mine', BODY, { 'W G': 1 }], 'the constant "W G" is no name in WGSL'],
  ['a number for constants', ['mine', BODY, 64], 'constants is 64'],
])('a kernel with %s is refused', (_, args, words) => {
  const make = () => kernel(...(args as Parameters<typeof kernel>))
  expect(make).toThrow(UsageError)
  expect(make).toThrow(words)
  expect(make).not.toThrow(/fault of the engine/)
})

test.each<readonly [what: string, change: object, words: string]>([
  ['flops', { flops: undefined }, 'flops is undefined, expected a number from 0 on'],
  ['NaN flops', { flops: NaN }, 'flops is NaN'],
  ['negative bytes', { bytes: -1 }, 'bytes is -1'],
  ['no workgroups', { workgroups: 0 }, 'workgroups is 0, expected a whole number from 1 on'],
  ['half a workgroup', { workgroups: 1.5 }, 'workgroups is 1.5'],
  ['NaN workgroups', { workgroups: NaN }, 'workgroups is NaN'],
  ['a negative grid', { workgroups: [1, -1, 1] }, 'workgroups is [1, -1, 1]'],
  ['a grid of two', { workgroups: [1, 1] }, 'workgroups is [1, 1]'],
  ['a missing size', { sizes: {} }, "size 'count' is missing"],
  ['a surplus size', { sizes: { count: 5, rows: 1 } }, "size 'rows', which Sizes lacks"],
  [
    'a fraction for a size',
    { sizes: { count: 2.5 } },
    "size 'count' is 2.5, expected a whole number from 0 to 4294967295",
  ],
  ['a negative size', { sizes: { count: -1 } }, "size 'count' is -1"],
  ['a text for a size', { sizes: { count: '5' } }, 'size \'count\' is "5"'],
  ['an undefined size', { sizes: { count: undefined } }, "size 'count' is undefined"],
  ['no sizes', { sizes: undefined }, 'sizes is undefined'],
  ['a missing read', { reads: {} }, "binding 'x' (read) is missing from the dispatch: pass it in `reads`"],
  [
    'an array for a read',
    { reads: { x: new Float32Array(5) } },
    'reads.x is a Float32Array, expected a tensor',
  ],
  ['no reads', { reads: undefined }, 'reads is undefined, expected an object'],
  ['no writes', { writes: {} }, "binding 'y' (read_write) is missing from the dispatch: pass it in `writes`"],
  ['no kernel', { kernel: undefined }, 'kernel is undefined, expected what `kernel` makes'],
  ['a body for a kernel', { kernel: BODY }, 'expected what `kernel` makes'],
  ['a misspelt field', { work: 1 }, "the dispatch has no field 'work'"],
  ['a cut that Sizes lacks', { cut: 'row' }, "'row' cuts the grid"],
  [
    'in place without the constant',
    { inPlace: { read: 'x', write: 'y' } },
    'needs the constant IN_PLACE: false',
  ],
])('a dispatch with %s is refused', async (_, change, words) => {
  const gpu = await anyGpu()
  const error = await failure(
    plan(gpu, 'own', ({ input }) => ({ read: { y: op(input('x', [5]), BODY, change) } })),
  )
  expect(error).toBeInstanceOf(UsageError)
  expect(error.message).toContain(words)
})

test('floats of a shader are floats of a tensor; words may be of any type', async () => {
  for (const [type, aliases, floats] of [
    ['array<f32>', {}, 'f32'],
    ['array<vec4f>', {}, 'f32'],
    ['array< vec2<f32> >', {}, 'f32'],
    ['array<f32, 16>', {}, 'f32'],
    ['array<f16>', {}, 'f16'],
    ['array<vec4h>', {}, 'f16'],
    ['array<vec4<f16>>', {}, 'f16'],
    ['array<Elem>', { Elem: 'vec4<f32>' }, 'f32'],
    ['array<Elem>', { Elem: 'vec4u' }, undefined],
    ['array<Elem>', {}, undefined],
    ['array<u32>', {}, undefined],
    ['array<atomic<u32>>', {}, undefined],
    ['Sizes', {}, undefined],
  ] as const) {
    expect(floatsOf(type, aliases), type).toBe(floats)
  }
  const gpu = await anyGpu()
  const words = BODY.replaceAll('array<f32>', 'array<u32>').replace('0.5 * ', '')
  const build = (body: string, dtype: 'f32' | 'u32' | 'bf16') =>
    plan(gpu, 'own', ({ input }) => {
      const y = tensor([5], 'u32')
      op(input('x', [5], dtype), body, { writes: { y }, sizes: { count: 2 } })
      return { read: { y } }
    })
  for (const dtype of ['f32', 'u32', 'bf16'] as const) (await build(words, dtype)).release()
  for (const [dtype, binding] of [
    ['bf16', 'reads.x is bf16'],
    ['u32', 'reads.x is u32'],
    ['f32', 'writes.y is u32'],
  ] as const) {
    const error = await failure(build(BODY, dtype))
    expect(error).toBeInstanceOf(ShapeError)
    expect(error.message).toContain(`${binding}, but the shader binds an array of f32.`)
  }
})

test('a tensor that is read and written, or of another plan, is refused', async () => {
  const gpu = await anyGpu()
  let old: Tensor | undefined
  const build = (change: (x: Tensor, y: Tensor) => Partial<DispatchOf>) =>
    plan(gpu, 'own', ({ input }) => {
      const x = input('x', [5])
      const y = op(x, BODY, change(x, tensor([5])))
      old ??= y
      return { read: { y } }
    })
  expect((await failure(build((x) => ({ writes: { y: x } })))).message).toContain(
    "Your kernel 'halve': 'x' and 'y' are one buffer, and one is written.",
  )
  const ready = await build(() => ({}))
  ready.release()
  const error = await failure(build(() => ({ reads: { x: old! } })))
  expect(error).toBeInstanceOf(UsageError)
  expect(error.message).toContain('reads.x is a tensor of another plan')
})
