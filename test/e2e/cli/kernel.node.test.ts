// flowseg kernel: the text that it prints is the one that a driver compiles, and names that don't exist are explained.

import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
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
  expect(bare.out).toMatch(/^\/\/ The host defines .*LANES/)
  expect(await messagesOf(bare.out)).not.toEqual([])
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
  [[NAME, '--if', 'VEC8'], `${NAME} isn't linked with --if VEC8.`],
  [[NAME, '--if', 'VEC4', '--constants', 'WG=64'], `--constants lacks LANES, RUN of ${NAME}.`],
  [[NAME, '--if', 'VEC4', '--constants', 'WG'], "--constants has 'WG', expected NAME=VALUE, such as WG=64."],
])('%j is not understood', async (args, message) => {
  const { code, out, err } = await flowseg(['kernel', ...args], { cwd })
  expect([code, out]).toEqual([2, ''])
  expect(err).toContain(message)
})
