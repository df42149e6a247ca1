// Writes the API reference into docs/api: `npm run docs`. With --check it writes nothing, and only looks for mistakes.
//
// Mistakes are an export, or a member of one, without a doc comment; a type that an export mentions but that can't be
// imported; a link to nothing; a comment that TypeDoc can't read. Members tagged @internal are left out: TypeScript
// shows them, but they may change freely.
//
// TypeDoc asks for the module `typescript` and needs the programming interface that version 7 no longer has, so it gets
// TypeScript 5. Types are checked by `npm run typecheck` alone: TypeScript 5 lacks part of the DOM.

import { register } from 'node:module'

/** Constants that stand behind a union of words, which is documented as such. */
const WORD_LISTS = ['ACTIVATIONS', 'CACHE_PLACES', 'DTYPE_BITS', 'QUANTIZED', 'WEIGHT_TYPES']

const hooks = `export const resolve = (name, context, next) => next(name === 'typescript' ? 'typescript-5' : name, context)`
register(`data:text/javascript,${encodeURIComponent(hooks)}`, import.meta.url)
const { Application } = await import('typedoc')

const app = await Application.bootstrapWithPlugins({
  name: 'flowseg',
  entryPoints: ['src/index.ts', 'src/engine.ts'],
  tsconfig: 'tsconfig.docs.json',
  skipErrorChecking: true,
  excludeInternal: true,
  excludePrivate: true,
  disableSources: true,
  out: 'docs/api',
  requiredToBeDocumented: [
    'Accessor',
    'Class',
    'Function',
    'Interface',
    'Method',
    'Property',
    'TypeAlias',
    'Variable',
  ],
  intentionallyNotExported: WORD_LISTS,
  // Links of the README to folders; test/docs.test.ts follows them
  validation: { invalidLink: true, invalidPath: false, notDocumented: true, notExported: true },
})
const project = await app.convert()
if (!project) process.exit(1)
app.validate(project)
if (!process.argv.includes('--check')) await app.generateOutputs(project)
process.exitCode = app.logger.hasErrors() || app.logger.hasWarnings() ? 1 : 0
