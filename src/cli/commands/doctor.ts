// flowseg doctor: what this machine offers, and whether it computes right. Its report is what a bug report
// should contain.

import { availableParallelism, freemem, totalmem } from 'node:os'
import { listAdapters } from '#runtime'
import { entryOf } from '../../check.ts'
import { NoAdapterError } from '../../errors.ts'
import type { Choices } from '../../gpu/adapter.ts'
import { type Gpu, openGpu } from '../../gpu/gpu.ts'
import { formatBytes } from '../../gpu/memory.ts'
import { KERNEL_FAMILIES } from '../../ops/families.ts'
import { printable } from '../../printable.ts'
import type { KernelResult } from '../../selftest/results.ts'
import { selfTest } from '../../selftest/self-test.ts'
import { type Command, expectOperands, type Given, type Page, SHARED } from '../args.ts'
import { engineOptions } from '../engine.ts'
import { accountOfError, jsonLine } from '../json.ts'
import { grouped, painter, type Terminal, table, visible } from '../output/terminal.ts'
import { packageVersion } from '../package.ts'
import { measureSpeed } from '../speed.ts'

const page: Page = {
  name: 'doctor',
  operands: '',
  summary: 'what this machine offers, and whether it computes right',
  details:
    'Lists the adapters, opens one, runs a few kernels against float64 references, each twice, and measures ' +
    'its speed. The exit code is 1 when there is no adapter or a test fails.',
  options: { adapter: SHARED.adapter, 'no-tune': SHARED['no-tune'], json: SHARED.json },
  examples: [
    ['doctor', 'the adapter that every command takes by default'],
    ['doctor --adapter llvmpipe', 'another one'],
  ],
}

/** `flowseg doctor` */
export const doctor: Command = { page, run }

/** Limits worth knowing; bytes are shown as such. */
const LIMITS = [
  ['maxBufferSize', 'largest buffer', true],
  ['maxStorageBufferBindingSize', 'largest binding', true],
  ['maxStorageBuffersPerShaderStage', 'storage buffers per kernel', false],
  ['maxComputeWorkgroupStorageSize', 'workgroup memory', true],
  ['maxComputeInvocationsPerWorkgroup', 'threads per workgroup', false],
  ['maxComputeWorkgroupsPerDimension', 'workgroups per axis', false],
] as const

/** The three kernels that everything rests on, as this adapter takes them; `flowseg selftest` tests all. */
const SHORT = {
  ops: ['linear', 'conv2d', 'attention'],
  types: ['f32'],
  variants: 'default',
  count: 1,
} as const

/** They change which driver is found. */
const VARIABLES = ['VK_ICD_FILENAMES', 'VK_DRIVER_FILES', 'VK_LOADER_DRIVERS_SELECT', 'LD_LIBRARY_PATH']

async function run(args: Given, terminal: Terminal): Promise<number> {
  expectOperands(page, args, 0)
  const { out, env, signal } = terminal
  // Opening an adapter may set some of them
  const variables = VARIABLES.flatMap((variable) => (env[variable] ? [`${variable}=${env[variable]}`] : []))
  const system = {
    flowseg: await packageVersion(),
    runtime: `Node ${process.versions.node}`,
    platform: `${process.platform} ${process.arch}`,
    cores: availableParallelism(),
    memory: totalmem(),
    free: freemem(),
    variables,
  }
  const adapters = await listAdapters().catch(() => [])
  const json = args.has('json')

  let gpu: Gpu
  try {
    gpu = await openGpu(engineOptions(args, terminal))
  } catch (error) {
    if (!(error instanceof NoAdapterError)) throw error
    if (json) out.write(jsonLine({ ...system, adapters, error: accountOfError(error) }))
    else
      out.write(
        `${[...systemLines(system), '', ...adapterLines(adapters, ''), '', ...refusalLines(error)].join('\n')}\n`,
      )
    return 1
  }
  try {
    if (!json) {
      const lines = [
        ...systemLines(system),
        '',
        ...adapterLines(adapters, gpu.name),
        '',
        ...gpuLines(gpu, terminal),
      ]
      out.write(`${lines.join('\n')}\n`)
    }
    const { results, failed } = await selfTest(gpu, { ...SHORT, signal })
    const tests = results.filter(({ status }) => status !== 'skipped')
    if (!json) out.write(`\n${resultLines(tests, terminal).join('\n')}\n`)
    const gflops = await measureSpeed(gpu, signal)
    if (json) out.write(jsonLine({ ...system, adapters, ...accountOf(gpu), tests, gflops }))
    else out.write(`\nSpeed\n  ${gflops.toFixed(1)} GFLOP/s in a matmul of 512 x 512 x 512, f32\n`)
    return failed > 0 ? 1 : 0
  } finally {
    gpu.close()
  }
}

function systemLines(system: {
  flowseg: string
  runtime: string
  platform: string
  cores: number
  memory: number
  free: number
  variables: readonly string[]
}): string[] {
  const { flowseg, runtime, platform, cores, memory, free, variables } = system
  return [
    `flowseg ${flowseg}, ${runtime} on ${platform}, ${cores} cores, ${formatBytes(memory)} of memory (${formatBytes(free)} free)`,
    ...variables.map((variable) => `  ${printable(variable)}`),
  ]
}

function adapterLines(adapters: readonly string[], opened: string): string[] {
  // WebGPU's name for a device is Vulkan's, all lower case and dashes
  const plain = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]+/g, '-')
  const mark = (name: string): string => (plain(opened).startsWith(plain(name)) ? '*' : ' ')
  const rows = adapters.map((name) => `  ${mark(name)} ${printable(name)}`)
  return ['Adapters', ...(rows.length > 0 ? rows : ['    none was found'])]
}

function gpuLines(gpu: Gpu, { out }: Terminal): string[] {
  const { vendor, architecture, description, isFallbackAdapter } = gpu.info
  const yes = (has: boolean): string => (has ? 'yes' : 'no')
  const { f16, subgroups, timestamps } = gpu.features
  const limits = LIMITS.map(([limit, title, isBytes]) => {
    const value = gpu.device.limits[limit]
    return [`  ${title}`, isBytes ? formatBytes(value) : grouped(value)]
  })
  return [
    painter(out)('bold', gpu.name),
    ...table(
      [
        ['  vendor', [vendor, architecture].filter(Boolean).join(', ') || 'unknown'],
        ['  driver', description || 'unknown'],
        ['  runtime', gpu.runtime],
        ['  kind', isFallbackAdapter ? 'software, on the processor' : 'hardware'],
        ['  kernels', kernelsText(gpu)],
        ['  features', `f16 ${yes(f16)}, subgroups ${yes(subgroups)}, timestamps ${yes(timestamps)}`],
        ...limits,
      ],
      [0, 1],
    ),
  ]
}

/** The facts of a Gpu that `kernelsText` tells. */
interface KernelFacts {
  readonly adapter: { readonly choices: Pick<Choices, 'tuned' | 'vetoed'>; readonly software: boolean }
  readonly notes: readonly string[]
}

/** The way kernels are chosen, in words. */
export function kernelsText({ adapter: { choices, software }, notes }: KernelFacts): string {
  if (notes.length > 0) return notes.join(' ')
  if (choices.tuned.size === 0) {
    const variants = KERNEL_FAMILIES.flatMap((family) =>
      family.variants.flatMap((one) => (one.measuredOnGpu === false ? [`${family.name}/${one.name}`] : [])),
    )
    // Software adapters take none of them
    const unmeasured = software ? '' : `; no GPU has measured ${variants.join(', ')} yet`
    return `by the cost model; \`flowseg tune\` measures${unmeasured}`
  }
  const vetoed = choices.vetoed.size > 0 ? `, without ${[...choices.vetoed].join(', ')}` : ''
  return `as \`flowseg tune\` measured, ${choices.tuned.size} choices${vetoed}`
}

function accountOf(gpu: Gpu): object {
  const { vendor, architecture, device, description, isFallbackAdapter } = gpu.info
  return {
    adapter: gpu.name,
    info: { vendor, architecture, device, description, isFallbackAdapter },
    features: gpu.features,
    choices: Object.fromEntries(gpu.adapter.choices.tuned),
    vetoes: [...gpu.adapter.choices.vetoed],
    notes: gpu.notes,
    limits: Object.fromEntries(LIMITS.map(([limit]) => [limit, gpu.device.limits[limit]])),
  }
}

function resultLines(results: readonly KernelResult[], { out }: Terminal): string[] {
  const paint = painter(out)
  const rows = table(
    results.map(({ op, shape, error = Number.NaN, reason }) => [
      `  ${op}`,
      shape,
      reason ?? `relative error ${error.toExponential(1)}`,
    ]),
    [0, 1, 2],
  )
  return [
    'Self-test: kernels against float64, twice for the same bits; `flowseg selftest` tests all of them',
    ...rows.map((row, i) => {
      const isRight = entryOf(results, i).status === 'passed'
      return `${isRight ? paint('green', '  pass') : paint('red', '  FAIL')}${row}`
    }),
  ]
}

/** The error's message; where it is a long one, its lists, an item a line. */
function refusalLines({ message, tried, fixes }: NoAdapterError): string[] {
  if (fixes.length === 0) return [visible(message)]
  return [
    'No WebGPU adapter',
    ...tried.map((place) => `  tried ${printable(place)}`),
    '',
    'Ways to get one',
    ...fixes.map((fix, i) => `  ${i + 1}  ${fix}`),
  ]
}
