// flowseg kernel: the linked text of a kernel, for reading, and for the line that a driver complains about.

import shaders from 'virtual:shaders'
import { type Constants, kernel as compiled } from '../../gpu/kernel.ts'
import { type Shader, textOf } from '../../gpu/shader.ts'
import { printable } from '../../printable.ts'
import { type Command, expectOperands, type Given, meant, type Page, SHARED, UsageError } from '../args.ts'
import { jsonLine } from '../json.ts'
import { type Terminal, table } from '../output/terminal.ts'

const page: Page = {
  name: 'kernel',
  operands: '[NAME]',
  summary: 'print the WGSL of a kernel, as drivers get it',
  details:
    'NAME is a path below shaders/, such as norm/rms-norm; without it all are listed. The text is linked from the modules that ' +
    'the kernel imports. It lacks what the host defines in front of it, unless --constants gives it: then marked loops ' +
    'are unrolled as well.',
  options: {
    if: { value: 'CONDITIONS', help: 'those of @if that are true, with commas between: VEC4' },
    constants: { value: 'LIST', help: 'what the host defines: WG=64,IS_CAUSAL=true,Elem=vec4f' },
    json: SHARED.json,
  },
  examples: [
    ['kernel', 'all of them, and what their hosts define'],
    ['kernel norm/rms-norm --if VEC4 --constants WG=64,LANES=4,RUN=1', 'one, complete'],
  ],
}

/** `flowseg kernel` */
export const kernel: Command = { page, run }

function run(args: Given, { out }: Terminal): Promise<number> {
  expectOperands(page, args, 0, 1)
  const [name] = args.operands
  if (name === undefined) {
    const rows = shaders.map(({ name, conditions, constants }) => ({ name, conditions, constants }))
    const lines = table(rows.map((row) => [row.name, row.conditions.join(','), row.constants.join(', ')]))
    out.write(args.has('json') ? jsonLine({ kernels: rows }) : `${lines.join('\n')}\n`)
    return Promise.resolve(0)
  }
  const shader = find(name.replace(/\.wgsl$/, ''), args.text('if')?.split(',') ?? [])
  const text = printed(shader, args.text('constants'))
  const { conditions, constants, pieces } = shader
  const sources = [...new Set(pieces.map(({ source }) => source))]
  out.write(
    args.has('json') ? jsonLine({ name: shader.name, conditions, constants, sources, text }) : `${text}\n`,
  )
  return Promise.resolve(0)
}

function find(name: string, conditions: readonly string[]): Shader {
  const named = shaders.filter((shader) => shader.name === name)
  if (named.length === 0) {
    const names = [...new Set(shaders.map((shader) => shader.name))]
    throw new UsageError(
      `There is no kernel '${printable(name)}'.${meant(name, names) || ' `flowseg kernel` lists them.'}`,
    )
  }
  const wanted = conditions.toSorted().join(',')
  const shader = named.find((one) => one.conditions.toSorted().join(',') === wanted)
  if (shader) return shader
  const sets = named.map((shader) => shader.conditions.join(',') || 'none')
  throw new UsageError(
    `${name} isn't linked with ${wanted ? `--if ${printable(wanted)}` : 'no conditions'}. There is ${sets.join(' and ')}.`,
  )
}

function printed(shader: Shader, list: string | undefined): string {
  if (list === undefined) {
    const { constants } = shader
    return `${constants.length > 0 ? `// The host defines ${constants.join(', ')}\n` : ''}${textOf(shader)}`
  }
  const constants: Record<string, Constants[string]> = {}
  for (const word of list.split(',')) {
    const [, name, value = ''] = /^\s*([A-Za-z]\w*)=(\S+)\s*$/.exec(word) ?? []
    if (name === undefined) {
      throw new UsageError(`--constants has '${printable(word)}', expected NAME=VALUE, such as WG=64.`)
    }
    constants[name] = /^\d+$/.test(value) ? Number(value) : value === 'true' || (value !== 'false' && value)
  }
  const missing = shader.constants.filter((name) => !(name in constants))
  if (missing.length > 0) throw new UsageError(`--constants lacks ${missing.join(', ')} of ${shader.name}.`)
  return compiled(shader, constants).code
}
