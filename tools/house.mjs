// The promises of the house, counted: `npm run house`.
//
//   node tools/house.mjs           prints a table, and fails where a count is above its allowance in tools/house.json
//   node tools/house.mjs --list    prints each place as well
//   node tools/house.mjs --write   lowers the allowances to what is there now; it never raises one
//
// An allowance is what was there when the rule came. Zero needs none.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { filesOf, longSubjects } from './house/git.mjs'
import { readCode, wordsOf } from './house/read.mjs'
import { inProse, KEPT, WORDS } from './house/words.mjs'

const FILES_PER_FOLDER = 14
const LINES_PER_FILE = 500
/** Subjects of later commits have at most 60 characters. */
const FIRST_COMMIT = 'fb5a3cad'

/** Folders with a limit of their own, and why. */
const FOLDERS = {
  src: { most: 17, why: 'the two doors, and the ground that every floor may import' },
  'shaders/matmul': { most: 8, why: 'the matrix product is read first, and must be read through' },
  'shaders/lib': { most: 12, why: 'what every kernel may import is what every reader must know' },
  'bench/lib': {
    most: 17,
    why: 'what the engines that are compared share, a file per thing; no more should come',
  },
  'bench/results': { most: Infinity, why: 'data: a file per table or chart' },
  'test/fixtures/golden': { most: Infinity, why: 'data: a file per network part' },
  'test/fuzz/seeds': { most: Infinity, why: 'data: a file per format' },
  tools: {
    most: 20,
    why: 'a script per command of package.json, started by its path; larger ones have folders',
  },
  training: {
    most: 32,
    why: 'steps of a run, started by name from there, which import each other by bare names',
  },
  'training/golden': { most: 18, why: 'a script per network part whose golden file it makes' },
}

const root = fileURLToPath(new URL('../', import.meta.url))
const record = join(root, 'tools/house.json')

const files = filesOf(root).filter((file) => existsSync(join(root, file)))
const below = (...folders) => files.filter((file) => folders.some((folder) => file.startsWith(`${folder}/`)))
const text = (file) => readFileSync(join(root, file), 'utf8')

const code = below('src', 'shaders', 'web', 'test', 'tools', 'examples', 'bench').filter(
  (file) => /\.(ts|mjs|wgsl)$/.test(file) && !file.startsWith('test/fixtures/'),
)
const documents = [
  'README.md',
  'CONTRIBUTING.md',
  'bench/NOTES.md',
  'training/README.md',
  'examples/README.md',
  ...below('docs').filter((file) => file.endsWith('.md')),
]
const readings = new Map(code.map((file) => [file, readCode(file, text(file))]))

/** Places by rule: 'file', 'file: name' or 'file:line'. */
const places = {
  [`folders of more than ${FILES_PER_FOLDER} files, or than their own limit`]: largeFolders(),
  [`files of more than ${LINES_PER_FILE} lines`]: code.filter(
    (file) => readings.get(file).lines.length - 1 > LINES_PER_FILE,
  ),
  'exports without a doc comment, in src': within('src', (file, { bare }) =>
    bare.map((name) => `${file}: ${name}`),
  ),
  'members of exported types without a doc comment, in src': within('src', (file, { bareMembers }) =>
    bareMembers.map((name) => `${file}: ${name}`),
  ),
  'types with the name of an exported one, in src': typesOfOneName(),
  'comment lines of more than 120 columns': within('', (file, { longComments }) =>
    longComments.map((line) => `${file}:${line}`),
  ),
  'non-null assertions, in src and web': [
    ...within('src/', (file, { asserted }) => Array.from({ length: asserted }, () => file)),
    ...within('web/', (file, { asserted }) => Array.from({ length: asserted }, () => file)),
  ],
  'commit subjects of more than 60 characters': longSubjects(root, FIRST_COMMIT),
  ...Object.fromEntries(WORDS.map((entry) => [ruleOf(entry), placesOf(entry)])),
}

const allowances = existsSync(record) ? JSON.parse(readFileSync(record, 'utf8')) : undefined
const width = Math.max(...Object.keys(places).map((rule) => rule.length))
for (const [rule, listedPlaces] of Object.entries(places)) {
  const allowed = allowances?.[rule] ?? 0
  const verdict =
    listedPlaces.length > allowed ? 'too many' : listedPlaces.length < allowed ? 'fewer than recorded' : ''
  if (listedPlaces.length > 0 || allowed > 0) {
    console.log(
      `${rule.padEnd(width)} ${String(listedPlaces.length).padStart(5)} of ${allowed} ${verdict}`.trimEnd(),
    )
  }
  if (process.argv.includes('--list')) for (const place of listedPlaces) console.log(`  ${place}`)
  if (listedPlaces.length > allowed && !process.argv.includes('--write')) process.exitCode = 1
}
for (const rule of Object.keys(allowances ?? {})) {
  if (rule in places) continue
  console.error(`tools/house.json allows "${rule}", which is no rule`)
  process.exitCode = 1
}
if (process.exitCode === 1) console.error('`node tools/house.mjs --list` shows where.')

if (process.argv.includes('--write')) {
  const counts = Object.entries(places).map(([rule, { length }]) => [
    rule,
    allowances ? Math.min(length, allowances[rule] ?? 0) : length,
  ])
  writeFileSync(
    record,
    `${JSON.stringify(Object.fromEntries(counts.filter(([, count]) => count > 0)), null, 2)}\n`,
  )
}

function ruleOf({ label, words, better, whole, below: folder }) {
  const where = whole && folder ? `, in ${folder}` : ''
  return `"${label ?? words.replaceAll('|', ', ')}" for ${better}${where}`
}

function within(folder, placesIn) {
  return code.filter((file) => file.startsWith(folder)).flatMap((file) => placesIn(file, readings.get(file)))
}

/** Each declaration in src of a type whose name an exported type of another file has. */
function typesOfOneName() {
  const byName = new Map()
  for (const declared of within('src/', (file, { types }) => types.map((type) => ({ ...type, file })))) {
    byName.set(declared.name, [...(byName.get(declared.name) ?? []), declared])
  }
  return [...byName.values()]
    .filter((all) => all.length > 1 && all.some(({ isExported }) => isExported))
    .flatMap((all) => all.map(({ name, file }) => `${file}: ${name}`))
}

function largeFolders() {
  const counts = new Map()
  for (const file of below('src', 'shaders', 'web', 'test', 'tools', 'training', 'bench')) {
    counts.set(dirname(file), (counts.get(dirname(file)) ?? 0) + 1)
  }
  const mostOf = (folder) => FOLDERS[folder]?.most ?? FILES_PER_FOLDER
  return [...counts]
    .filter(([folder, count]) => count > mostOf(folder))
    .map(([folder, count]) => `${folder}: ${count} of ${mostOf(folder)}`)
}

/** What people read: comments; where the library and the studio speak, strings; and what tests are called. */
function proseOf(file, { comments, strings, titles }) {
  const speaks = file.startsWith('src/') || file.startsWith('web/')
  return [...comments, ...(speaks ? strings : []), ...(file.startsWith('test/') ? titles : [])]
}

function placesOf({ words, names, whole, prose, below: folder, except }) {
  const isWord = new RegExp(`^(?:${words})$`, 'i')
  const isWhole = new RegExp(`^(?:${words})$`)
  const spoken = inProse(words)
  const has = (name) =>
    (whole && isWhole.test(name)) || (names && wordsOf(name).some((word) => isWord.test(word)))
  const inCode = code
    .filter((file) => !folder || file.startsWith(`${folder}/`))
    .filter((file) => !(except && file.startsWith(`${except}/`)) && !(file in KEPT))
    .flatMap((file) => {
      const reading = readings.get(file)
      const named = [basename(file).replace(/\.\w+$/, ''), ...reading.names].filter(has)
      const said = prose ? proseOf(file, reading).flatMap((text) => text.match(spoken) ?? []) : []
      return [...new Set(named), ...said].map((word) => `${file}: ${word}`)
    })
  const inDocuments = documents
    .filter((file) => prose && !folder && !(file in KEPT))
    .flatMap((file) => (text(file).match(spoken) ?? []).map((word) => `${file}: ${word}`))
  return [...inCode, ...inDocuments]
}
