// flowseg kernel: the text that it prints is the one that a driver compiles, and names that don't exist are explained.

import { readFile } from 'node:fs/promises'
import shaders from 'virtual:shaders'
import { expect, test } from 'vitest'
import { textOf } from '../../../src/gpu/shader.ts'
import { withoutComments } from '../../../src/gpu/wgsl.ts'
import { anyGpu } from '../../support.ts'
import { ROOT as cwd, filesIn, flowseg } from '../cli-harness.ts'

const NAME = 'norm/rms-norm'
const COMPLETE = [NAME, '--if', 'VEC4', '--constants', 'WG=64,LANES=4,RUN=1']

test('with its constants a kernel is complete: it compiles', async () => {
  const { code, out, err } = await flowseg(['kernel', ...COMPLETE], { cwd })
  expect([code, err]).toEqual([0, ''])
  expect(out).not.toMatch(/^import /m)
  expect(out).toContain('const LANES = 4u;')
  expect(out).toContain('fn main(')

  const { device } = await anyGpu()
  const messagesOf = async (text: string) => {
    device.pushErrorScope('validation')
    const info = await device.createShaderModule({ code: text }).getCompilationInfo()
    await device.popErrorScope()
    return info.messages.filter(({ type }) => type === 'error').map(({ message }) => message)
  }
  expect(await messagesOf(out)).toEqual([])

  // Without them it says what it lacks
  const bare = await flowseg(['kernel', NAME, '--if', 'VEC4'], { cwd })
  expect(bare.out).toMatch(/^\/\/ The host defines .*LANES/m)
  expect(await messagesOf(bare.out)).not.toEqual([])
})

test('the header comes first, then each declaration with its comments, and where the file changes it is named', async () => {
  const { out } = await flowseg(['kernel', 'attention/combine'], { cwd })
  const file = await readFile(`${cwd}/shaders/attention/combine.wgsl`, 'utf8')
  const header = file.slice(0, file.indexOf('\n\n'))
  expect(out.startsWith(`// shaders/attention/combine.wgsl\n\n${header}\n`)).toBe(true)
  const module = await readFile(`${cwd}/shaders/lib/online_softmax.wgsl`, 'utf8')
  // A comment of several lines
  const [normalizer] = /\/\*\*(?:(?!\*\/)[^])*\*\/\nfn normalizer[^]*?\n\}/.exec(module)!
  expect(normalizer.split('\n').length).toBeGreaterThan(4)
  expect(out.split('// shaders/lib/online_softmax.wgsl\n')[1]).toContain(normalizer)
})

test.each([
  ['matmul/gemv', [], 'const PARTIALS = WG;'],
  ['matmul/gemv', ['--if', 'SUBGROUPS'], 'const PARTIALS = WG / 4u;'],
])(
  'what describes a declaration under @if is printed with it, and so with its @else: %s %j',
  async (name, options, line) => {
    const { out } = await flowseg(['kernel', name, ...options], { cwd })
    expect(out).toMatch(
      /\/\*\* Partial sums of an output in workgroup memory: [^\n]* \*\/\n(const PARTIALS = .*)\n/,
    )
    expect(out).toContain(`*/\n${line}\n`)
  },
)

test('the comments of a loop that is unrolled are printed once, behind what the host defines', async () => {
  const { constants } = shaders.find(({ name }) => name === 'matmul/skinny')!
  const list = constants.map((name) => `${name}=${/^[A-Z]+[a-z]/.test(name) ? 'vec4u' : 4}`).join()
  const { out } = await flowseg(['kernel', 'matmul/skinny', '--constants', list], { cwd })
  expect(out).toMatch(
    /^\/\/ shaders\/matmul\/skinny\.wgsl\n\n\/\/ matmul for few rows, [^]*\n\n[^\n]*const B_TYPE = 4u;/,
  )
  expect(out).not.toContain('/*unroll*/')
  expect(out.split('let t = min(').length - 1).toBeGreaterThan(1)
  expect(out.split("// Past a row's end").length - 1).toBe(1)
})

const tokens = (text: string): string => (withoutComments(text).match(/\w+|[^\s\w]/g) ?? []).join(' ')

test('but for comments every kernel is printed as drivers get it', async () => {
  for (const shader of shaders) {
    const { name, conditions } = shader
    const condition = conditions.length > 0 ? ['--if', conditions.join(',')] : []
    const { out } = await flowseg(['kernel', name, ...condition], { cwd })
    expect(tokens(out), `${name} ${conditions.join()}`).toBe(tokens(textOf(shader)))
  }
  expect(shaders.length).toBeGreaterThan(60)
})

test('a module is printed as it is written, and listed', async () => {
  const { out } = await flowseg(['kernel', 'lib/operands'], { cwd })
  const file = await readFile(`${cwd}/shaders/lib/operands.wgsl`, 'utf8')
  expect(out).toBe(`// shaders/lib/operands.wgsl\n\n${file}`)
  const list = JSON.parse((await flowseg(['kernel', '--json'], { cwd })).out) as { modules: string[] }
  expect(list.modules).toContain('lib/operands')
  expect(list.modules).toContain('conv/patch')
  expect((await flowseg(['kernel'], { cwd })).out).toContain('\nlib/operands\n')
})

test('as JSON it has its conditions, its constants and the files that it was linked from', async () => {
  const { out } = await flowseg(['kernel', ...COMPLETE, '--json'], { cwd })
  const { name, conditions, constants, sources, text } = JSON.parse(out) as {
    name: string
    conditions: string[]
    constants: string[]
    sources: string[]
    text: string
  }
  expect([name, conditions]).toEqual([NAME, ['VEC4']])
  expect(constants.toSorted()).toEqual(['LANES', 'RUN', 'WG'])
  expect(sources).toContain('norm/rms-norm.wgsl')
  expect(sources).toContain('lib/rows.wgsl')
  for (const source of sources) expect(await readFile(`${cwd}/shaders/${source}`, 'utf8')).not.toBe('')
  expect(`${text}\n`).toBe((await flowseg(['kernel', ...COMPLETE], { cwd })).out)
})

test('without a name all kernels are listed', async () => {
  const { out } = await flowseg(['kernel', '--json'], { cwd })
  const { kernels } = JSON.parse(out) as { kernels: { name: string }[] }
  const names = new Set(kernels.map(({ name }) => name))
  const files = (await filesIn(`${cwd}/shaders`)).filter((file) => file.endsWith('.wgsl'))
  const text = (await flowseg(['kernel'], { cwd })).out
  for (const name of names) {
    expect(files).toContain(`${name}.wgsl`)
    expect(text).toContain(name)
  }
  expect(names.size).toBeGreaterThan(40)
})

test.each([
  [['norm/rms-nrom'], "There is no kernel 'norm/rms-nrom'. Did you mean norm/rms-norm?"],
  [['xyz'], "There is no kernel 'xyz'. `flowseg kernel` lists them."],
  [
    ['matmul/registers', '--if', 'HALVE'],
    "matmul/registers isn't linked with --if HALVE: leave --if out, or give --if CONV or ",
  ],
  [
    ['lib/operands', '--if', 'PACKED'],
    'lib/operands is a module, which is printed as it is written. Leave --if out.',
  ],
  [['lib/operand'], "There is no kernel 'lib/operand'. Did you mean lib/operands?"],
  [[NAME, '--if', 'VEC8'], `${NAME} isn't linked with --if VEC8: leave --if out, or give --if VEC4.`],
  [[NAME, '--if', 'VEC4', '--constants', 'WG=64'], `--constants lacks LANES, RUN of ${NAME}.`],
  [[NAME, '--if', 'VEC4', '--constants', 'WG'], "--constants has 'WG', expected NAME=VALUE, such as WG=64."],
])('%j is not understood', async (args, message) => {
  const { code, out, err } = await flowseg(['kernel', ...args], { cwd })
  expect([code, out]).toEqual([2, ''])
  expect(err).toContain(message)
})
