// The `flowseg` command: finds the command, runs it, and turns what goes wrong into a sentence and an exit code
// (EXIT_CODES). Under --json the error is the last line on standard output, {"error": {"code", "message"}}, and not
// told twice.

import { entryOf, expectDefined } from '../check.ts'
import { printable } from '../printable.ts'
import { type Command, EXIT_CODES, helpText, meant, parse, UsageError } from './args.ts'
import { accountOfError, jsonLine } from './json.ts'
import { Interrupted, painter, type Terminal, visible } from './output/terminal.ts'
import { packageVersion } from './package.ts'

/** Loaded when asked for: `segment` should not wait for what draws scenes. */
const COMMANDS: Readonly<Record<string, { does: string; load: () => Promise<Command> }>> = {
  segment: {
    does: 'find in an image what a sentence means',
    load: async () => (await import('./commands/segment.ts')).segment,
  },
  categories: {
    does: 'find all that a list of names means',
    load: async () => (await import('./commands/categories.ts')).categories,
  },
  ask: {
    does: 'answer a question about an image, in words',
    load: async () => (await import('./commands/ask.ts')).ask,
  },
  describe: {
    does: 'describe an image, with a mask for each thing that is named',
    load: async () => (await import('./commands/ask.ts')).describe,
  },
  demo: {
    does: 'the same on a sample scene, with two sentences',
    load: async () => (await import('./commands/demo.ts')).demo,
  },
  doctor: {
    does: 'what this machine offers, and whether it computes right',
    load: async () => (await import('./commands/doctor.ts')).doctor,
  },
  selftest: {
    does: 'test every kernel on this adapter against float64',
    load: async () => (await import('./commands/selftest.ts')).selftest,
  },
  tune: {
    does: 'measure which kernels are the fastest here, and keep the choices',
    load: async () => (await import('./commands/tune.ts')).tune,
  },
  inspect: {
    does: 'what is in a checkpoint, without loading it',
    load: async () => (await import('./commands/inspect.ts')).inspect,
  },
  convert: {
    does: 'write a checkpoint as safetensors, rounded or as it is',
    load: async () => (await import('./commands/convert.ts')).convert,
  },
  manifest: {
    does: "list a model's files and their hashes, or check them",
    load: async () => (await import('./commands/manifest.ts')).manifest,
  },
  eval: {
    does: 'measure a model on sentences with known answers',
    load: async () => (await import('./commands/evaluate.ts')).evaluate,
  },
  bench: {
    does: 'how long the model takes here, kernel by kernel',
    load: async () => (await import('./bench/bench.ts')).bench,
  },
  kernel: {
    does: 'print the WGSL of a kernel, as drivers get it',
    load: async () => (await import('./commands/kernel.ts')).kernel,
  },
  cache: {
    does: 'list the weights that were downloaded and kept, or delete them',
    load: async () => (await import('./commands/cache.ts')).cache,
  },
  scenes: {
    does: 'draw scenes with sentences and masks, for training and evaluation',
    load: async () => (await import('./commands/scenes.ts')).scenes,
  },
}

/** @returns the exit code; nothing is thrown */
export async function main(argv: readonly string[], terminal: Terminal): Promise<number> {
  try {
    return await dispatch(argv, terminal)
  } catch (error) {
    return report(error, terminal, wantsJson(argv))
  }
}

async function dispatch([name = '', ...rest]: readonly string[], terminal: Terminal): Promise<number> {
  const { out } = terminal
  if (name === '' || name === '--help' || name === '-h' || (name === 'help' && rest.length === 0)) {
    ;(name === '' ? terminal.err : out).write(overview())
    return name === '' ? 2 : 0
  }
  if (name === '--version' || name === '-v') {
    out.write(`${await packageVersion()}\n`)
    return 0
  }
  const [wanted, args] = name === 'help' ? [entryOf(rest, 0), ['--help']] : [name, rest]
  if (!Object.hasOwn(COMMANDS, wanted)) {
    const hint = meant(wanted, Object.keys(COMMANDS)) || ` There are ${Object.keys(COMMANDS).join(', ')}.`
    throw new UsageError(`There is no command '${printable(wanted)}'.${hint}`)
  }
  const command = await expectDefined(COMMANDS[wanted], wanted).load()
  if (beforeOperands(args).some((arg) => arg === '--help' || arg === '-h')) {
    out.write(helpText(command.page))
    return 0
  }
  return command.run(parse(command.page, args), terminal)
}

function overview(): string {
  const width = Math.max(...Object.keys(COMMANDS).map((name) => name.length))
  return [
    'flowseg: finds in an image what a sentence means, on any GPU or none',
    '',
    '  flowseg COMMAND [options]',
    '',
    ...Object.entries(COMMANDS).map(([name, { does }]) => `  ${name.padEnd(width)}   ${does}`),
    '',
    'Examples',
    '  flowseg segment scene.png "the umbrella left of the clock"',
    '  flowseg demo',
    '  flowseg segment --help',
    '',
    EXIT_CODES,
    '',
  ].join('\n')
}

/** Also where the rest of the line can't be parsed. */
function wantsJson(argv: readonly string[]): boolean {
  return beforeOperands(argv).includes('--json')
}

/** Behind a bare -- there are no options. */
function beforeOperands(args: readonly string[]): readonly string[] {
  const end = args.indexOf('--')
  return args.slice(0, end < 0 ? args.length : end)
}

function report(error: unknown, { out, err, env, signal }: Terminal, asJson: boolean): number {
  const tell = (code: string, message: string): void => {
    if (asJson) out.write(jsonLine({ error: { code, message } }))
    else err.write(`${painter(err)('red', 'flowseg')}: ${visible(message)}\n`)
  }
  if (signal.aborted) {
    const { exitCode, isTold } = signal.reason instanceof Interrupted ? signal.reason : new Interrupted(130)
    if (!isTold) tell('ERR_INTERRUPTED', 'interrupted')
    return exitCode
  }
  const { code, message } = accountOfError(error)
  const stack = env['FLOWSEG_DEBUG'] && error instanceof Error ? error.stack : undefined
  tell(code, stack || message)
  return error instanceof UsageError ? 2 : 1
}
